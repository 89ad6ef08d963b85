// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Damaged records for the formats of real recordings: truncated anywhere, or with random bytes. Sanitizers detect
 * reads beyond a record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu_stream.h"
#include "event_texts.h"
#include "prng.h"
#include "trace_dat.h"
#include "trace_stream.h"

#define MAX_EVENTS	400

/* How many events had a name and how many a text */
struct said {
	size_t	named;
	size_t	told;
};

static struct error error;

static void read_bytes(struct event_texts *texts, const uint8_t *data, size_t size, struct said *said)
{
	/* An allocation of the exact size, so that sanitizers detect reads after it */
	uint8_t *copy = malloc(size);
	struct ring_event event = { .data = copy, .size = size };
	struct event_text text;

	assert_true(copy || !size);
	if (size)
		memcpy(copy, data, size);
	assert_int_equal(event_texts_read(texts, &event, 0, &text), 0);
	said->named += strcmp(text.name, "unknown") != 0;
	said->told += strlen(text.text) != 0;
	free(copy);
}

static void test_file(const char *name)
{
	char path[512];
	struct trace_dat dat;
	struct event_texts texts;
	struct trace_stream stream;
	const struct cpu_stream *cpu;
	struct said whole = { 0 }, cut = { 0 }, random = { 0 };
	size_t nr = 0;
	uint64_t seed = 1;

	snprintf(path, sizeof(path), "%s/agent-moved/%s", getenv("TEST_DATA"), name);
	assert_int_equal(trace_dat_open(&dat, path, &error), 0);
	assert_int_equal(event_texts_open(&texts, &dat), 0);
	assert_int_equal(trace_stream_open(&stream, &dat, &dat.buffers[0], NULL), 0);
	for (; nr < MAX_EVENTS && trace_stream_next(&stream, &cpu) > 0; nr++) {
		const struct ring_event *event = &cpu->event;
		uint8_t bytes[256];

		read_bytes(&texts, event->data, event->size, &whole);
		for (size_t size = 0; size < event->size; size++)
			read_bytes(&texts, event->data, size, &cut);
		/* The first two bytes are the event's number */
		for (int i = 0; i < 20 && event->size >= 2 && event->size <= sizeof(bytes); i++) {
			memcpy(bytes, event->data, event->size);
			for (size_t at = 2; at < event->size; at++) {
				if (prng(&seed) % 2)
					bytes[at] = prng(&seed);
			}
			read_bytes(&texts, bytes, event->size, &random);
		}
	}
	assert_int_equal(nr, MAX_EVENTS);
	assert_int_equal(whole.named, nr);
	assert_int_equal(whole.told, nr);
	assert_true(cut.named && cut.told && random.named && random.told);
	trace_stream_close(&stream);
	event_texts_close(&texts);
	trace_dat_close(&dat);
}

static void test_host(void **state)
{
	test_file("host.dat");
}

static void test_guest(void **state)
{
	test_file("guest.dat");
}

/* A file of version 6 with only the format of one event */
static void open_format(struct event_texts *texts, const char *format)
{
	const uint32_t one = 1;
	const uint64_t length = strlen(format);
	struct trace_dat dat = {
		.version = 6, .long_size = 8, .page_size = 4096, .fd = memfd_create("formats", MFD_CLOEXEC),
		.error = &error,
	};
	struct trace_dat_part *part = &dat.parts[TRACE_DAT_EVENT_FORMATS - TRACE_DAT_FTRACE_FORMATS];

	/* Write a byte first: offset 0 means that a part does not exist */
	assert_int_equal(dprintf(dat.fd, " "), 1);
	part->offset = 1;
	assert_int_equal(write(dat.fd, &one, 4), 4);
	assert_int_equal(write(dat.fd, "test", 5), 5);
	assert_int_equal(write(dat.fd, &one, 4), 4);
	assert_int_equal(write(dat.fd, &length, 8), 8);
	assert_int_equal(write(dat.fd, format, length), length);
	part->size = 4 + 5 + 4 + 8 + length;
	dat.size = part->offset + part->size;
	assert_int_equal(event_texts_open(texts, &dat), 0);
	trace_dat_close(&dat);
}

/* A field that points into its record, relative to the start of the record or to the field's own end */
static void test_pointers(void **state)
{
	static const char head[] =
		"name: points\nID: 77\nformat:\n"
		"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
		"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";
	static const struct {
		const char	*format;
		uint16_t	from;
	} kinds[] = {
		{ "\tfield:__data_loc char[] text;\toffset:8;\tsize:4;\tsigned:0;\n\n"
		  "print fmt: \"%s\", __get_str(text)\n", 0 },
		{ "\tfield:__rel_loc char[] text;\toffset:8;\tsize:4;\tsigned:0;\n\n"
		  "print fmt: \"%s\", __get_rel_str(text)\n", 12 },
	};
	static const char said[] = "hello";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct event_texts texts;
		char format[1024];

		snprintf(format, sizeof(format), "%s%s", head, kinds[i].format);
		open_format(&texts, format);
		/* @at: start of the text. The text ends with the record, or @missing bytes after it. */
		for (uint16_t at = 12; at < 40; at++) {
			uint8_t bytes[12 + 28 + sizeof(said)] = { 77 };
			uint16_t from = at - kinds[i].from, length = sizeof(said);

			memcpy(bytes + 8, &from, 2);
			memcpy(bytes + 10, &length, 2);
			memcpy(bytes + at, said, sizeof(said));
			for (size_t missing = 0; missing < sizeof(said); missing++) {
				struct ring_event event = { .data = bytes, .size = at + sizeof(said) - missing };
				struct event_text text;

				assert_int_equal(event_texts_read(&texts, &event, 0, &text), 0);
				assert_string_equal(text.name, "points");
				assert_string_equal(text.text, missing ? "" : said);
			}
		}
		event_texts_close(&texts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_guest),
		cmocka_unit_test(test_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
