// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A file of any bytes, read as verbs read it: the formats of events, all options, all events of all buffers. Errors
 * have a place, and the size of the file limits the amount of data that is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_dat.h"
#include "trace_stream.h"

struct memory_file memory_files[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct trace_dat *dat, int ret)
{
	if (ret != -EBADMSG && ret != -ENOTSUP)
		abort();
	if (dat->error->code != ret || !dat->error->has_offset || !*dat->error->text)
		abort();
}

static void read_formats(struct trace_dat *dat)
{
	static const char *const names[] = { "kvm_write_tsc_offset", "kvm_entry", "kvm_exit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t size;
		char *text;
		int ret = trace_dat_event_format(dat, "kvm", names[i], &text, &size);

		if (!ret) {
			if (strlen(text) != size)
				abort();
			free(text);
		} else if (ret != -ENOENT) {
			check_error(dat, ret);
		}
	}
}

static void read_parts(struct trace_dat *dat)
{
	for (int id = TRACE_DAT_FTRACE_FORMATS; id <= TRACE_DAT_CMDLINES; id++) {
		uint8_t *bytes;
		size_t size;
		int ret = trace_dat_part(dat, id, &bytes, &size);

		if (ret && ret != -ENOENT)
			check_error(dat, ret);
		if (!ret && bytes[size])
			abort();
		free(bytes);
	}
}

/* All bytes of an event can be read */
static void touch(const struct ring_event *event)
{
	static volatile uint8_t last;

	for (size_t i = 0; i < event->size; i += 64)
		last = event->data[i];
	if (event->size)
		last = event->data[event->size - 1];
	(void)last;
}

/* Returns: the number of events */
static size_t read_events(struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	const struct cpu_stream *cpu;
	struct trace_stream stream;
	size_t events = 0;
	int ret;

	ret = trace_stream_open(&stream, dat, buffer, NULL);
	while (!ret && (ret = trace_stream_next(&stream, &cpu)) == 1) {
		ret = 0;
		events++;
		touch(&cpu->event);
	}
	if (ret < 0) {
		check_error(dat, ret);
		/* Reading on after an error is not allowed, but harmless */
		while (trace_stream_next(&stream, &cpu) == 1)
			touch(&cpu->event);
	}
	trace_stream_close(&stream);
	return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error = { 0 };
	struct trace_dat dat;
	size_t events = 0;
	int ret;

	memory_files[0] = (struct memory_file) { data, size };
	ret = trace_dat_open(&dat, "memory", &error);
	if (ret) {
		check_error(&dat, ret);
	} else {
		read_formats(&dat);
		read_parts(&dat);
	}
	for (size_t i = 0; i < dat.nr_options; i++) {
		const struct trace_dat_option *option = &dat.options[i];

		if (option->offset > size || option->size > size - option->offset ||
		    memcmp(option->data, data + option->offset, option->size) ||
		    option->data[option->size])
			abort();
	}
	for (size_t i = 0; i < dat.nr_buffers && !ret; i++)
		events += read_events(&dat, &dat.buffers[i]);
	/* Each event takes at least 4 bytes, and events do not overlap */
	if (dat.compression == COMPRESSION_NONE && events > size / 4)
		abort();
	trace_dat_close(&dat);
	return 0;
}
