// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "cpu_stream.h"
#include "guest_trace.h"
#include "trace_dat.h"

static int read_first(struct guest_trace *guest, const struct trace_dat_cpu *cpu)
{
	struct cpu_stream stream;
	int ret;

	ret = cpu_stream_open(&stream, guest->dat, guest->buffer, cpu);
	if (!ret)
		ret = cpu_stream_next(&stream);
	if (ret > 0)
		guest->cpus[cpu->cpu] = (struct guest_cpu) { true, stream.event.ts, UINT64_MAX };
	cpu_stream_close(&stream);
	return ret < 0 ? ret : 0;
}

/*
 * The last page tells, else when the kernel counted events, which is after the last. Nothing depends on it but
 * whether both were recorded at the same time: what cannot be read is not worth failing.
 */
static void read_last(struct guest_trace *guest, const struct trace_dat_cpu *cpu, const struct cpu_stats *stats)
{
	struct guest_cpu *result = &guest->cpus[cpu->cpu];
	struct cpu_stream stream;
	uint64_t last = 0;
	int ret;

	ret = cpu_stream_open_last_page(&stream, guest->dat, guest->buffer, cpu);
	while (!ret && (ret = cpu_stream_next(&stream)) > 0) {
		last = stream.event.ts;
		ret = 0;
	}
	cpu_stream_close(&stream);
	if (ret && stats && stats->by_cycles)
		last = stats->now;
	if (last >= result->first)
		result->last = last;
}

static int read_lasts(struct guest_trace *guest)
{
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	size_t nr_stats;
	int ret;

	ret = cpu_stats_of_file(&stats, &nr_stats, guest->dat, guest->buffer);
	for (size_t i = 0; i < guest->buffer->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *cpu = &guest->buffer->cpus[i];

		if (cpu->size && guest->cpus[cpu->cpu].has_events)
			read_last(guest, cpu, cpu_stats_find(stats, nr_stats, cpu->cpu));
	}
	return ret ? trace_dat_refuse(guest->dat, ret, "no memory") : 0;
}

/**
 * guest_trace_read - read what a guest's file tells
 * @guest: result; to be released in any case
 * @dat: open, for as long as the result is used
 * @buffer: which buffer counts
 *
 * Only the first pages of each CPU and the last are read, however large the file is.
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int guest_trace_read(struct guest_trace *guest, struct trace_dat *dat,
		     const struct trace_dat_buffer *buffer)
{
	size_t nr = 0;
	int ret = 0;

	*guest = (struct guest_trace) {
		.dat = dat, .buffer = buffer, .trace_id = trace_dat_trace_id(dat)
	};
	for (size_t i = 0; i < buffer->nr_cpus; i++) {
		if (buffer->cpus[i].size && buffer->cpus[i].cpu >= nr)
			nr = buffer->cpus[i].cpu + 1UL;
	}
	guest->cpus = calloc(nr + 1, sizeof(*guest->cpus));
	if (!guest->cpus)
		return trace_dat_refuse(dat, -ENOMEM, "no memory");
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		if (buffer->cpus[i].size)
			ret = read_first(guest, &buffer->cpus[i]);
	}
	for (size_t i = 0; i < nr; i++) {
		if (guest->cpus[i].has_events)
			guest->nr_cpus = i + 1;
	}
	return ret ? ret : read_lasts(guest);
}

/**
 * guest_trace_release - free what was read
 * @guest: read, or failed to
 */
void guest_trace_release(struct guest_trace *guest)
{
	free(guest->cpus);
	guest->cpus = NULL;
}
