// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Options of any number and bytes, read by all functions that read options. Results must be within the options, and
 * options that can be encoded again must have the same bytes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_stats.h"
#include "cursor.h"
#include "guest_option.h"
#include "time_shift_of_file.h"
#include "time_shift_reader.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

#define MAX_OPTIONS	16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The functions of trace_dat.c that are needed */
int trace_dat_fail(struct trace_dat *dat, int error, uint64_t offset, const char *format, ...)
{
	if (error != -EBADMSG)
		abort();
	return error;
}

const struct trace_dat_option *trace_dat_option(const struct trace_dat *dat, int id)
{
	for (size_t i = dat->nr_options; i; i--) {
		if (dat->options[i - 1].id == id)
			return &dat->options[i - 1];
	}
	return NULL;
}

/* Take a number, a size of two bytes, and the payload, in an allocation of the exact size plus a terminating zero */
static bool take_option(struct cursor *input, struct trace_dat_option *option)
{
	uint8_t id;
	uint16_t size;

	if (!cursor_take(input, &id, sizeof(id)) || !cursor_take(input, &size, sizeof(size)))
		return false;
	if (size > input->left)
		size = (uint16_t)input->left;
	*option = (struct trace_dat_option) { .id = id % 32, .size = size, .data = malloc(size + 1UL) };
	memcpy(option->data, input->at, size);
	option->data[size] = '\0';
	cursor_skip(input, size);
	return true;
}

static void read_guest(const struct trace_dat_option *option)
{
	struct guest_option guest;
	size_t size;
	void *bytes;

	if (!guest_option_decode(&guest, option->data, option->size)) {
		if (guest_option_encode(&guest, &bytes, &size) || size > option->size ||
		    memcmp(bytes, option->data, size))
			abort();
		free(bytes);
	}
	guest_option_release(&guest);
}

static void read_stats(const struct trace_dat *dat)
{
	static char instance[] = "i", top[] = "";

	for (int i = 0; i < 2; i++) {
		const struct trace_dat_buffer buffer = { .name = i ? instance : top, .clock = top };
		struct cpu_stats *stats;
		size_t nr;

		if (cpu_stats_of_file(&stats, &nr, dat, &buffer) || nr > dat->nr_options)
			abort();
		for (size_t s = 0; s < nr; s++) {
			const struct cpu_stats *found = cpu_stats_find(stats, nr, stats[s].cpu);

			if (!found || found->cpu != stats[s].cpu || (s && stats[s - 1].cpu > stats[s].cpu))
				abort();
		}
		free(stats);
	}
}

static void read_clock(const struct trace_dat *dat)
{
	static char top[] = "", clock_name[] = "local";
	const struct trace_dat_buffer buffer = { .name = top, .clock = clock_name };
	char clock[16];

	memset(clock, 'x', sizeof(clock));
	trace_clock_is_tsc(dat, &buffer, clock, sizeof(clock));
	if (!memchr(clock, '\0', sizeof(clock)))
		abort();
}

static void read_times(struct trace_dat *dat)
{
	struct time_shift_reader reader;
	struct tsc2nsec tsc2nsec;

	if (tsc2nsec_read(&tsc2nsec, dat) != (tsc2nsec.mult != 0))
		abort();
	if (time_shift_of_file(&reader, dat) > 0) {
		for (uint64_t ts = 1; ts; ts <<= 1)
			time_shift_apply(&reader, ts % 5, ts);
	}
	time_shift_reader_release(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_dat_option options[MAX_OPTIONS];
	struct trace_dat dat = { .options = options };
	struct cursor input = { data, size };

	while (dat.nr_options < MAX_OPTIONS && take_option(&input, &options[dat.nr_options]))
		dat.nr_options++;
	for (size_t i = 0; i < dat.nr_options; i++) {
		if (options[i].id == TRACE_DAT_GUEST)
			read_guest(&options[i]);
	}
	read_stats(&dat);
	read_clock(&dat);
	read_times(&dat);
	for (size_t i = 0; i < dat.nr_options; i++)
		free(options[i].data);
	return 0;
}
