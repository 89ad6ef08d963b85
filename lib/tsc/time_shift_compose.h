/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Two corrections after each other as one: guest times into the time of the host, and that into what readers show. */
#ifndef TSC_OFFSET_TIME_SHIFT_COMPOSE_H
#define TSC_OFFSET_TIME_SHIFT_COMPOSE_H

struct time_shift;
struct time_shift_reader;

int time_shift_compose(struct time_shift *shift, const struct time_shift_reader *after);

#endif /* TSC_OFFSET_TIME_SHIFT_COMPOSE_H */
