// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The events of each buffer of trace.dat files, as our readers and as libtracecmd's give them: the same
 * number, order, times, sizes and bytes, and the same gaps.
 *
 * usage: compare_events [-o] FILE...
 * Prints a line for each buffer: file, name, events, events that were lost, and a checksum of it all.
 * With -o only ours are read, for what this libtracecmd cannot decompress.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <trace-cmd/trace-cmd.h>

#include "trace_dat.h"
#include "trace_stream.h"

/* Of trace-cmd's private header: what report --raw-ts sets. The library exports the function. */
#define TRACECMD_FL_RAW_TS (1 << 3)
void tracecmd_set_flag(struct tracecmd_input *handle, int flag);

struct comparison {
	struct trace_stream	stream;
	struct trace_dat	*dat;
	uint64_t		events;
	uint64_t		lost;
	uint64_t		checksum;
};

static uint64_t mixed(uint64_t checksum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		checksum = (checksum ^ bytes[i]) * 0x100000001b3ULL;
	return checksum;
}

/* Returns: 1 with our next event, 0 at the end, -1 on an error */
static int next(struct comparison *c, const struct cpu_stream **cpu)
{
	int ret = trace_stream_next(&c->stream, cpu);

	if (ret < 0)
		fprintf(stderr, "%s: %s\n", c->dat->path, c->dat->error->text);
	if (ret <= 0)
		return ret;
	c->events++;
	if ((*cpu)->lost)
		c->lost += (*cpu)->page.nr_lost;
	c->checksum = mixed(c->checksum, &(*cpu)->cpu->cpu, sizeof((*cpu)->cpu->cpu));
	c->checksum = mixed(c->checksum, &(*cpu)->event.ts, sizeof((*cpu)->event.ts));
	c->checksum = mixed(c->checksum, (*cpu)->event.data, (*cpu)->event.size);
	return 1;
}

static int compare(struct tracecmd_input *handle, struct tep_record *record, int cpu, void *data)
{
	const struct cpu_stream *ours;
	struct comparison *c = data;

	if (next(c, &ours) != 1) {
		fprintf(stderr, "%s: no event after %llu\n", c->dat->path, (unsigned long long)c->events);
		return -1;
	}
	if (record->ts != ours->event.ts || (uint32_t)record->cpu != ours->cpu->cpu ||
	    (size_t)record->size != ours->event.size ||
	    memcmp(record->data, ours->event.data, ours->event.size) ||
	    (record->missed_events && !ours->lost) ||
	    (record->missed_events > 0 && (uint64_t)record->missed_events != ours->page.nr_lost)) {
		fprintf(stderr, "%s: event %llu is CPU %u, time %llu, %zu bytes, lost %d (%llu); "
			"libtracecmd: CPU %d, time %llu, %d bytes, lost %lld\n", c->dat->path,
			(unsigned long long)c->events - 1, ours->cpu->cpu,
			(unsigned long long)ours->event.ts, ours->event.size, ours->lost,
			(unsigned long long)ours->page.nr_lost, record->cpu, record->ts, record->size,
			record->missed_events);
		return -1;
	}
	return 0;
}

static struct tracecmd_input *handle_of(struct tracecmd_input *top, const char *name)
{
	if (!*name)
		return top;
	for (int i = 0; i < tracecmd_buffer_instances(top); i++) {
		if (!strcmp(tracecmd_buffer_instance_name(top, i), name))
			return tracecmd_buffer_instance_handle(top, i);
	}
	return NULL;
}

static int compare_buffer(struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			  struct tracecmd_input *top)
{
	struct comparison c = { .dat = dat, .checksum = 0xcbf29ce484222325ULL };
	struct tracecmd_input *handle = NULL;
	const struct cpu_stream *ours;
	int ret;

	if (trace_stream_open(&c.stream, dat, buffer, NULL)) {
		fprintf(stderr, "%s: %s\n", dat->path, dat->error->text);
		trace_stream_close(&c.stream);
		return 1;
	}
	if (top) {
		handle = handle_of(top, buffer->name);
		ret = handle ? tracecmd_iterate_events(handle, NULL, 0, compare, &c) : -1;
		if (handle && handle != top)
			tracecmd_close(handle);
		if (!ret && next(&c, &ours)) {
			fprintf(stderr, "%s: more events than libtracecmd has\n", dat->path);
			ret = -1;
		}
	} else {
		while ((ret = next(&c, &ours)) > 0)
			;
	}
	trace_stream_close(&c.stream);
	printf("%s \"%s\" %llu %llu %016llx\n", dat->path, buffer->name, (unsigned long long)c.events,
	       (unsigned long long)c.lost, (unsigned long long)c.checksum);
	return ret != 0;
}

static int compare_file(const char *path, bool alone)
{
	struct tracecmd_input *top = NULL;
	struct error error = { 0 };
	struct trace_dat dat;
	int ret = 0;

	if (trace_dat_open(&dat, path, &error)) {
		fprintf(stderr, "%s: %s\n", path, error.text);
		ret = 1;
	} else if (!alone) {
		top = tracecmd_open(path, TRACECMD_FL_LOAD_NO_PLUGINS);
		if (top)
			tracecmd_set_flag(top, TRACECMD_FL_RAW_TS);
		ret = !top || (size_t)tracecmd_buffer_instances(top) + 1 != dat.nr_buffers;
		if (ret)
			fprintf(stderr, "%s: libtracecmd finds other buffers\n", path);
	}
	for (size_t i = 0; i < dat.nr_buffers && !ret; i++)
		ret = compare_buffer(&dat, &dat.buffers[i], top);
	if (top)
		tracecmd_close(top);
	trace_dat_close(&dat);
	return ret;
}

int main(int argc, char **argv)
{
	bool alone = argc > 1 && !strcmp(argv[1], "-o");
	int ret = argc < 2 + alone ? 2 : 0;

	tracecmd_set_loglevel(TEP_LOG_NONE);
	for (int i = 1 + alone; i < argc; i++)
		ret |= compare_file(argv[i], alone);
	return ret;
}
