/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Advice for users when the kernel refuses an operation. */
#ifndef TSC_OFFSET_REFUSAL_H
#define TSC_OFFSET_REFUSAL_H

#define REFUSAL_SIZE	128

const char *refusal_text(int error, char *text);

#endif /* TSC_OFFSET_REFUSAL_H */
