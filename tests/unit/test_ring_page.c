// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * One page of the kernel's ring buffer: all kinds of entries, all possible ends of a page, and damage. Random pages
 * are compared with libtraceevent's reader, which does not check them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <kbuffer.h>

#include "prng.h"
#include "ring_page.h"

#define PAGE_SIZE 4096
#define LOST (1U << 31)
#define LOST_STORED (1U << 30)

enum { PADDING = 29, TIME_EXTEND = 30, TIME_STAMP = 31 };

/* A page that is being written. It ends with the memory that may be read. */
struct writer {
	uint8_t	*page;
	size_t	size;
	size_t	long_size;
	size_t	used;
};

/* @size rounded up to whole pages */
static size_t mapped(size_t size)
{
	return (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

static struct writer begin(uint64_t ts, size_t size, size_t long_size)
{
	uint8_t *memory =
		mmap(NULL, mapped(size) + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct writer w = { .page = memory + mapped(size) - size, .size = size, .long_size = long_size };

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory + mapped(size), PAGE_SIZE, PROT_NONE), 0);
	memcpy(w.page, &ts, sizeof(ts));
	return w;
}

static void end(struct writer *w)
{
	assert_int_equal(munmap(w->page + w->size - mapped(w->size), mapped(w->size) + PAGE_SIZE), 0);
}

static size_t room(const struct writer *w)
{
	return w->size - 8 - w->long_size - w->used;
}

static void word(struct writer *w, uint32_t value)
{
	assert_true(room(w) >= sizeof(value));
	memcpy(w->page + 8 + w->long_size + w->used, &value, sizeof(value));
	w->used += sizeof(value);
}

static void entry(struct writer *w, unsigned int type, uint32_t delta)
{
	word(w, delta << 5 | type);
}

static void commit(struct writer *w, uint32_t value)
{
	memcpy(w->page + 8, &value, sizeof(value));
}

static int open_page(struct ring_page *page, struct writer *w)
{
	return ring_page_open(page, w->page, w->size, w->long_size);
}

static void expect(struct ring_page *page, uint64_t ts, size_t size, uint32_t first)
{
	struct ring_event event;
	uint32_t found;

	assert_int_equal(ring_page_next(page, &event), 1);
	assert_true(event.ts == ts);
	assert_int_equal(event.size, size);
	if (size) {
		memcpy(&found, event.data, sizeof(found));
		assert_int_equal(found, first);
	}
}

static void expect_end(struct ring_page *page, int ret)
{
	struct ring_event event;

	for (int i = 0; i < 3; i++)
		assert_int_equal(ring_page_next(page, &event), ret);
}

static void test_kinds_of_entries(void **state)
{
	struct writer w = begin(1000, PAGE_SIZE, 8);
	struct ring_page page;

	/* The smallest and the largest event whose size is in its header */
	entry(&w, 1, 0);
	word(&w, 0xa1);
	entry(&w, 28, 5);
	word(&w, 0xa2);
	w.used += 108;
	/* An event with its size in a separate word; the size includes this word and is rounded up */
	entry(&w, 0, 7);
	word(&w, 4 + 113);
	word(&w, 0xa3);
	w.used += 112;
	entry(&w, 0, 0);
	word(&w, 4);
	/* Times: one far from the previous time, and an absolute one */
	entry(&w, TIME_EXTEND, 3);
	word(&w, 2);
	entry(&w, 2, 1);
	word(&w, 0xa4);
	word(&w, 0);
	entry(&w, TIME_STAMP, 9);
	word(&w, 50);
	entry(&w, 1, 0);
	word(&w, 0xa5);
	/* An event that a filter discarded after it was reserved: 12 bytes after the header, then 4 */
	entry(&w, PADDING, 11);
	word(&w, 12);
	word(&w, 0);
	word(&w, 0);
	entry(&w, PADDING, 1);
	word(&w, 4);
	entry(&w, 1, 6);
	word(&w, 0xa6);
	commit(&w, w.used);

	assert_int_equal(open_page(&page, &w), 0);
	assert_false(page.lost);
	expect(&page, 1000, 4, 0xa1);
	expect(&page, 1005, 112, 0xa2);
	expect(&page, 1012, 116, 0xa3);
	expect(&page, 1012, 0, 0);
	expect(&page, 1012 + (2ULL << 27) + 3 + 1, 8, 0xa4);
	expect(&page, (50ULL << 27) + 9, 4, 0xa5);
	expect(&page, (50ULL << 27) + 9 + 11 + 1 + 6, 4, 0xa6);
	expect_end(&page, 0);
	end(&w);
}

/* An absolute time has 59 bits; the upper bits are those of the previous time */
static void test_absolute_beyond_59_bits(void **state)
{
	uint64_t high = 0x15ULL << 59;
	struct writer w = begin(high + 77, PAGE_SIZE, 8);
	struct ring_page page;

	entry(&w, 1, 0);
	word(&w, 1);
	entry(&w, TIME_STAMP, 0x7ffffff);
	word(&w, 0xffffffff);
	entry(&w, 1, 0);
	word(&w, 2);
	commit(&w, w.used);
	assert_int_equal(open_page(&page, &w), 0);
	expect(&page, high + 77, 4, 1);
	expect(&page, high + ((1ULL << 59) - 1), 4, 2);
	expect_end(&page, 0);
	end(&w);
}

/* A time less than the previous one is written as a difference of 0; an absolute time ends the late events */
static void test_late(void **state)
{
	struct writer w = begin(1000, PAGE_SIZE, 8);
	struct ring_page page;

	entry(&w, TIME_EXTEND, 5);
	word(&w, 0);
	entry(&w, 1, 0);
	word(&w, 1);
	entry(&w, TIME_EXTEND, 0);
	word(&w, 1);
	entry(&w, 1, 0);
	word(&w, 2);
	entry(&w, TIME_EXTEND, 0);
	word(&w, 0);
	entry(&w, 1, 0);
	word(&w, 3);
	entry(&w, 1, 7);
	word(&w, 4);
	entry(&w, TIME_STAMP, 9);
	word(&w, 50);
	entry(&w, 1, 0);
	word(&w, 5);
	commit(&w, w.used);
	assert_int_equal(open_page(&page, &w), 0);
	expect(&page, 1005, 4, 1);
	assert_false(page.late);
	expect(&page, 1005 + (1ULL << 27), 4, 2);
	assert_false(page.late);
	expect(&page, 1005 + (1ULL << 27), 4, 3);
	assert_true(page.late);
	expect(&page, 1012 + (1ULL << 27), 4, 4);
	assert_true(page.late);
	expect(&page, (50ULL << 27) + 9, 4, 5);
	assert_false(page.late);
	expect_end(&page, 0);
	end(&w);
}

static void test_ends(void **state)
{
	for (size_t long_size = 4; long_size <= 8; long_size += 4) {
		struct writer w = begin(10, PAGE_SIZE, long_size);
		struct ring_page page;
		size_t used;

		/* An empty page */
		assert_int_equal(open_page(&page, &w), 0);
		expect_end(&page, 0);

		/* Bytes after the committed size do not count */
		entry(&w, 1, 0);
		word(&w, 1);
		used = w.used;
		entry(&w, 1, 4);
		word(&w, 2);
		commit(&w, used);
		assert_int_equal(open_page(&page, &w), 0);
		expect(&page, 10, 4, 1);
		expect_end(&page, 0);

		/* The rest is shorter than an entry */
		commit(&w, used + 3);
		assert_int_equal(open_page(&page, &w), 0);
		expect(&page, 10, 4, 1);
		expect_end(&page, 0);

		/* If the next event did not fit, the page ends with padding without a time */
		w.used = used;
		entry(&w, PADDING, 0);
		commit(&w, w.size - 8 - long_size);
		assert_int_equal(open_page(&page, &w), 0);
		expect(&page, 10, 4, 1);
		expect_end(&page, 0);

		/* Or with padding of a size, up to the last byte of the page */
		w.used = used;
		entry(&w, PADDING, 1);
		word(&w, room(&w));
		w.used -= 4;
		word(&w, room(&w));
		assert_int_equal(open_page(&page, &w), 0);
		expect(&page, 10, 4, 1);
		expect_end(&page, 0);

		/* Full to the last byte */
		w.used = used;
		entry(&w, 0, 2);
		word(&w, room(&w));
		word(&w, 3);
		commit(&w, w.size - 8 - long_size);
		assert_int_equal(open_page(&page, &w), 0);
		expect(&page, 10, 4, 1);
		expect(&page, 12, w.size - 8 - long_size - used - 8, 3);
		expect_end(&page, 0);
		end(&w);
	}
}

static void test_lost_events(void **state)
{
	for (size_t long_size = 4; long_size <= 8; long_size += 4) {
		struct writer w = begin(10, 512, long_size);
		struct ring_page page;
		uint64_t number = long_size == 8 ? 0x123456789ULL : 0x12345678;

		entry(&w, 1, 0);
		word(&w, 1);
		/* Without LOST_STORED no number follows the events */
		memcpy(w.page + 8 + long_size + w.used, &number, long_size);
		commit(&w, w.used | LOST);
		assert_int_equal(open_page(&page, &w), 0);
		assert_true(page.lost);
		assert_int_equal(page.nr_lost, 0);
		expect(&page, 10, 4, 1);

		memcpy(w.page + 8 + long_size + w.used, &number, long_size);
		commit(&w, w.used | LOST | LOST_STORED);
		assert_int_equal(open_page(&page, &w), 0);
		assert_true(page.lost);
		assert_true(page.nr_lost == number);
		expect(&page, 10, 4, 1);
		expect_end(&page, 0);

		/* LOST_STORED alone means nothing */
		commit(&w, w.used | LOST_STORED);
		assert_int_equal(open_page(&page, &w), 0);
		assert_false(page.lost);
		assert_int_equal(page.nr_lost, 0);

		/* The number takes the last bytes of the page */
		entry(&w, 0, 0);
		word(&w, room(&w) - long_size);
		memcpy(w.page + 512 - long_size, &number, long_size);
		commit(&w, (512 - 8 - 2 * long_size) | LOST | LOST_STORED);
		assert_int_equal(open_page(&page, &w), 0);
		assert_true(page.nr_lost == number);
		expect(&page, 10, 4, 1);
		expect(&page, 10, 512 - 8 - 2 * long_size - 8 - 8, 0);
		expect_end(&page, 0);

		/* There is no room for the number: nothing beyond the page is read */
		commit(&w, (512 - 8 - long_size) | LOST | LOST_STORED);
		assert_int_equal(open_page(&page, &w), 0);
		assert_true(page.lost);
		assert_int_equal(page.nr_lost, 0);
		commit(&w, (512 - 8 - long_size - 3) | LOST | LOST_STORED);
		assert_int_equal(open_page(&page, &w), 0);
		assert_int_equal(page.nr_lost, 0);
		end(&w);
	}
}

static const struct {
	const char	*name;
	uint32_t	words[4];
	uint32_t	commit;
} damaged[] = {
	{ "event longer than what is left", { 3, 1, 2 }, 12 },
	{ "event that ends a byte later", { 2, 1, 2 }, 11 },
	{ "sized event that ends a byte later", { 0, 8, 1 }, 11 },
	{ "event of one word without it", { 1 }, 4 },
	{ "largest small event", { 28, 1, 2, 3 }, 16 },
	{ "sized event without a size", { 0 }, 4 },
	{ "sized event of 0 bytes", { 0, 0, 1 }, 12 },
	{ "sized event of 3 bytes", { 0, 3, 1 }, 12 },
	{ "sized event that ends with bytes that fill it up", { 0, 9, 1 }, 12 },
	{ "sized event of 2^31 bytes", { 0, 0x80000000, 1 }, 12 },
	{ "sized event that wraps around when rounded up", { 0, 0xffffffff, 1 }, 12 },
	{ "padding without a size", { PADDING | 1 << 5 }, 4 },
	{ "padding that ends a byte later", { PADDING | 1 << 5, 9, 0 }, 12 },
	{ "padding of 2^32 - 1 bytes", { PADDING | 1 << 5, 0xffffffff, 0 }, 12 },
	{ "padding of 2^32 - 4 bytes", { PADDING | 1 << 5, 0xfffffffc, 0 }, 12 },
	{ "half a time extend", { TIME_EXTEND }, 4 },
	{ "half a time stamp", { TIME_STAMP }, 7 },
};

static void test_damaged(void **state)
{
	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
		/* After another entry and alone; the page ends with the committed bytes */
		for (int before = 0; before < 2; before++) {
			struct writer w = begin(10, 16 + 8 * before + damaged[i].commit, 8);
			struct ring_event event;
			struct ring_page page;

			if (before) {
				entry(&w, 1, 0);
				word(&w, 7);
			}
			memcpy(w.page + 16 + w.used, damaged[i].words, damaged[i].commit);
			commit(&w, w.used + damaged[i].commit);
			assert_int_equal(open_page(&page, &w), 0);
			if (before)
				expect(&page, 10, 4, 7);
			for (int more = 0; more < 3; more++) {
				int ret = ring_page_next(&page, &event);

				if (ret != -EBADMSG)
					fail_msg("%s: %d", damaged[i].name, ret);
			}
			end(&w);
		}
	}
}

static void test_header(void **state)
{
	uint8_t *bytes = malloc(16);
	struct ring_page page;

	/* Shorter than a header */
	memset(bytes, 0, 16);
	for (size_t size = 0; size < 16; size++)
		assert_int_equal(ring_page_open(&page, bytes + 16 - size, size, 8), -EBADMSG);
	for (size_t size = 0; size < 12; size++)
		assert_int_equal(ring_page_open(&page, bytes + 16 - size, size, 4), -EBADMSG);
	assert_int_equal(ring_page_open(&page, bytes, 16, 8), 0);
	assert_int_equal(ring_page_open(&page, bytes, 12, 4), 0);
	/* The committed size exceeds the page; other bits are flags */
	bytes[8] = 1;
	assert_int_equal(ring_page_open(&page, bytes, 16, 8), -EBADMSG);
	bytes[8] = 0;
	bytes[11] = 0x38;
	assert_int_equal(ring_page_open(&page, bytes, 16, 8), 0);
	bytes[11] = 0x04;
	assert_int_equal(ring_page_open(&page, bytes, 16, 8), -EBADMSG);
	free(bytes);
}

/* Random entries that a kernel can write, until the page is full */
static void fill(struct writer *w, uint64_t *seed)
{
	while (room(w) >= 256) {
		uint32_t delta = prng_any(seed) & 0x7ffffff;
		unsigned int size;

		switch (prng_range(seed, 0, 9)) {
		case 0:
			entry(w, TIME_EXTEND, delta);
			word(w, prng_any(seed) & 0xffff);
			break;
		case 1:
			entry(w, TIME_STAMP, delta);
			word(w, prng(seed));
			break;
		case 2:
			size = prng_range(seed, 1, 20) * 4;
			entry(w, PADDING, delta | 1);
			word(w, size);
			w->used += size - 4;
			break;
		case 3:
			size = prng_range(seed, 0, 200);
			entry(w, 0, delta);
			word(w, size + 4);
			w->used += (size + 3) & ~3U;
			break;
		default:
			size = prng_range(seed, 1, 28);
			entry(w, size, delta);
			w->used += size * 4;
		}
	}
	/* End with an event: libtraceevent does not handle time stamps at the end of a page */
	entry(w, 1, 0);
	word(w, 0);
	commit(w, w->used | (prng(seed) & 1 ? LOST | LOST_STORED : 0));
}

static void test_against_kbuffer(void **state)
{
	enum { PAGES = 3000 };
	uint64_t seed = 11;
	size_t events = 0;

	for (int i = 0; i < PAGES; i++) {
		size_t long_size = prng(&seed) & 1 ? 8 : 4;
		struct writer w = begin(prng_any(&seed), PAGE_SIZE, long_size);
		struct kbuffer *kbuffer = kbuffer_alloc(long_size == 8 ? KBUFFER_LSIZE_8 :
							KBUFFER_LSIZE_4, KBUFFER_ENDIAN_LITTLE);
		struct ring_event event;
		struct ring_page page;
		unsigned long long ts;
		void *data;

		for (size_t at = 16; at < PAGE_SIZE; at += 8) {
			uint64_t noise = prng(&seed);

			memcpy(w.page + at, &noise, sizeof(noise));
		}
		fill(&w, &seed);
		assert_non_null(kbuffer);
		assert_int_equal(kbuffer_load_subbuffer(kbuffer, w.page), 0);
		assert_int_equal(open_page(&page, &w), 0);
		if (page.lost && !kbuffer_curr_index(kbuffer))
			assert_int_equal(kbuffer_missed_events(kbuffer), (int)page.nr_lost);
		for (data = kbuffer_read_event(kbuffer, &ts); data;
		     data = kbuffer_next_event(kbuffer, &ts)) {
			assert_int_equal(ring_page_next(&page, &event), 1);
			assert_true(event.ts == ts);
			assert_int_equal(event.size, kbuffer_event_size(kbuffer));
			assert_ptr_equal(event.data, data);
			events++;
		}
		expect_end(&page, 0);
		kbuffer_free(kbuffer);
		end(&w);
	}
	assert_true(events > 30 * PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_of_entries),
		cmocka_unit_test(test_absolute_beyond_59_bits),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_lost_events),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_against_kbuffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
