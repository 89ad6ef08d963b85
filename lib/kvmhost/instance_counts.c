// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tracefs.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "instance_counts.h"

static char *read_cpu_file(struct tracefs_instance *instance, unsigned int cpu, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "per_cpu/cpu%u/%s", cpu, name);
	errno = 0;
	return tracefs_instance_file_read(instance, path, NULL);
}

static int read_cpu(struct tracefs_instance *instance, struct cpu_counts *counts)
{
	_cleanup_(freep) char *stats = read_cpu_file(instance, counts->cpu, "stats");
	_cleanup_(freep) char *size = NULL;
	struct cpu_stats parsed;

	if (stats)
		size = read_cpu_file(instance, counts->cpu, "buffer_size_kb");
	if (!size)
		return errno ? -errno : -EIO;
	cpu_stats_parse(&parsed, stats);
	*counts = (struct cpu_counts) {
		.cpu = counts->cpu, .buffer_kb = strtoull(size, NULL, 10), .entries = parsed.entries,
		.overrun = parsed.overrun, .commit_overrun = parsed.commit_overrun, .dropped = parsed.dropped,
		.read = parsed.read, .oldest = parsed.oldest,
	};
	return 0;
}

static void add(struct cpu_counts *sum, const struct cpu_counts *counts, bool first)
{
	if (first || counts->buffer_kb < sum->buffer_kb)
		sum->buffer_kb = counts->buffer_kb;
	sum->entries += counts->entries;
	sum->overrun += counts->overrun;
	sum->commit_overrun += counts->commit_overrun;
	sum->dropped += counts->dropped;
	sum->read += counts->read;
}

static int is_cpu(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "cpu", 3);
}

static int find_cpus(struct instance_counts *counts, struct tracefs_instance *instance)
{
	char *path = tracefs_instance_get_file(instance, "per_cpu");
	struct dirent **entries;
	int found;

	if (!path)
		return -ENOMEM;
	/* Numeric order: cpu10 comes after cpu9 */
	found = scandir(path, &entries, is_cpu, versionsort);
	tracefs_put_tracing_file(path);
	if (found < 0)
		return -errno;
	counts->cpus = calloc(found ? (size_t)found : 1, sizeof(*counts->cpus));
	for (int i = 0; i < found; i++) {
		if (counts->cpus &&
		    sscanf(entries[i]->d_name, "cpu%u", &counts->cpus[counts->nr_cpus].cpu) == 1)
			counts->nr_cpus++;
		free(entries[i]);
	}
	free(entries);
	return counts->cpus ? 0 : -ENOMEM;
}

/**
 * instance_counts_read - read the counts of events and losses of an instance
 * @counts: result; release with instance_counts_release(), also after an error
 * @instance: the instance
 *
 * Nothing is consumed.
 *
 * Returns: 0 or a negative errno.
 */
int instance_counts_read(struct instance_counts *counts, struct tracefs_instance *instance)
{
	int ret;

	*counts = (struct instance_counts) { 0 };
	ret = find_cpus(counts, instance);
	for (size_t i = 0; i < counts->nr_cpus && !ret; i++) {
		ret = read_cpu(instance, &counts->cpus[i]);
		add(&counts->sum, &counts->cpus[i], !i);
	}
	return ret;
}

/**
 * cpu_counts_lost - count missing events
 * @counts: counts of a CPU, or the sum
 *
 * Returns: the number of events that are not in the buffer any more, or never were.
 */
uint64_t cpu_counts_lost(const struct cpu_counts *counts)
{
	return counts->overrun + counts->commit_overrun + counts->dropped + counts->read;
}

/**
 * cpu_counts_lost_until - get the time until which events are missing
 * @counts: counts of a CPU
 *
 * Overwritten and consumed events are older than the events in the buffer; others may be missing anywhere.
 *
 * Returns: time by the instance's clock; 0 if nothing is missing, UINT64_MAX if unknown.
 */
uint64_t cpu_counts_lost_until(const struct cpu_counts *counts)
{
	if (!cpu_counts_lost(counts))
		return 0;
	return counts->commit_overrun || counts->dropped || !counts->oldest ? UINT64_MAX : counts->oldest;
}

/**
 * instance_counts_release - free what the counts own
 * @counts: reusable afterwards
 */
void instance_counts_release(struct instance_counts *counts)
{
	free(counts->cpus);
	*counts = (struct instance_counts) { 0 };
}
