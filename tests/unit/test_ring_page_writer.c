// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Written pages, read back by ring_page and by libtraceevent: sizes, times, lost events, and events that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <kbuffer.h>

#include "prng.h"
#include "ring_page.h"
#include "ring_page_writer.h"

#define PAGE_SIZE	4096
#define MAX_EVENTS	1024
#define LOST		(1U << 31)
#define LOST_STORED	(1U << 30)

enum { TIME_EXTEND = 30, TIME_STAMP = 31 };

/* A page and what was written into it */
struct page {
	struct ring_page_writer	writer;
	uint8_t			*bytes;
	size_t			size;
	struct ring_event	events[MAX_EVENTS];
	uint64_t		times[MAX_EVENTS];
	size_t			nr;
};

static uint8_t payload[PAGE_SIZE];

static struct page *begin(size_t size, size_t long_size, uint64_t ts)
{
	struct page *page = calloc(1, sizeof(*page));

	assert_non_null(page);
	/* An allocation of the exact size, so that a sanitizer detects writes beyond it */
	page->bytes = malloc(size);
	page->size = size;
	assert_non_null(page->bytes);
	memset(page->bytes, 0xa5, size);
	ring_page_writer_begin(&page->writer, page->bytes, size, long_size, ts);
	return page;
}

static void release(struct page *page)
{
	free(page->bytes);
	free(page);
}

static bool add(struct page *page, size_t size, uint64_t ts, bool absolute)
{
	struct ring_event event = { .ts = 12345, .data = payload + page->nr % 64, .size = size, .absolute = absolute };
	struct ring_page_writer before = page->writer;

	assert_true(page->nr < MAX_EVENTS);
	if (!ring_page_writer_add(&page->writer, &event, ts)) {
		assert_memory_equal(&before, &page->writer, sizeof(before));
		return false;
	}
	page->events[page->nr] = event;
	page->times[page->nr++] = ts;
	return true;
}

/* Returns the number of entries of a type */
static size_t count_entries(const struct page *page, uint32_t wanted)
{
	const uint8_t *at = page->bytes + 8 + page->writer.long_size, *end = at + page->writer.used;
	size_t nr = 0;

	while (at < end) {
		uint32_t words[2] = { 0 }, type;

		memcpy(words, at, end - at < 8 ? 4 : 8);
		type = words[0] & 31;
		nr += type == wanted;
		/* This entry would mean that the clock went back */
		assert_false(type == TIME_EXTEND && !(words[0] >> 5) && !words[1]);
		at += type == TIME_EXTEND || type == TIME_STAMP ? 8 : type ? 4 + 4 * type : 4 + (words[1] + 3) / 4 * 4;
	}
	assert_ptr_equal(at, end);
	return nr;
}

static void check_kbuffer(const struct page *page)
{
	struct kbuffer *kbuffer = kbuffer_alloc(page->writer.long_size == 8 ? KBUFFER_LSIZE_8 : KBUFFER_LSIZE_4,
						KBUFFER_ENDIAN_LITTLE);
	unsigned long long ts;
	size_t nr = 0;

	assert_non_null(kbuffer);
	assert_int_equal(kbuffer_load_subbuffer(kbuffer, page->bytes), 0);
	/* libtraceevent does not report lost events if the page begins with an absolute time */
	if (page->writer.lost && page->nr && !kbuffer_curr_index(kbuffer))
		assert_int_equal(kbuffer_missed_events(kbuffer), page->writer.nr_lost ? (int)page->writer.nr_lost : -1);
	for (void *data = kbuffer_read_event(kbuffer, &ts); data; data = kbuffer_next_event(kbuffer, &ts), nr++) {
		assert_true(nr < page->nr);
		assert_true(ts == page->times[nr]);
		assert_int_equal(kbuffer_event_size(kbuffer), page->events[nr].size);
		assert_memory_equal(data, page->events[nr].data, page->events[nr].size);
	}
	assert_int_equal(nr, page->nr);
	kbuffer_free(kbuffer);
}

static void end(struct page *page)
{
	size_t filled = 8 + page->writer.long_size + page->writer.used;
	struct ring_event event;
	struct ring_page read;

	ring_page_writer_end(&page->writer);
	count_entries(page, TIME_EXTEND);
	assert_int_equal(ring_page_open(&read, page->bytes, page->size, page->writer.long_size), 0);
	assert_int_equal(read.size, page->writer.used);
	assert_int_equal(read.lost, page->writer.lost);
	assert_true(read.nr_lost == page->writer.nr_lost);
	for (size_t i = 0; i < page->nr; i++) {
		assert_int_equal(ring_page_next(&read, &event), 1);
		assert_true(event.ts == page->times[i]);
		assert_int_equal(event.size, page->events[i].size);
		assert_memory_equal(event.data, page->events[i].data, event.size);
		assert_false(read.late);
	}
	assert_int_equal(ring_page_next(&read, &event), 0);
	for (size_t i = filled + (read.nr_lost ? page->writer.long_size : 0); i < page->size; i++)
		assert_int_equal(page->bytes[i], 0);
	check_kbuffer(page);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 4, 8, 108, 112, 116, 120, 1000 };

	for (size_t long_size = 4; long_size <= 8; long_size += 4) {
		struct page *page = begin(PAGE_SIZE, long_size, 1000);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			assert_true(add(page, sizes[i], 1000 + 10 * i, false));
		end(page);
		assert_int_equal(count_entries(page, TIME_EXTEND), 0);
		/* Events with a header alone, or with a size word */
		assert_int_equal(page->writer.used, 1468 + 4 * 4 + 4 * 8);
		release(page);
	}
}

static void test_distances(void **state)
{
	static const struct {
		uint64_t	delta;
		bool		extended;
	} cases[] = {
		{ 0, false }, { 1, false }, { (1ULL << 27) - 1, false }, { 1ULL << 27, true },
		{ (1ULL << 27) + 1, true }, { 1ULL << 32, true }, { (1ULL << 59) - 1, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct page *page = begin(PAGE_SIZE, 8, 7);

		assert_true(add(page, 8, 7, false));
		assert_true(add(page, 8, 7 + cases[i].delta, false));
		assert_true(add(page, 8, 7 + cases[i].delta, false));
		end(page);
		assert_int_equal(count_entries(page, TIME_EXTEND), cases[i].extended);
		assert_int_equal(count_entries(page, TIME_STAMP), 0);
		release(page);
	}
}

/* Times that only the header of a page can express */
static void test_far_and_back(void **state)
{
	struct page *page = begin(PAGE_SIZE, 8, 1000);

	assert_true(add(page, 8, 1000, false));
	assert_false(add(page, 8, 999, false));
	assert_false(add(page, 8, 0, false));
	assert_false(add(page, 8, 1000 + (1ULL << 59), false));
	assert_false(add(page, 8, UINT64_MAX, false));
	assert_true(add(page, 8, 1001, false));
	end(page);
	release(page);
	page = begin(PAGE_SIZE, 8, UINT64_MAX - 1);
	assert_true(add(page, 8, UINT64_MAX - 1, false));
	assert_true(add(page, 8, UINT64_MAX, false));
	end(page);
	release(page);
}

static void test_absolute(void **state)
{
	struct page *page = begin(PAGE_SIZE, 8, 1000);

	assert_true(add(page, 8, 1000, true));
	assert_true(add(page, 8, 1005, false));
	assert_true(add(page, 8, 1005, true));
	/* An absolute time can go back */
	assert_true(add(page, 8, 3, true));
	assert_true(add(page, 8, 4, false));
	assert_true(add(page, 8, (1ULL << 59) - 1, true));
	assert_false(add(page, 8, 4, false));
	/* An absolute time has 59 bits */
	assert_true(add(page, 8, 1ULL << 59, true));
	assert_true(add(page, 8, (1ULL << 59) + (1ULL << 30), true));
	assert_false(add(page, 8, 5, true));
	end(page);
	assert_int_equal(count_entries(page, TIME_STAMP), 4);
	assert_int_equal(count_entries(page, TIME_EXTEND), 1);
	release(page);
}

static void test_lost(void **state)
{
	for (size_t long_size = 4; long_size <= 8; long_size += 4) {
		const size_t room = 512 - 8 - long_size;
		uint64_t commit = 0;
		struct page *page;

		/* Without an event no number is written */
		page = begin(512, long_size, 5);
		ring_page_writer_lose(&page->writer, 0);
		end(page);
		memcpy(&commit, page->bytes + 8, long_size);
		assert_true(commit == LOST);
		release(page);

		/* Space is reserved for the number */
		page = begin(512, long_size, 5);
		ring_page_writer_lose(&page->writer, 77);
		assert_false(add(page, room - 8, 5, false));
		assert_true(add(page, room - 8 - long_size, 5, false));
		assert_false(add(page, 4, 5, false));
		end(page);
		memcpy(&commit, page->bytes + 8, long_size);
		assert_true(commit == (LOST | LOST_STORED | (room - long_size)));
		release(page);

		/* Without a number an event can fill the page */
		page = begin(512, long_size, 5);
		ring_page_writer_lose(&page->writer, 0);
		assert_true(add(page, room - 8, 5, false));
		end(page);
		release(page);
	}
}

/* Pages that are full to the last byte, with each kind of entry at the end */
static void test_full(void **state)
{
	for (size_t long_size = 4; long_size <= 8; long_size += 4) {
		const size_t room = 512 - 8 - long_size;

		for (int kind = 0; kind < 3; kind++) {
			/* 0: near, 1: far, 2: absolute */
			size_t last = kind ? 8 + 8 : 8;
			struct page *page = begin(512, long_size, 5);
			uint64_t time = kind == 1 ? 1ULL << 40 : 6;

			assert_true(add(page, room - 8 - last, 5, false));
			assert_false(add(page, 8, time, kind == 2));
			assert_true(add(page, 4, time, kind == 2));
			assert_int_equal(page->writer.used, room);
			assert_false(add(page, 0, time, false));
			end(page);
			release(page);
		}
	}
}

static uint64_t next_time(uint64_t *seed, uint64_t time)
{
	switch (prng_range(seed, 0, 4)) {
	case 0:
		return time;
	case 1:
		return time + (prng(seed) & 0xfffffff);
	case 2:
		return time + (prng(seed) & 0xffffffffff);
	case 3:
		return time - (prng(seed) & 0xff);
	default:
		return time + prng_range(seed, 0, 100);
	}
}

static void test_random(void **state)
{
	uint64_t seed = 5;

	for (int i = 0; i < 3000; i++) {
		uint64_t time = prng_any(&seed);
		struct page *page = begin(512 << prng_range(&seed, 0, 3), prng(&seed) & 1 ? 8 : 4, time);
		bool fits = true;

		if (prng(&seed) & 1)
			ring_page_writer_lose(&page->writer, prng_range(&seed, 0, 3) * 1000);
		while (fits) {
			size_t size = 4 * prng_range(&seed, 0, 40);

			fits = add(page, size, time, !(prng(&seed) & 7));
			time = next_time(&seed, time);
		}
		end(page);
		release(page);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_far_and_back),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_random),
	};

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
