// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The sample of a guest's events: few pages for a file of any size, including the first and the last page. Also
 * reading pages in any order.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu_pages.h"
#include "guest_sample.h"
#include "page_file.h"
#include "prng.h"

#define PAGE_TICKS	1000000ULL

/* Event @event of page @page of CPU @cpu */
static uint64_t time_of(uint32_t cpu, uint64_t page, size_t event)
{
	return (cpu + 1) * 1000000000000ULL + page * PAGE_TICKS + event * 10;
}

static uint8_t *make_pages(uint32_t cpu, size_t page_size, size_t nr, size_t events)
{
	uint8_t *pages = calloc(nr + 1, page_size);
	uint64_t *times = calloc(events + 1, sizeof(*times));

	assert_non_null(pages);
	assert_non_null(times);
	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < events; j++)
			times[j] = time_of(cpu, i, j);
		page_file_put_page(pages + i * page_size, page_size, times, events);
	}
	free(times);
	return pages;
}

struct sample_case {
	const char	*name;
	size_t		nr_cpus;
	uint32_t	page_size;
	size_t		pages;		/* of each CPU */
	size_t		events;		/* of each page */
	size_t		pages_read;
	size_t		events_read;	/* of each page that is read */
};

static const struct sample_case sample_cases[] = {
	{ "a small file: all", 2, 512, 3, 5, 3, 5 },
	{ "one event", 1, 512, 1, 1, 1, 1 },
	{ "as many pages as are read", 1, 512, 64, 3, 64, 3 },
	{ "one more", 1, 512, 65, 3, 64, 3 },
	{ "a large file", 1, 512, 9000, 3, 64, 3 },
	{ "more CPUs have less each", 100, 512, 50, 3, 20, 3 },
	{ "and at least four pages", 1024, 512, 5, 3, 4, 3 },
	{ "as many events of a page as there is room for", 1, 4096, 64, 128, 64, 128 },
	{ "one more", 1, 4096, 64, 129, 64, 128 },
	{ "a wide page", 1, 262144, 1, 20000, 1, 8192 },
	{ "two wide pages", 1, 262144, 2, 20000, 2, 4096 },
	{ "wide pages of many CPUs", 2048, 4096, 4, 200, 4, 32 },
	{ "and at least 16 events", 8192, 4096, 4, 200, 4, 16 },
};

static void check_cpu(const struct sample_case *c, const struct guest_sample_cpu *cpu, uint32_t data)
{
	size_t nr_pages = 0;

	if (cpu->nr != c->pages_read * c->events_read || cpu->nr_pages != c->pages)
		fail_msg("%s: %zu events of %lu pages", c->name, cpu->nr, (unsigned long)cpu->nr_pages);
	assert_int_equal(cpu->nr_late, 0);
	assert_int_equal(cpu->whole, c->pages == c->pages_read && c->events == c->events_read);
	for (size_t i = 0; i < cpu->nr; i++) {
		uint64_t since = cpu->times[i] - time_of(data, cpu->pages[i], 0);

		nr_pages += !i || cpu->pages[i] != cpu->pages[i - 1];
		if (i)
			assert_true(cpu->times[i] > cpu->times[i - 1] && cpu->pages[i] >= cpu->pages[i - 1]);
		assert_true(since < PAGE_TICKS && !(since % 10) && since / 10 < c->events);
	}
	/* The first and the last page are read completely, and the pages between them are spread evenly */
	assert_int_equal(nr_pages, c->pages_read);
	assert_int_equal(cpu->times[0], time_of(data, 0, 0));
	assert_int_equal(cpu->times[cpu->nr - 1], time_of(data, c->pages - 1, c->events - 1));
	for (size_t i = 0; i < c->pages_read; i++) {
		uint64_t page = c->pages_read > 1 ? i * (c->pages - 1) / (c->pages_read - 1) : 0;

		assert_int_equal(cpu->pages[i * c->events_read], page);
		assert_int_equal(cpu->times[i * c->events_read], time_of(data, page, 0));
	}
}

static void test_sample(void **state)
{
	for (size_t i = 0; i < sizeof(sample_cases) / sizeof(*sample_cases); i++) {
		const struct sample_case *c = &sample_cases[i];
		uint8_t *pages = make_pages(0, c->page_size, c->pages, c->events);
		struct guest_sample sample;
		struct page_file file;

		page_file_open(&file, c->page_size);
		page_file_add_cpu(&file, c->nr_cpus - 1, pages, c->pages);
		/* All CPUs share the same bytes; those with higher numbers come first in the file */
		for (size_t cpu = c->nr_cpus - 1; cpu--;) {
			page_file_add_cpu(&file, cpu, NULL, 0);
			file.buffer.cpus[file.buffer.nr_cpus - 1] = file.buffer.cpus[0];
			file.buffer.cpus[file.buffer.nr_cpus - 1].cpu = cpu;
		}
		assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), 0);
		assert_int_equal(sample.nr_cpus, c->nr_cpus);
		assert_int_equal(sample.whole, c->pages == c->pages_read && c->events == c->events_read);
		for (size_t cpu = 0; cpu < c->nr_cpus; cpu++) {
			assert_int_equal(sample.cpus[cpu].cpu, cpu);
			check_cpu(c, &sample.cpus[cpu], 0);
		}
		guest_sample_release(&sample);
		page_file_close(&file);
		free(pages);
	}
}

/* CPUs without data, without an event, and with a clock that went back */
static void test_odd_cpus(void **state)
{
	static const uint64_t times[] = { 1000, 1010, 900, 1030 };
	struct guest_sample sample;
	struct page_file file;
	uint8_t page[512];

	page_file_open(&file, sizeof(page));
	page_file_add_cpu(&file, 0, NULL, 0);
	page_file_put_page(page, sizeof(page), times, 0);
	page_file_add_cpu(&file, 1, page, 1);
	page_file_put_page(page, sizeof(page), times, 4);
	page_file_add_cpu(&file, 2, page, 1);
	page_file_put_page(page, sizeof(page), times, 2);
	page_file_add_cpu(&file, 3, page, 1);
	/* A page with a late event only: remove the event before it */
	page_file_put_page(page, sizeof(page), times + 1, 2);
	memmove(page + 16, page + 24, 16);
	page[8] -= 8;
	page_file_add_cpu(&file, 4, page, 1);
	assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), 0);
	assert_int_equal(sample.nr_cpus, 3);
	assert_true(sample.cpus[2].cpu == 4 && !sample.cpus[2].nr && sample.cpus[2].nr_late == 1);
	assert_int_equal(sample.cpus[0].cpu, 2);
	/* The two late events are left out */
	assert_int_equal(sample.cpus[0].nr, 2);
	assert_int_equal(sample.cpus[0].nr_late, 2);
	assert_int_equal(sample.cpus[1].cpu, 3);
	assert_true(sample.cpus[1].nr == 2 && sample.cpus[1].times[1] == 1010 && sample.cpus[1].whole);
	guest_sample_release(&sample);
	page_file_close(&file);
}

/* Where the TSC went back, also if the first events after it are late or not in the sample */
static void test_went_back(void **state)
{
	static const uint64_t first[] = { 1000, 1010, 900, 1030 }, second[] = { 950, 960, 970 },
		third[] = { 2000, 2010 };
	static const struct { uint64_t time, page; uint32_t number; bool went_back; } wanted[] = {
		{ 1000, 0, 0, false }, { 1010, 0, 1, false }, { 950, 1, 0, true }, { 960, 1, 1, false },
		{ 970, 1, 2, false },
		/* The TSC went back, and the rest of that page is late */
		{ 2000, 3, 0, true }, { 2010, 3, 1, false },
	};
	struct guest_sample_cpu between;
	struct guest_sample sample;
	uint8_t pages[4 * 512];
	struct page_file file;

	page_file_open(&file, 512);
	page_file_put_page(pages, 512, first, 4);
	page_file_put_page(pages + 512, 512, second, 3);
	/* A page with a late event only */
	page_file_put_page(pages + 1024, 512, first + 1, 2);
	memmove(pages + 1024 + 16, pages + 1024 + 24, 16);
	pages[1024 + 8] -= 8;
	page_file_put_page(pages + 1536, 512, third, 2);
	page_file_add_cpu(&file, 0, pages, 4);
	assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), 0);
	assert_true(sample.cpus[0].nr == 7 && sample.cpus[0].nr_late == 3);
	for (size_t i = 0; i < 7; i++) {
		const struct guest_sample_cpu *cpu = &sample.cpus[0];

		if (cpu->times[i] != wanted[i].time || cpu->pages[i] != wanted[i].page ||
		    cpu->numbers[i] != wanted[i].number || cpu->went_back[i] != wanted[i].went_back)
			fail_msg("event %zu: %lu, page %lu, number %u, went back %d", i, (unsigned long)cpu->times[i],
				 (unsigned long)cpu->pages[i], cpu->numbers[i], cpu->went_back[i]);
	}
	guest_sample_release(&sample);
	/* Nothing is known of pages before the first page that is read */
	assert_int_equal(guest_sample_read_between(&between, &file.dat, &file.buffer, 0, 1, 3), 0);
	assert_true(between.nr == 5 && !between.went_back[0] && between.went_back[3] && between.nr_late == 1);
	guest_sample_cpu_release(&between);
	page_file_close(&file);
}

/*
 * The sample leaves out some events of a large page. The next sampled event then has the mark. @event: the TSC went
 * back before it.
 */
static void went_back_unsampled(size_t event)
{
	const size_t page_size = 262144, nr = 10000;
	uint8_t *page = calloc(1, page_size);
	uint32_t *words = (uint32_t *)page + 4;
	struct guest_sample sample;
	struct page_file file;
	uint64_t commit = 8 * nr;
	size_t back = 0;

	assert_non_null(page);
	page_file_open(&file, page_size);
	for (size_t i = 0; i < nr; i++)
		words[2 * i] = 10 << 5 | 1;
	/* Replaces two events by the time stamp of a jump backward and by an absolute time stamp */
	words[2 * event] = 30;
	words[2 * event + 2] = 500 << 5 | 31;
	memcpy(page + 8, &commit, sizeof(commit));
	page_file_add_cpu(&file, 0, page, 1);
	assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), 0);
	assert_false(sample.whole);
	for (size_t i = 1; i < sample.cpus[0].nr; i++) {
		const struct guest_sample_cpu *cpu = &sample.cpus[0];

		back += cpu->went_back[i];
		assert_int_equal(cpu->went_back[i], cpu->times[i] < cpu->times[i - 1]);
		assert_true(cpu->numbers[i] > cpu->numbers[i - 1]);
	}
	assert_int_equal(back, 1);
	guest_sample_release(&sample);
	page_file_close(&file);
	free(page);
}

static void test_went_back_unsampled(void **state)
{
	/* The sample leaves out at least one of these events */
	for (size_t event = 5000; event < 5008; event++)
		went_back_unsampled(event);
}

static void test_between(void **state)
{
	static const struct { const char *name; uint32_t cpu; uint64_t from, to; size_t nr; bool whole; } cases[] = {
		{ "one page", 5, 7, 7, 1, true },
		{ "two pages", 5, 7, 8, 2, true },
		{ "as many as are read", 5, 10, 25, 16, true },
		{ "one more", 5, 10, 26, 16, false },
		{ "all", 5, 0, 99, 16, false },
		{ "the last", 5, 99, 99, 1, true },
		{ "beyond the last", 5, 99, 100, 0, true },
		{ "the other way round", 5, 8, 7, 0, true },
		{ "another CPU", 4, 0, 1, 0, true },
	};
	uint8_t *pages = make_pages(5, 512, 100, 3);
	struct page_file file;

	page_file_open(&file, 512);
	page_file_add_cpu(&file, 4, NULL, 0);
	page_file_add_cpu(&file, 5, pages, 100);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct guest_sample_cpu between;
		uint64_t from = cases[i].from, to = cases[i].to;

		assert_int_equal(guest_sample_read_between(&between, &file.dat, &file.buffer, cases[i].cpu, from,
							   to), 0);
		if (between.nr != 3 * cases[i].nr || between.whole != cases[i].whole)
			fail_msg("%s: %zu events, whole %d", cases[i].name, between.nr, between.whole);
		assert_int_equal(between.cpu, cases[i].cpu);
		if (between.nr) {
			assert_true(between.pages[0] == from && between.pages[between.nr - 1] == to);
			assert_int_equal(between.times[0], time_of(5, from, 0));
			assert_int_equal(between.times[between.nr - 1], time_of(5, to, 2));
		}
		guest_sample_cpu_release(&between);
	}
	page_file_close(&file);
	free(pages);
}

static void test_damage(void **state)
{
	uint8_t *pages = make_pages(0, 512, 4, 3);
	const uint64_t commit = 497, odd = 7;
	struct guest_sample sample;
	struct page_file file;

	/* A page whose committed size exceeds the page */
	memcpy(pages + 512 * 3 + 8, &commit, sizeof(commit));
	page_file_open(&file, 512);
	page_file_add_cpu(&file, 0, pages, 4);
	assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), -EBADMSG);
	assert_non_null(strstr(file.error.text, "damaged"));
	guest_sample_release(&sample);
	page_file_close(&file);

	/* A page that ends in the middle of an event's header */
	memcpy(pages + 512 * 3 + 8, &odd, sizeof(odd));
	page_file_open(&file, 512);
	page_file_add_cpu(&file, 0, pages, 4);
	assert_int_equal(guest_sample_read(&sample, &file.dat, &file.buffer), -EBADMSG);
	guest_sample_release(&sample);
	page_file_close(&file);

	/* A file that is shorter than the sizes in it */
	page_file_open(&file, 512);
	page_file_add_cpu(&file, 0, pages, 3);
	file.buffer.cpus[0].size += 512;
	assert_true(guest_sample_read(&sample, &file.dat, &file.buffer) < 0);
	guest_sample_release(&sample);
	page_file_close(&file);
	free(pages);
}

#define NR_CHUNKS 100

static void check_page(struct cpu_pages *pages, uint64_t number)
{
	struct ring_event event;
	struct ring_page page;

	assert_int_equal(cpu_pages_read(pages, number, &page), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ring_page_next(&page, &event), 1);
		if (event.ts != time_of(0, number, i))
			fail_msg("page %lu: %lu", (unsigned long)number, (unsigned long)event.ts);
	}
	assert_int_equal(ring_page_next(&page, &event), 0);
}

/* Chunks of one to sixteen pages, some without any; all pages in any order */
static void test_pages(void **state)
{
	size_t nr_pages[NR_CHUNKS], nr = 0;
	uint64_t seed = 71;
	uint8_t *bytes;

	for (size_t i = 0; i < NR_CHUNKS; i++)
		nr += nr_pages[i] = i % 7 == 3 ? 0 : prng_range(&seed, 1, 16);
	bytes = make_pages(0, 512, nr, 3);
	for (int compressed = 0; compressed < 2; compressed++) {
		struct cpu_pages pages;
		struct page_file file;

		page_file_open(&file, 512);
		if (compressed)
			page_file_add_chunks(&file, 0, bytes, nr_pages, NR_CHUNKS);
		else
			page_file_add_cpu(&file, 0, bytes, nr);
		assert_int_equal(cpu_pages_open(&pages, &file.dat, &file.buffer, &file.buffer.cpus[0]), 0);
		assert_int_equal(pages.nr, nr);
		for (uint64_t i = 0; i < nr; i++)
			check_page(&pages, i);
		for (uint64_t i = nr; i--;)
			check_page(&pages, i);
		for (size_t i = 0; i < 500; i++)
			check_page(&pages, prng_range(&seed, 0, nr - 1));
		cpu_pages_close(&pages);
		page_file_close(&file);
	}
	free(bytes);
}

/* Damaged sizes of chunks */
static void test_chunks(void **state)
{
	static const struct { const char *name; size_t at; uint32_t value; size_t cut; int result; } cases[] = {
		{ "nothing wrong", 0, 0, 0, 0 },
		{ "more chunks than there are", 0, 5, 0, -EBADMSG },
		{ "larger than the file", 4, 1 << 20, 0, -EBADMSG },
		{ "half of a page", 8, 256, 0, -EBADMSG },
		{ "more pages than a chunk has", 8, 17 * 512, 0, -EBADMSG },
		{ "the number of chunks is a part of the size or not", 0, 0, 0, 0 },
		{ "one byte beyond the data of the CPU", 0, 0, 1, -EBADMSG },
	};
	const size_t nr_pages[] = { 2, 3, 1 };
	uint8_t *bytes = make_pages(0, 512, 6, 3);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cpu_pages pages;
		struct page_file file;
		int ret;

		page_file_open(&file, 512);
		page_file_add_chunks(&file, 0, bytes, nr_pages, 3);
		if (cases[i].value)
			assert_int_equal(pwrite(file.dat.fd, &cases[i].value, 4, cases[i].at), 4);
		file.buffer.cpus[0].size -= cases[i].cut;
		ret = cpu_pages_open(&pages, &file.dat, &file.buffer, &file.buffer.cpus[0]);
		if (ret != cases[i].result)
			fail_msg("%s: %d", cases[i].name, ret);
		cpu_pages_close(&pages);
		page_file_close(&file);
	}
	free(bytes);
}

/* After a chunk that cannot be read the other chunks are still read correctly */
static void test_after_damage(void **state)
{
	const size_t nr_pages[] = { 2, 2, 2 };
	uint8_t *bytes = make_pages(0, 512, 6, 3);
	struct cpu_pages pages;
	struct page_file file;
	struct ring_page page;

	page_file_open(&file, 512);
	page_file_add_chunks(&file, 0, bytes, nr_pages, 3);
	/* Damage the end of the last chunk, so that much of it is unpacked before the error */
	assert_int_equal(pwrite(file.dat.fd, "xxxx", 4, file.dat.size - 4), 4);
	assert_int_equal(cpu_pages_open(&pages, &file.dat, &file.buffer, &file.buffer.cpus[0]), 0);
	check_page(&pages, 0);
	assert_int_equal(cpu_pages_read(&pages, 5, &page), -EBADMSG);
	check_page(&pages, 0);
	check_page(&pages, 1);
	cpu_pages_close(&pages);
	page_file_close(&file);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_odd_cpus),
		cmocka_unit_test(test_went_back),
		cmocka_unit_test(test_went_back_unsampled),
		cmocka_unit_test(test_between),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_after_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
