// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cpu_stats.h"
#include "order.h"
#include "trace_dat.h"

/* Limit of CPUs with counts in a buffer: kernels have up to 8192 */
#define MAX_STATS	(1U << 14)

/* Returns: the value if the line has this name, else NULL */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	return strncmp(line, name, length) ? NULL : line + length;
}

static uint64_t take_time(struct cpu_stats *stats, const char *value)
{
	char *end;
	uint64_t time = strtoull(value, &end, 10);

	if (*end == '.')
		stats->by_ns = true;
	else if (end > value)
		stats->by_cycles = true;
	return time;
}

static void take_line(struct cpu_stats *stats, const char *line)
{
	const char *value;

	if ((value = value_of(line, "CPU: ")))
		stats->cpu = strtoul(value, NULL, 10);
	else if ((value = value_of(line, "entries: ")))
		stats->entries = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "overrun: ")))
		stats->overrun = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "commit overrun: ")))
		stats->commit_overrun = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "dropped events: ")))
		stats->dropped = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "read events: ")))
		stats->read = strtoull(value, NULL, 10);
	else if ((value = value_of(line, "oldest event ts: ")))
		stats->oldest = take_time(stats, value);
	else if ((value = value_of(line, "now ts: ")))
		stats->now = take_time(stats, value);
}

/**
 * cpu_stats_parse - parse the counts of one CPU
 * @stats: result; members that the text does not have are 0
 * @text: contents of the file stats, which trace-cmd prefixes with "CPU: NUMBER"
 */
void cpu_stats_parse(struct cpu_stats *stats, const char *text)
{
	*stats = (struct cpu_stats) { 0 };
	while (*text) {
		take_line(stats, text);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

static ORDER_BY(compare_stats, struct cpu_stats, cpu)

/**
 * cpu_stats_of_file - read a file's counts for one of its buffers
 * @stats: result: counts of each CPU that has them, in the order of their numbers; to be freed
 * @nr: result: number of @stats
 * @dat: the open file
 * @buffer: a buffer of @dat
 *
 * Each CPU has a text. Another text, "Buffer: NAME", precedes those of an instance.
 *
 * Returns: 0 or -ENOMEM.
 */
int cpu_stats_of_file(struct cpu_stats **stats, size_t *nr, const struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer)
{
	size_t length = strlen(buffer->name), capacity = 0;
	bool wanted = !length;

	*stats = NULL;
	*nr = 0;
	for (size_t i = 0; i < dat->nr_options && *nr < MAX_STATS; i++) {
		const char *text = (const char *)dat->options[i].data, *name;

		if (dat->options[i].id != TRACE_DAT_CPUSTAT)
			continue;
		name = value_of(text, "\nBuffer: ");
		if (name)
			wanted = !strncmp(name, buffer->name, length) && name[length] == '\n';
		if (name || !wanted)
			continue;
		if (array_reserve(*stats, *nr, capacity))
			return -ENOMEM;
		cpu_stats_parse(&(*stats)[(*nr)++], text);
	}
	array_sort(*stats, *nr, compare_stats);
	return 0;
}

/**
 * cpu_stats_loss - find losses of a CPU that the file's pages do not report
 * @stats: the kernel's counts
 * @events: the events of the file
 * @lost: result: the times between which events were lost
 *
 * Pages report events that were overwritten before them. Only the counts report events lost after the last page and
 * events that the kernel or trace-cmd dropped: they were in the ring buffer at the last read, or were read, but are not
 * in the file. trace-cmd may count before it reads the rest, so the file can have more events than were counted as
 * read.
 *
 * Returns: true if events are missing.
 */
bool cpu_stats_loss(const struct cpu_stats *stats, const struct cpu_events *events, struct lost_range *lost)
{
	*lost = (struct lost_range) { .to = stats->by_cycles && stats->now > events->last ? stats->now : UINT64_MAX };
	/* At any time: an event did not fit into the buffer, or the file was full or limited by trace-cmd's -m */
	if (stats->commit_overrun || stats->dropped || stats->read > events->nr)
		return true;
	lost->from = events->last;
	return stats->overrun > events->told || (stats->entries && stats->by_cycles && stats->oldest > events->last);
}

/**
 * cpu_stats_find - find the counts of one CPU
 * @stats: counts from cpu_stats_of_file()
 * @nr: number of @stats
 * @cpu: number of the CPU
 *
 * Returns: its counts, or NULL.
 */
const struct cpu_stats *cpu_stats_find(const struct cpu_stats *stats, size_t nr, unsigned int cpu)
{
	const struct cpu_stats key = { .cpu = cpu };

	return nr ? bsearch(&key, stats, nr, sizeof(*stats), compare_stats) : NULL;
}
