// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "quiet_time.h"
#include "vcpu_modes.h"

/* If a CPU has events in fewer spans, the length of its pauses is hardly known */
#define ENOUGH		16
/*
 * Spans that any vCPU may run without an event; half of them are in guest mode. The second value: with fewer than
 * ENOUGH.
 */
#define ALLOWANCE	4
#define MORE_ALLOWANCE	32
/* Factor by which a pause may exceed the longest one: for even pauses, and for very uneven ones */
#define LEAST_FACTOR	2
#define MOST_FACTOR	8
/*
 * A guest with events in this many spans is never silent for more than this multiple of both its duration and its
 * longest silence
 */
#define SILENT_NR	8
#define SILENT_FACTOR	100

/**
 * quiet_time_outside - add an event outside of the host's recording
 * @quiet: state of its CPU
 * @host_tsc: its time, in host cycles
 * @is_before: the event is before the recording, else after it
 */
void quiet_time_outside(struct quiet_time *quiet, uint64_t host_tsc, bool is_before)
{
	bool follows = is_before ? quiet->before : quiet->after;

	if (follows && host_tsc > quiet->outside_tsc && host_tsc - quiet->outside_tsc > quiet->silent)
		quiet->silent = host_tsc - quiet->outside_tsc;
	quiet->outside_tsc = host_tsc;
	if (is_before) {
		quiet->before_tsc = host_tsc;
		quiet->before++;
	} else if (!quiet->after++) {
		quiet->after_tsc = host_tsc;
	}
	quiet->back += is_before && (quiet->any || quiet->after);
}

/**
 * quiet_time_within - add any other event
 * @quiet: state of its CPU
 * @host_tsc: its time, in host cycles
 * @span: its span of the vCPU's modes, MODE_SPAN_NONE before the first
 */
void quiet_time_within(struct quiet_time *quiet, uint64_t host_tsc, size_t span)
{
	if (span == MODE_SPAN_NONE)
		span = 0;
	if (!quiet->any) {
		quiet->first_tsc = host_tsc;
		quiet->begin = span;
	} else if (span > quiet->last && span - quiet->last > quiet->longest) {
		quiet->longest = span - quiet->last;
	}
	quiet->nr += !quiet->any || span != quiet->last;
	quiet->back += !!quiet->after;
	quiet->any = true;
	quiet->last = span;
	quiet->last_tsc = host_tsc;
}

/* The most spans without an event that are plausible: the more uneven the pauses, the longer one may be */
static size_t longest_pause(const struct quiet_time *quiet)
{
	size_t pauses = quiet->nr > 1 ? quiet->nr - 1 : 1;
	size_t mean = quiet->last > quiet->begin ? (quiet->last - quiet->begin) / pauses : 0;
	size_t factor = mean ? quiet->longest / mean / 2 : MOST_FACTOR;

	if (factor < LEAST_FACTOR)
		factor = LEAST_FACTOR;
	if (factor > MOST_FACTOR)
		factor = MOST_FACTOR;
	return factor * quiet->longest + (quiet->nr < ENOUGH ? MORE_ALLOWANCE : ALLOWANCE);
}

/* Is the guest silent between two times for longer than guests ever are? */
static bool is_silent(const struct quiet_time *quiet, uint64_t from, uint64_t to)
{
	uint64_t silent = to > from ? (to - from) / SILENT_FACTOR : 0;

	return quiet->nr >= SILENT_NR && quiet->last_tsc > quiet->first_tsc &&
	       silent > quiet->last_tsc - quiet->first_tsc && silent > quiet->silent;
}

/**
 * quiet_time_event - add the next event of a CPU
 * @quiet: updated
 * @host_tsc: its time, in host cycles
 * @begin, @end: first and last host TSC, in cycles, for which the vCPUs in guest mode are known
 * @span: index of its span of the vCPU's modes, if it is inside these times
 */
void quiet_time_event(struct quiet_time *quiet, uint64_t host_tsc, uint64_t begin, uint64_t end, size_t span)
{
	if (host_tsc < begin || host_tsc > end)
		quiet_time_outside(quiet, host_tsc, host_tsc < begin);
	else
		quiet_time_within(quiet, host_tsc, span);
}

/**
 * quiet_time_doubtful - count events that may have been recorded within the host's recording but are not shown there
 * @quiet: state of a CPU after all of its events
 * @modes: modes of its vCPU
 *
 * Returns: the number of events before the host's recording, if the vCPU ran unusually long without an event after the
 * begin of the recording, or if they are unusually long before the others; plus the number of events after it, by the
 * same rule at its end. Events that are @back count in any case.
 */
uint64_t quiet_time_doubtful(const struct quiet_time *quiet, const struct vcpu_modes *modes)
{
	size_t usual = longest_pause(quiet);
	uint64_t nr = quiet->back;

	/* If the guest was recorded at another time, all its events are outside */
	if (!quiet->any)
		return 0;
	if (quiet->begin > usual || (quiet->before && is_silent(quiet, quiet->before_tsc, quiet->first_tsc)))
		nr += quiet->before;
	if (modes->nr - 1 - quiet->last > usual ||
	    (quiet->after && is_silent(quiet, quiet->last_tsc, quiet->after_tsc)))
		nr += quiet->after;
	return nr < quiet->before + quiet->after ? nr : quiet->before + quiet->after;
}
