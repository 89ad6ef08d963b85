// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "cpu_pages.h"
#include "guest_sample.h"
#include "order.h"
#include "trace_dat.h"

/* Pages of all CPUs together, and of each CPU at least and at most */
#define PAGES_OF_ALL	2048UL
#define LEAST_PAGES	4UL
#define MOST_PAGES	64UL
/* Events of all CPUs together, of each CPU at most, and of each page at least */
#define EVENTS_OF_ALL	(1UL << 18)
#define MOST_EVENTS	8192UL
#define PAGE_EVENTS	16UL
/* Pages that are read at once to find the event of a change */
#define BETWEEN_PAGES	16UL

/* An event of a page: its time, its number, and whether the TSC went back before it */
struct page_event {
	uint64_t	ts;
	uint32_t	number;
	bool		went_back;
};

/* The events of a page being read; @went_back: the TSC went back after the last of them */
struct page_events {
	struct page_event	*events;
	size_t			nr;
	size_t			capacity;
	uint64_t		nr_late;
	bool			went_back;
};

static int read_events(struct page_events *read, struct trace_dat *dat, struct ring_page *page)
{
	struct ring_event event;
	uint32_t number, nr_back = 0;
	int ret;

	read->nr = 0;
	for (number = 0; (ret = ring_page_next(page, &event)) > 0; number++) {
		read->went_back |= page->nr_back != nr_back;
		nr_back = page->nr_back;
		if (page->late) {
			read->nr_late++;
			continue;
		}
		if (array_reserve(read->events, read->nr, read->capacity))
			return trace_dat_refuse(dat, -ENOMEM, "no memory");
		read->events[read->nr++] = (struct page_event) { event.ts, number, read->went_back };
		read->went_back = false;
	}
	return ret ? trace_dat_refuse(dat, ret, "an event is damaged") : 0;
}

/* Some of a page's events, including the first and the last */
static void take_events(struct guest_sample_cpu *cpu, const struct page_events *read, uint64_t page, size_t most)
{
	size_t nr = read->nr < most ? read->nr : most, next = 0;

	for (size_t i = 0; i < nr; i++) {
		size_t which = nr > 1 ? (size_t)((unsigned __int128)i * (read->nr - 1) / (nr - 1)) : 0;

		cpu->times[cpu->nr] = read->events[which].ts;
		cpu->numbers[cpu->nr] = read->events[which].number;
		for (; next <= which; next++)
			cpu->went_back[cpu->nr] |= read->events[next].went_back;
		cpu->pages[cpu->nr++] = page;
	}
}

/* Read @wanted of the @nr pages from @from on, and at most @most events of each */
static int read_pages(struct guest_sample_cpu *cpu, struct cpu_pages *pages, uint64_t from, uint64_t nr,
		      size_t wanted, size_t most)
{
	struct page_events read = { 0 };
	int ret = 0;

	cpu->times = calloc(wanted * most + 1, sizeof(*cpu->times));
	cpu->pages = calloc(wanted * most + 1, sizeof(*cpu->pages));
	cpu->numbers = calloc(wanted * most + 1, sizeof(*cpu->numbers));
	cpu->went_back = calloc(wanted * most + 1, sizeof(*cpu->went_back));
	if (!cpu->times || !cpu->pages || !cpu->numbers || !cpu->went_back)
		return trace_dat_refuse(pages->dat, -ENOMEM, "no memory");
	for (size_t i = 0; i < wanted && !ret; i++) {
		uint64_t number = from + (wanted > 1 ? (unsigned __int128)i * (nr - 1) / (wanted - 1) : 0);
		struct ring_page page;

		ret = cpu_pages_read(pages, number, &page);
		if (!ret)
			ret = read_events(&read, pages->dat, &page);
		if (ret)
			break;
		cpu->whole &= read.nr <= most;
		take_events(cpu, &read, number, most);
	}
	cpu->whole &= wanted == nr;
	cpu->nr_late += read.nr_late;
	free(read.events);
	return ret;
}

static int read_cpu(struct guest_sample_cpu *cpu, struct trace_dat *dat, const struct trace_dat_buffer *buffer,
		    const struct trace_dat_cpu *data, size_t nr_cpus)
{
	size_t wanted = PAGES_OF_ALL / nr_cpus, most = EVENTS_OF_ALL / nr_cpus;
	_cleanup_(cpu_pages_close) struct cpu_pages pages;
	int ret;

	ret = cpu_pages_open(&pages, dat, buffer, data);
	if (ret)
		return ret;
	wanted = wanted < LEAST_PAGES ? LEAST_PAGES : wanted > MOST_PAGES ? MOST_PAGES : wanted;
	wanted = wanted < pages.nr ? wanted : pages.nr;
	most = (most > MOST_EVENTS ? MOST_EVENTS : most) / (wanted + !wanted);
	*cpu = (struct guest_sample_cpu) { .cpu = data->cpu, .nr_pages = pages.nr, .whole = true };
	return read_pages(cpu, &pages, 0, pages.nr, wanted, most < PAGE_EVENTS ? PAGE_EVENTS : most);
}

static ORDER_BY(compare_cpus, struct guest_sample_cpu, cpu)

/**
 * guest_sample_read - read a sample of a buffer's events
 * @sample: result; must be released in any case
 * @dat: the open file
 * @buffer: a buffer of @dat
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int guest_sample_read(struct guest_sample *sample, struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	size_t nr_cpus = 0;
	int ret = 0;

	*sample = (struct guest_sample) {
		.cpus = calloc(buffer->nr_cpus + 1, sizeof(*sample->cpus)), .whole = true,
	};
	if (!sample->cpus)
		return trace_dat_refuse(dat, -ENOMEM, "no memory");
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		nr_cpus += buffer->cpus[i].size != 0;
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		struct guest_sample_cpu *cpu = &sample->cpus[sample->nr_cpus];

		if (!buffer->cpus[i].size)
			continue;
		ret = read_cpu(cpu, dat, buffer, &buffer->cpus[i], nr_cpus);
		sample->whole &= cpu->whole;
		if (cpu->nr || cpu->nr_late)
			sample->nr_cpus++;
		else
			guest_sample_cpu_release(cpu);
	}
	array_sort(sample->cpus, sample->nr_cpus, compare_cpus);
	return ret;
}

/**
 * guest_sample_read_between - read more of a CPU's events
 * @between: result; must be released in any case
 * @dat: the open file
 * @buffer: a buffer of @dat
 * @cpu: index of the CPU
 * @from, @to: numbers of pages; reads these and some between them, or all if they are few
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int guest_sample_read_between(struct guest_sample_cpu *between, struct trace_dat *dat,
			      const struct trace_dat_buffer *buffer, uint32_t cpu, uint64_t from, uint64_t to)
{
	_cleanup_(cpu_pages_close) struct cpu_pages pages = { 0 };
	size_t wanted = to - from + 1 < BETWEEN_PAGES ? to - from + 1 : BETWEEN_PAGES;
	int ret = 0;

	*between = (struct guest_sample_cpu) { .cpu = cpu, .whole = true };
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		if (buffer->cpus[i].cpu == cpu && buffer->cpus[i].size)
			ret = cpu_pages_open(&pages, dat, buffer, &buffer->cpus[i]);
	}
	between->nr_pages = pages.nr;
	if (!ret && from <= to && to < pages.nr)
		ret = read_pages(between, &pages, from, to - from + 1, wanted, MOST_EVENTS / wanted);
	return ret;
}

/**
 * guest_sample_cpu_release - free a CPU's events
 * @cpu: the events, also after a failed read, or all zeros
 */
void guest_sample_cpu_release(struct guest_sample_cpu *cpu)
{
	free(cpu->times);
	free(cpu->pages);
	free(cpu->numbers);
	free(cpu->went_back);
	*cpu = (struct guest_sample_cpu) { 0 };
}

/**
 * guest_sample_release - free a sample
 * @sample: the sample, also after a failed read, or all zeros
 */
void guest_sample_release(struct guest_sample *sample)
{
	for (size_t i = 0; i < sample->nr_cpus; i++)
		guest_sample_cpu_release(&sample->cpus[i]);
	free(sample->cpus);
	*sample = (struct guest_sample) { 0 };
}
