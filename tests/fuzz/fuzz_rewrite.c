// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A file of any bytes whose pages get other times, read back. Each event has its old bytes and its new time, the same
 * events are lost, and the options are the same. The first byte of the input selects the times.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "atomic_file.h"
#include "cpu_stream.h"
#include "mutate_file.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"
#include "trace_dat_rewrite.h"

#define ADDED	"an option more"

struct memory_file memory_files[2];
struct memory_output memory_output;

static uint8_t kind;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* An unnamed file */
int atomic_file_open(struct atomic_file *file, const char *path)
{
	*file = (struct atomic_file) { .path = path, .fd = MEMORY_OUTPUT };
	return 0;
}

int atomic_file_rename(struct atomic_file *file, mode_t mode)
{
	return 0;
}

int atomic_file_sync_directory(const struct atomic_file *file)
{
	return 0;
}

void atomic_file_close(struct atomic_file *file)
{
}

/* The time is unchanged, scaled, close to others, far apart, random, or goes back within each page */
static int give_time(void *context, const struct rewritten_event *event, uint64_t *time)
{
	uint64_t seed = event->ts ^ event->page << 32 ^ event->number ^ kind;

	switch (kind % 8) {
	case 0:
		*time = event->ts;
		break;
	case 1:
		*time = event->ts + (event->ts >> 2) + kind;
		break;
	case 2:
		*time = event->page * 100 + event->number;
		break;
	case 3:
		*time = event->ts + ((uint64_t)event->number << (27 + kind / 8));
		break;
	case 4:
		*time = prng_any(&seed);
		break;
	case 5:
		*time = event->ts - event->number * (uint64_t)kind;
		break;
	case 6:
		*time = event->number % 4 ? event->ts : event->ts - 1000;
		break;
	default:
		*time = event->ts << (kind / 8);
	}
	return 0;
}

/* Compare all events of a CPU: @pages has the place of each event, @events the losses before it */
static void compare_events(struct trace_dat *dat, struct trace_dat *copy, size_t buffer, size_t cpu)
{
	struct rewritten_event at = { .buffer = buffer, .cpu = cpu };
	struct cpu_stream pages, events, copied;

	if (cpu_stream_open(&pages, dat, &dat->buffers[buffer], &dat->buffers[buffer].cpus[cpu]) ||
	    cpu_stream_open(&events, dat, &dat->buffers[buffer], &dat->buffers[buffer].cpus[cpu]) ||
	    cpu_stream_open(&copied, copy, &copy->buffers[buffer], &copy->buffers[buffer].cpus[cpu]))
		abort();
	while (cpu_stream_next_page(&pages) == 1) {
		at.page = pages.nr_pages - 1;
		for (at.number = 0; cpu_stream_next_in_page(&pages) == 1; at.number++) {
			uint64_t time = 0;

			at.ts = pages.event.ts;
			give_time(NULL, &at, &time);
			if (cpu_stream_next(&events) != 1 || cpu_stream_next(&copied) != 1)
				abort();
			if (copied.event.ts != time || copied.event.size != pages.event.size ||
			    memcmp(copied.event.data, pages.event.data, pages.event.size) ||
			    copied.lost != events.lost || copied.page.late)
				abort();
		}
	}
	if (cpu_stream_next(&events) || cpu_stream_next(&copied))
		abort();
	cpu_stream_close(&pages);
	cpu_stream_close(&events);
	cpu_stream_close(&copied);
}

/* Compare options; only offsets in them differ */
static void compare_options(const struct trace_dat *dat, const struct trace_dat *copy, bool retired)
{
	size_t j = 0;

	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i], *copied = &copy->options[j];

		if (retired && option->id == TRACE_DAT_TIME_SHIFT)
			continue;
		if (j++ == copy->nr_options || copied->id != option->id || copied->size != option->size)
			abort();
		if (option->id != TRACE_DAT_BUFFER && option->id < TRACE_DAT_HEADER_INFO &&
		    memcmp(copied->data, option->data, option->size))
			abort();
	}
	if (j + retired != copy->nr_options || (retired && memcmp(copy->options[j].data, ADDED, sizeof(ADDED))))
		abort();
}

static void compare(struct trace_dat *dat, bool retired)
{
	struct error error = { 0 };
	struct trace_dat copy;

	memory_files[1] = (struct memory_file) { memory_output.data, memory_output.size };
	if (trace_dat_open(&copy, "guest", &error) || copy.version != dat->version ||
	    copy.nr_buffers != dat->nr_buffers || copy.compression != dat->compression ||
	    copy.long_size != dat->long_size)
		abort();
	compare_options(dat, &copy, retired);
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &dat->buffers[i], *copied = &copy.buffers[i];

		if (strcmp(buffer->name, copied->name) || buffer->nr_cpus != copied->nr_cpus ||
		    buffer->page_size != copied->page_size || buffer->compressed != copied->compressed)
			abort();
		for (size_t c = 0; c < buffer->nr_cpus; c++) {
			if (buffer->cpus[c].cpu != copied->cpus[c].cpu)
				abort();
			compare_events(dat, &copy, i, c);
		}
	}
	trace_dat_close(&copy);
}

static void check_error(const struct trace_dat *dat, int ret)
{
	if (ret != -EBADMSG && ret != -ENOTSUP && ret != -ENOSPC)
		abort();
	if (dat->error->code != ret || !*dat->error->text)
		abort();
}

static void rewrite(struct trace_dat *dat, bool retire)
{
	struct trace_dat_edit edit = { 0 };
	int unsynced, ret;

	for (size_t i = 0; i < dat->nr_options && retire; i++) {
		if (dat->options[i].id == TRACE_DAT_TIME_SHIFT && trace_dat_edit_retire(&edit, dat->options[i].offset))
			abort();
	}
	if (retire && trace_dat_edit_add(&edit, TRACE_DAT_TIME_SHIFT, ADDED, sizeof(ADDED)))
		abort();
	memory_output.size = 0;
	ret = trace_dat_rewrite(dat, &edit, give_time, NULL, "copy", &unsynced);
	if (ret)
		check_error(dat, ret);
	else
		compare(dat, retire);
	trace_dat_edit_release(&edit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error = { 0 };
	struct trace_dat dat;

	if (!size)
		return 0;
	kind = data[0];
	memory_files[0] = (struct memory_file) { data + 1, size - 1 };
	if (!trace_dat_open(&dat, "memory", &error))
		rewrite(&dat, kind & 64);
	trace_dat_close(&dat);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint64_t random = seed;
	struct error error = { 0 };
	struct trace_dat dat;

	if (size < 2 || !(prng(&random) % 4))
		return LLVMFuzzerMutate(data, size, max_size);
	if (!(prng(&random) % 4))
		data[0] = (uint8_t)prng(&random);
	memory_files[0] = (struct memory_file) { data + 1, size - 1 };
	if (!trace_dat_open(&dat, "memory", &error)) {
		for (size_t times = 1 + prng(&random) % 2; times; times--)
			mutate_file(&random, &dat, data + 1);
	}
	trace_dat_close(&dat);
	return size;
}
