// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "guest_places.h"
#include "guest_times.h"

/**
 * guest_times_make - make all lines
 * @times: result; must be released in any case
 * @places: the places of the guest's snapshots
 * @host: the snapshots of the host
 *
 * Returns: 0, -ERANGE if CLOCK_ID_BOOTTIME or the host's TSC went back, or -ENOMEM.
 */
int guest_times_make(struct guest_times *times, const struct guest_places *places, const struct clock_rows *host)
{
	int ret = 0;

	*times = (struct guest_times) { 0 };
	for (size_t i = 0; i < host->nr && !ret; i++)
		ret = clock_line_add(&times->host, host->rows[i].values[CLOCK_ID_TSC],
				     host->rows[i].values[CLOCK_ID_BOOTTIME], false);
	for (unsigned int clock = 0; clock < CLOCKS && !ret; clock++) {
		if (clock == CLOCK_ID_TSC)
			continue;
		ret = guest_places_line(places, clock, &times->clocks[clock]);
		/* A wall clock may be set back: its times are ambiguous then */
		if (ret == -ERANGE && clock != CLOCK_ID_BOOTTIME) {
			clock_line_release(&times->clocks[clock]);
			ret = 0;
		}
	}
	guest_places_limits(places, &times->from, &times->to);
	return ret;
}

/* Distance of a time from the first or last node, in ns by the second clock or by the first */
static void note_outside(struct guest_times *times, const struct clock_line *line, line_time from, line_time ns,
			 bool own)
{
	const struct clock_node *first = &line->nodes[0], *last = &line->nodes[line->nr - 1];
	bool before = from < line_time_of(first->from);
	const struct clock_node *nearest = before ? first : last;
	line_time far = ns - line_time_of(own ? nearest->from : nearest->to);

	far = (far < 0 ? -far : far) >> CLOCK_LINE_BITS;
	if ((uint64_t)far > times->furthest)
		times->furthest = (uint64_t)far;
}

/**
 * guest_times_at - convert a time of the guest into one of the host
 * @times: the lines
 * @clock: the guest's clock
 * @ns: its time
 * @host_ns: result: the host's CLOCK_ID_BOOTTIME, rounded to the nearest nanosecond
 *
 * Returns: false if it is unknown.
 */
bool guest_times_at(struct guest_times *times, uint64_t clock, uint64_t ns, uint64_t *host_ns)
{
	const struct clock_line *line = clock < CLOCKS ? &times->clocks[clock] : NULL;
	line_time from = line_time_of(ns), tsc, at;
	bool outside, outside_host;

	if (!line || ns > INT64_MAX || !clock_line_at(line, from, &tsc))
		return false;
	if (tsc < line_time_of(times->from) || tsc > line_time_of(times->to) || !clock_line_at(&times->host, tsc, &at))
		return false;
	at += 1 << (CLOCK_LINE_BITS - 1);
	if (at < 0 || at > line_time_of(INT64_MAX))
		return false;
	outside = !clock_line_inside(line, from);
	outside_host = !clock_line_inside(&times->host, tsc);
	times->nr++;
	times->nr_outside += outside || outside_host;
	if (outside)
		note_outside(times, line, from, from, true);
	if (outside_host)
		note_outside(times, &times->host, tsc, at, false);
	*host_ns = (uint64_t)(at >> CLOCK_LINE_BITS);
	return true;
}

/**
 * guest_times_release - free all lines
 * @times: the lines, also after a failure
 */
void guest_times_release(struct guest_times *times)
{
	for (unsigned int clock = 0; clock < CLOCKS; clock++)
		clock_line_release(&times->clocks[clock]);
	clock_line_release(&times->host);
}
