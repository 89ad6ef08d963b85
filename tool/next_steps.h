/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What one can do next with the recordings of the current directory. */
#ifndef TSC_OFFSET_NEXT_STEPS_H
#define TSC_OFFSET_NEXT_STEPS_H

void next_steps_print(void);

#endif /* TSC_OFFSET_NEXT_STEPS_H */
