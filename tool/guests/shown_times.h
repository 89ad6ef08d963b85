/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * How stock readers convert the times in a file. TIME_SHIFT corrects them; TSC2NSEC converts them into nanoseconds;
 * then the values of the options DATE and OFFSET (trace-cmd record --date, --ts-offset) are added.
 */
#ifndef TSC_OFFSET_SHOWN_TIMES_H
#define TSC_OFFSET_SHOWN_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "time_shift_reader.h"
#include "tsc2nsec.h"

struct trace_dat;

/**
 * struct shown_times - how readers show the times of a file
 * @shift: its TIME_SHIFT; all zeros without one; owned
 * @has_shift: the file has a TIME_SHIFT
 * @nanoseconds: its TSC2NSEC; @nanoseconds.mult is 0 without one
 * @added: what is finally added: nanoseconds with a TSC2NSEC, else cycles
 */
struct shown_times {
	struct time_shift_reader	shift;
	bool				has_shift;
	struct tsc2nsec			nanoseconds;
	int64_t				added;
};

int shown_times_read_added(int64_t *added, struct trace_dat *dat);
int shown_times_read(struct shown_times *shown, struct trace_dat *dat);
bool shown_times_same_unit(const struct shown_times *a, const struct shown_times *b);
int64_t shown_times_difference(const struct shown_times *guest, const struct shown_times *host);
void shown_times_release(struct shown_times *shown);

#endif /* TSC_OFFSET_SHOWN_TIMES_H */
