// SPDX-License-Identifier: GPL-2.0
/*
 * Records as they should not be, for the formats of real recordings: cut off anywhere, and with anything in them.
 * Sanitizers see what reads beyond them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_stream.h"
#include "event_texts.h"
#include "prng.h"
#include "trace_dat.h"
#include "trace_stream.h"

#define MAX_EVENTS	400

/* What the file's events are called and what they say, each as it was when it was the last */
struct said {
	size_t	named;
	size_t	told;
};

static void read_bytes(struct event_texts *texts, const uint8_t *data, size_t size, struct said *said)
{
	/* At its very size, so that what is behind it is not ours */
	uint8_t *copy = malloc(size);
	struct ring_event event = { .data = copy, .size = size };
	char comm[EVENT_COMM_SIZE];
	struct event_text text;
	int pid;

	assert_true(copy || !size);
	if (size)
		memcpy(copy, data, size);
	assert_int_equal(event_texts_read(texts, &event, 0, &text), 0);
	said->named += strcmp(text.name, "unknown") != 0;
	said->told += strlen(text.text) != 0;
	event_texts_switch(texts, &event, &pid, comm);
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
	assert_int_equal(trace_dat_open(&dat, path), 0);
	assert_int_equal(event_texts_open(&texts, &dat), 0);
	assert_int_equal(trace_stream_open(&stream, &dat, &dat.buffers[0], NULL), 0);
	for (; nr < MAX_EVENTS && trace_stream_next(&stream, &cpu) > 0; nr++) {
		const struct ring_event *event = &cpu->event;
		uint8_t bytes[256];

		read_bytes(&texts, event->data, event->size, &whole);
		for (size_t size = 0; size < event->size; size++)
			read_bytes(&texts, event->data, size, &cut);
		/* The first two are the event's number */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
