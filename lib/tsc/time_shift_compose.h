/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Combines two corrections: guest time to host time, and host time to the time that readers show. */
#ifndef TSC_OFFSET_TIME_SHIFT_COMPOSE_H
#define TSC_OFFSET_TIME_SHIFT_COMPOSE_H

struct time_shift;
struct time_shift_reader;

int time_shift_compose(struct time_shift *shift, const struct time_shift_reader *after);

#endif /* TSC_OFFSET_TIME_SHIFT_COMPOSE_H */
