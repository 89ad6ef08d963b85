/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Converts the times of a guest's clocks into times of the host's CLOCK_ID_BOOTTIME. */
#ifndef TSC_OFFSET_GUEST_TIMES_H
#define TSC_OFFSET_GUEST_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "clock_line.h"
#include "clock_rows.h"

struct guest_places;

/**
 * struct guest_times - the conversion
 * @clocks: lines from each of the guest's clocks to the host's TSC; unusable for unknown clocks
 * @host: line from the host's TSC to its CLOCK_ID_BOOTTIME
 * @from, @to: range of host times in which @clocks are valid, in cycles
 * @nr: number of times converted
 * @nr_outside: number of them before the first or after the last snapshot of the guest or the host
 * @furthest: the largest distance of these, in ns
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
