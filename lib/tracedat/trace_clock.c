// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc_clock.h"

/* trace-cmd's name for x86-tsc where readers are to show nanoseconds; the times in the file are cycles */
#define TSC2NSEC_CLOCK	"tsc2nsec"

/* What trace-cmd writes where it does not know the clock, and the name of one as well */
#define ANY_CLOCK	"local"

/* The clocks counter and uptime are whole numbers as well. A TSC passes this within seconds after it starts. */
#define MIN_TSC		(1ULL << 32)

/* What the kernel counted for a buffer has times of the buffer's own clock */
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
 * @dat: the file
 * @buffer: one of it
 * @name: result: the clock's name, "?" if the file names none
 * @size: bytes at @name
 *
 * In the option BUFFER trace-cmd writes the clock that the host's top buffer has when the file is written, "local" if
 * that was not recorded, whatever clock the instance has; and for the top buffer of a guest it writes "local" if only
 * instances were recorded on the host. Then there are better sources: the kernel's counts, in which times are seconds
 * with a point if the clock counts nanoseconds, and what the file says of the first buffer that was recorded: the
 * option TRACECLOCK, the clocks of tracefs with the one that was chosen in brackets.
 *
 * Returns: true if they are.
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
	/* If it has events the top buffer was the first. Another name than that for any clock is its own. */
	if (!*buffer->name && *buffer->clock && strcmp(buffer->clock, ANY_CLOCK))
		return false;
	return first_is_tsc || (seen.tsc && (*buffer->name || !*buffer->clock));
}
