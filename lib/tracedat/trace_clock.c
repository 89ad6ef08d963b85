// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc_clock.h"

/* trace-cmd's name for x86-tsc if readers are to show nanoseconds; the times in the file are cycles */
#define TSC2NSEC_CLOCK	"tsc2nsec"

/* trace-cmd writes it if it does not know the clock; it is also the name of a clock */
#define ANY_CLOCK	"local"

/* The clocks counter and uptime are integers too. A TSC exceeds this value within seconds after its start. */
#define MIN_TSC		(1ULL << 32)

/* The kernel's counts of a buffer have times of the buffer's own clock */
struct seen {
	bool	ns;
	bool	tsc;
};

static struct seen look_at_stats(const struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	struct seen seen = { 0 };
	size_t nr;

	if (cpu_stats_of_file(&stats, &nr, dat, buffer))
		return seen;
	for (size_t i = 0; i < nr; i++) {
		seen.ns |= stats[i].by_ns;
		seen.tsc |= stats[i].by_cycles && stats[i].now >= MIN_TSC;
	}
	return seen;
}

/**
 * trace_clock_is_tsc - are a buffer's times raw TSC values?
 * @dat: the open file
 * @buffer: a buffer of @dat
 * @name: result: the clock's name, "?" if the file does not name one
 * @size: size of @name in bytes
 *
 * In the option BUFFER, trace-cmd writes the clock of the host's top buffer at the time of writing, whatever clock the
 * instance has, or "local" if the top buffer was not recorded. For a guest's top buffer it writes "local" if only
 * instances were recorded on the host. There are better sources: the kernel's counts, which have times in seconds with
 * a decimal point if the clock counts nanoseconds; and, for the first buffer that was recorded, the option TRACECLOCK,
 * which has the clocks of tracefs with the selected one in brackets.
 *
 * Returns: true if so.
 */
bool trace_clock_is_tsc(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			char *name, size_t size)
{
	const struct trace_dat_option *option = trace_dat_option(dat, TRACE_DAT_TRACECLOCK);
	bool first_is_tsc = option && strstr((const char *)option->data, "[" TSC_CLOCK "]");
	struct seen seen = look_at_stats(dat, buffer);
	bool named = !strcmp(buffer->clock, TSC_CLOCK) || !strcmp(buffer->clock, TSC2NSEC_CLOCK);

	snprintf(name, size, "%s", named && seen.ns ? "one of nanoseconds" : *buffer->clock ? buffer->clock : "?");
	if (named || seen.ns)
		return !seen.ns;
	/* If the top buffer has events, it was recorded first. Any name but the ambiguous one is its own clock. */
	if (!*buffer->name && *buffer->clock && strcmp(buffer->clock, ANY_CLOCK))
		return false;
	return first_is_tsc || (seen.tsc && (*buffer->name || !*buffer->clock));
}
