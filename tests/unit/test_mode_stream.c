// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Which vCPU a span of guest mode belongs to, if a thread runs the vCPUs of several VMs, one VM after the other; and
 * where spans end if kvm_exit is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "mode_stream.h"
#include "page_file.h"

#define PAGE_SIZE	4096
#define ENTRY		1
#define EXIT		2
#define SWITCH		3
#define OTHER		4
#define MAX_EVENTS	12
#define MAX_SPANS	6
#define NR_CPUS		2
/* Offsets of the fields in a record */
#define PID		4
#define VCPU_ID		8

struct mode_event {
	uint64_t	time;
	uint16_t	id;
	int		tid;
	uint32_t	vcpu_id;
	uint32_t	cpu;
};

struct span {
	uint32_t	vcpu;
	uint64_t	from, to;
};

struct stream_case {
	const char		*name;
	struct mode_event	events[MAX_EVENTS];
	struct span		spans[MAX_SPANS];	/* in guest mode, ordered by vCPU */
	struct span		out[MAX_SPANS];		/* where vCPU 4 is certainly out of it; unchecked if empty */
};

/*
 * vCPU 0 of three VMs, which one thread runs one after the other; vCPU 1
 * of the second VM; and the vCPUs of two other threads
 */
static const struct vcpu_thread thread_list[] = {
	{ .tid = 10, .vcpu = 0 },
	{ .tid = 10, .since = 1000, .vcpu = 1 },
	{ .tid = 10, .since = 2000, .vcpu = 2 },
	{ .tid = 10, .vcpu_id = 1, .since = 1500, .vcpu = 3 },
	{ .tid = 11, .vcpu = 4 },
	{ .tid = 11 + VCPU_THREADS_RECENT, .vcpu = 5 },
};

#define NR_THREADS	(sizeof(thread_list) / sizeof(*thread_list))

static const struct stream_case cases[] = {
	{ "one VM",
	  { { 100, ENTRY, 10, 0, 0 }, { 200, EXIT, 10, 0, 0 } },
	  { { 0, 100, 200 } }, { { 0, 0, 0 } } },
	{ "three VMs",
	  { { 100, ENTRY, 10, 0, 0 }, { 200, EXIT, 10, 0, 0 }, { 1100, ENTRY, 10, 0, 0 }, { 1200, EXIT, 10, 0, 0 },
	    { 2100, ENTRY, 10, 0, 0 }, { 2200, EXIT, 10, 0, 0 } },
	  { { 0, 100, 200 }, { 1, 1100, 1200 }, { 2, 2100, 2200 } }, { { 0, 0, 0 } } },
	{ "at once",
	  { { 998, ENTRY, 10, 0, 0 }, { 999, EXIT, 10, 0, 0 }, { 1000, ENTRY, 10, 0, 0 }, { 1999, EXIT, 10, 0, 0 },
	    { 2000, ENTRY, 10, 0, 0 }, { 2001, EXIT, 10, 0, 0 } },
	  { { 0, 998, 999 }, { 1, 1000, 1999 }, { 2, 2000, 2001 } }, { { 0, 0, 0 } } },
	{ "another thread meanwhile",
	  { { 100, ENTRY, 10, 0, 0 }, { 150, ENTRY, 11, 0, 1 }, { 200, EXIT, 10, 0, 0 }, { 1100, ENTRY, 10, 0, 0 },
	    { 1200, EXIT, 10, 0, 0 }, { 1300, EXIT, 11, 0, 1 } },
	  { { 0, 100, 200 }, { 1, 1100, 1200 }, { 4, 150, 1300 } }, { { 0, 0, 0 } } },
	{ "threads of none",
	  { { 1100, ENTRY, 10, 0, 0 }, { 1150, EXIT, 9, 0, 1 }, { 1160, EXIT, 12, 0, 1 }, { 1200, EXIT, 10, 0, 0 } },
	  { { 1, 1100, 1200 } }, { { 0, 0, 0 } } },
	{ "two threads with one place for the last result",
	  { { 100, ENTRY, 11, 0, 0 }, { 200, ENTRY, 11 + VCPU_THREADS_RECENT, 0, 1 }, { 300, EXIT, 11, 0, 0 },
	    { 400, EXIT, 11 + VCPU_THREADS_RECENT, 0, 1 } },
	  { { 4, 100, 300 }, { 5, 200, 400 } }, { { 0, 0, 0 } } },
	{ "another vCPU of the thread",
	  { { 1100, ENTRY, 10, 0, 0 }, { 1200, EXIT, 10, 0, 0 }, { 1600, ENTRY, 10, 1, 0 },
	    { 1700, EXIT, 10, 1, 0 } },
	  { { 1, 1100, 1200 }, { 3, 1600, 1700 } }, { { 0, 0, 0 } } },
	{ "before its first VM, and a thread of none",
	  { { 1100, ENTRY, 10, 1, 0 }, { 1200, EXIT, 10, 1, 0 }, { 1300, ENTRY, 12, 0, 0 },
	    { 1400, EXIT, 12, 0, 0 } },
	  { { 0, 0, 0 } }, { { 0, 0, 0 } } },
	/* kvm_exit is missing: what had the CPU afterwards */
	{ "nothing else",
	  { { 100, ENTRY, 11, 0, 0 }, { 200, EXIT, 11, 0, 0 }, { 300, ENTRY, 11, 0, 0 }, { 900, OTHER, 11, 0, 0 } },
	  { { 4, 100, 200 }, { 4, 300, 3000 } }, { { 4, 201, 299 } } },
	{ "another thread",
	  { { 100, ENTRY, 11, 0, 0 }, { 200, EXIT, 11, 0, 0 }, { 300, ENTRY, 11, 0, 0 }, { 900, OTHER, 0, 0, 0 } },
	  { { 4, 100, 200 }, { 4, 300, 300 } }, { { 4, 201, 299 }, { 4, 900, 3000 } } },
	{ "another thread elsewhere",
	  { { 100, ENTRY, 11, 0, 0 }, { 200, EXIT, 11, 0, 0 }, { 300, ENTRY, 11, 0, 0 }, { 900, OTHER, 0, 0, 1 } },
	  { { 4, 100, 200 }, { 4, 300, 3000 } }, { { 4, 201, 299 } } },
	{ "switched out",
	  { { 100, ENTRY, 11, 0, 0 }, { 200, EXIT, 11, 0, 0 }, { 300, ENTRY, 11, 0, 0 }, { 900, SWITCH, 11, 0, 0 } },
	  { { 4, 100, 200 }, { 4, 300, 300 } }, { { 4, 201, 299 }, { 4, 900, 3000 } } },
	{ "switched in before",
	  { { 50, SWITCH, 0, 0, 0 }, { 100, ENTRY, 11, 0, 0 }, { 200, EXIT, 11, 0, 0 } },
	  { { 4, 100, 200 } }, { { 4, 201, 3000 } } },
	{ "another vCPU's thread",
	  { { 100, ENTRY, 11, 0, 0 }, { 700, ENTRY, 10, 0, 0 }, { 800, EXIT, 10, 0, 0 }, { 900, ENTRY, 11, 0, 0 },
	    { 950, EXIT, 11, 0, 0 } },
	  { { 0, 700, 800 }, { 4, 100, 100 }, { 4, 900, 950 } }, { { 4, 700, 899 }, { 4, 951, 3000 } } },
	{ "another vCPU of the same thread",
	  { { 1600, ENTRY, 10, 1, 0 }, { 1700, ENTRY, 10, 0, 0 }, { 1800, EXIT, 10, 0, 0 } },
	  { { 1, 1700, 1800 }, { 3, 1600, 1600 } }, { { 0, 0, 0 } } },
	{ "another thread, and an exit later",
	  { { 100, ENTRY, 11, 0, 0 }, { 400, OTHER, 0, 0, 0 }, { 800, EXIT, 11, 0, 0 } },
	  { { 4, 100, 800 } }, { { 4, 801, 3000 } } },
};

static void put_page(uint8_t *page, const struct mode_event *events, uint32_t cpu)
{
	uint64_t commit = 0, last = events[0].time;

	memset(page, 0, PAGE_SIZE);
	memcpy(page, &last, sizeof(last));
	for (size_t i = 0; i < MAX_EVENTS && events[i].time; i++) {
		uint8_t *entry = page + 16 + commit;
		uint32_t head = (uint32_t)(events[i].time - last) << 5 | 3;

		if (events[i].cpu != cpu)
			continue;
		memcpy(entry, &head, sizeof(head));
		memcpy(entry + 4, &events[i].id, sizeof(events[i].id));
		memcpy(entry + 4 + PID, &events[i].tid, sizeof(events[i].tid));
		memcpy(entry + 4 + VCPU_ID, &events[i].vcpu_id, sizeof(events[i].vcpu_id));
		last = events[i].time;
		commit += 16;
	}
	memcpy(page + 8, &commit, sizeof(commit));
}

/* @exits_named: kvm_exit has the vcpu_id */
static void check_case(const struct stream_case *c, bool exits_named)
{
	static uint8_t pages[NR_CPUS][PAGE_SIZE];
	struct span found[MAX_SPANS] = { { 0 } }, out[MAX_SPANS] = { { 0 } };
	struct mode_stream stream;
	struct mode_span span;
	struct page_file file;
	struct vcpu_threads threads;
	struct host host;
	size_t nr = 0, nr_out = 0;
	int ret;

	page_file_open(&file, PAGE_SIZE);
	for (uint32_t cpu = 0; cpu < NR_CPUS; cpu++) {
		put_page(pages[cpu], c->events, cpu);
		page_file_add_cpu(&file, cpu, pages[cpu], 1);
	}
	host = (struct host) { .dat = &file.dat, .guest_modes = &file.buffer, .modes_last = 3000 };
	assert_int_equal(vcpu_threads_init(&threads, thread_list, NR_THREADS), 0);
	assert_int_equal(mode_stream_open(&stream, &host, &threads, NR_THREADS), 0);
	stream.ids.entry = (struct guest_mode_format) { .id = ENTRY, .pid = PID, .vcpu_id = VCPU_ID };
	stream.ids.sched_switch = SWITCH;
	stream.ids.exit = (struct guest_mode_format) { .id = EXIT, .pid = PID, .vcpu_id = exits_named ? VCPU_ID : 0 };
	while ((ret = mode_stream_next(&stream, &span)) > 0) {
		size_t at = nr;

		if (span.mode == MODE_HOST && span.vcpu == 4 && c->out[0].from && span.from > c->events[0].time)
			out[nr_out++] = (struct span) { span.vcpu, span.from, span.to };
		assert_true(nr_out < MAX_SPANS);
		if (span.mode != MODE_GUEST)
			continue;
		assert_true(nr < MAX_SPANS);
		for (; at && found[at - 1].vcpu > span.vcpu; at--)
			found[at] = found[at - 1];
		found[at] = (struct span) { span.vcpu, span.from, span.to };
		nr++;
	}
	assert_int_equal(ret, 0);
	mode_stream_close(&stream);
	vcpu_threads_release(&threads);
	page_file_close(&file);
	if (memcmp(found, c->spans, sizeof(found)))
		fail_msg("%s%s: vCPU %u from %lu to %lu is the first of %zu", c->name, exits_named ? "" : ", old kernel",
			 found[0].vcpu, (unsigned long)found[0].from, (unsigned long)found[0].to, nr);
	if (memcmp(out, c->out, sizeof(out)))
		fail_msg("%s%s: out of guest mode from %lu to %lu is the first of %zu", c->name,
			 exits_named ? "" : ", old kernel", (unsigned long)out[0].from, (unsigned long)out[0].to,
			 nr_out);
}

static void test_threads(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_case(&cases[i], true);
		/* Kernels before 5.10 lack it */
		check_case(&cases[i], false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
