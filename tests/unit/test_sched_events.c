// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The scheduler's events: found in formats of 64-bit and 32-bit kernels, and read from records of any length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event-parse.h>

#include "event_ids.h"
#include "ring_page.h"
#include "sched_events.h"

#define COMMON								\
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"	\
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"		\
	"\tfield:char %s[16];\toffset:8;\tsize:16;\tsigned:1;\n"

/* STATE: size of a long */
#define SWITCH(state, next)								\
	"\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"			\
	"\tfield:long prev_state;\toffset:32;\tsize:" #state ";\tsigned:1;\n"		\
	"\tfield:char next_comm[16];\toffset:40;\tsize:16;\tsigned:1;\n"		\
	"\tfield:pid_t " next ";\toffset:56;\tsize:4;\tsigned:1;\n"

#define WAKE(cpu)									\
	"\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n"				\
	"\tfield:int " cpu ";\toffset:32;\tsize:4;\tsigned:1;\n"

static void parse(struct tep_handle *tep, const char *name, int id, const char *comm, const char *fields)
{
	char text[2048];
	int size;

	size = snprintf(text, sizeof(text), "name: %s\nID: %d\nformat:\n", name, id);
	size += snprintf(text + size, sizeof(text) - size, COMMON, comm);
	size += snprintf(text + size, sizeof(text) - size, "%s\nprint fmt: \"\"\n", fields);
	assert_int_equal(tep_parse_event(tep, text, size, "sched"), 0);
}

static struct tep_handle *formats_of(struct sched_formats *formats, const char *fields)
{
	struct tep_handle *tep = tep_alloc();

	tep_set_loglevel(TEP_LOG_NONE);
	parse(tep, "sched_switch", 10, "prev_comm", fields);
	parse(tep, "sched_waking", 11, "comm", WAKE("target_cpu"));
	parse(tep, "sched_migrate_task", 13, "comm", WAKE("dest_cpu"));
	sched_formats_find(formats, tep);
	return tep;
}

static void test_kinds(void **state)
{
	struct sched_formats formats;
	struct tep_handle *tep = formats_of(&formats, SWITCH(8, "next_pid"));

	assert_int_equal(sched_event_kind(&formats, 10), SCHED_SWITCH);
	assert_int_equal(sched_event_kind(&formats, 11), SCHED_WAKING);
	assert_int_equal(sched_event_kind(&formats, 13), SCHED_MIGRATE);
	assert_int_equal(sched_event_kind(&formats, 12), SCHED_OTHER);
	assert_int_equal(sched_event_kind(&formats, EVENT_ID_NONE), SCHED_OTHER);
	assert_true(sched_formats_has(&formats, SCHED_SWITCH));
	assert_false(sched_formats_has(&formats, SCHED_WAKEUP));
	tep_free(tep);
	/* Some fields are missing */
	tep = formats_of(&formats, SWITCH(8, "next_number"));
	assert_false(sched_formats_has(&formats, SCHED_SWITCH));
	tep_free(tep);
	tep = formats_of(&formats, SWITCH(2, "next_pid"));
	assert_false(sched_formats_has(&formats, SCHED_SWITCH));
	tep_free(tep);
}

static struct ring_event record(uint8_t bytes[64], uint64_t prev_state)
{
	memset(bytes, 0, 64);
	bytes[0] = 10;
	bytes[24] = 7;
	memcpy(bytes + 32, &prev_state, 8);
	memcpy(bytes + 40, "sixteen letters!", 16);
	bytes[56] = 8;
	bytes[57] = 1;
	return (struct ring_event) { .ts = 1, .data = bytes, .size = 64 };
}

static void check_switch(const char *fields, uint64_t prev_state, bool runnable)
{
	struct sched_formats formats;
	struct tep_handle *tep = formats_of(&formats, fields);
	struct sched_event result;
	uint8_t bytes[64];
	struct ring_event event = record(bytes, prev_state);

	assert_true(sched_event_decode(&formats, SCHED_SWITCH, &event, &result));
	assert_int_equal(result.prev_pid, 7);
	assert_int_equal(result.pid, 264);
	assert_memory_equal(result.comm, "sixteen letters!", 16);
	assert_int_equal(result.runnable, runnable);
	for (event.size = 0; event.size < 60; event.size++)
		assert_false(sched_event_decode(&formats, SCHED_SWITCH, &event, &result));
	tep_free(tep);
}

/* The states R, R+ (4.14 and later), S, D and I */
static void test_switch(void **state)
{
	check_switch(SWITCH(8, "next_pid"), 0, true);
	check_switch(SWITCH(8, "next_pid"), 0x100, true);
	check_switch(SWITCH(8, "next_pid"), 1, false);
	check_switch(SWITCH(8, "next_pid"), 2, false);
	check_switch(SWITCH(8, "next_pid"), 0x80, false);
	check_switch(SWITCH(4, "next_pid"), 0x100, true);
	check_switch(SWITCH(4, "next_pid"), 1, false);
}

static void test_wake(void **state)
{
	struct sched_formats formats;
	struct tep_handle *tep = formats_of(&formats, SWITCH(8, "next_pid"));
	struct sched_event result;
	uint8_t bytes[64];
	struct ring_event event = record(bytes, 3);

	assert_true(sched_event_decode(&formats, SCHED_WAKING, &event, &result));
	assert_int_equal(result.pid, 7);
	assert_int_equal(result.cpu, 3);
	for (event.size = 0; event.size < 36; event.size++)
		assert_false(sched_event_decode(&formats, SCHED_MIGRATE, &event, &result));
	tep_free(tep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
