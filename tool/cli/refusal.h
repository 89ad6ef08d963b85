/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Why the kernel refuses something: what the user can do about it. */
#ifndef TSC_OFFSET_REFUSAL_H
#define TSC_OFFSET_REFUSAL_H

#define REFUSAL_SIZE	128

const char *refusal_text(int error, char *text);

#endif /* TSC_OFFSET_REFUSAL_H */
