/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The times of a guest's clocks as times of the host's CLOCK_ID_BOOTTIME. */
#ifndef TSC_OFFSET_GUEST_TIMES_H
#define TSC_OFFSET_GUEST_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "clock_line.h"
#include "clock_rows.h"

struct guest_places;

/**
 * struct guest_times - what is needed for that
 * @clocks: each of the guest's clocks to the host's TSC; not usable for those that are not known
 * @host: the host's TSC to its CLOCK_ID_BOOTTIME
 * @from, @to: host times between which @clocks hold, in cycles
 * @nr: how many times were computed
 * @nr_outside: how many of them are before the first snapshot of the guest or of the host, or after the last
 * @furthest: how far the furthest of these is from it, in ns
 */
struct guest_times {
	struct clock_line	clocks[CLOCKS];
	struct clock_line	host;
	uint64_t		from;
	uint64_t		to;
	uint64_t		nr;
	uint64_t		nr_outside;
	uint64_t		furthest;
};

int guest_times_make(struct guest_times *times, const struct guest_places *places, const struct clock_rows *host);
bool guest_times_at(struct guest_times *times, uint64_t clock, uint64_t ns, uint64_t *host_ns);
void guest_times_release(struct guest_times *times);

#endif /* TSC_OFFSET_GUEST_TIMES_H */
