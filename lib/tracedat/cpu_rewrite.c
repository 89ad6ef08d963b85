// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>

#include "cleanup.h"
#include "cpu_data_writer.h"
#include "cpu_rewrite.h"
#include "cpu_stream.h"
#include "ring_page_writer.h"
#include "trace_dat.h"

/*
 * Pages being written. Consecutive pages without events, before which the kernel lost events, become one page without
 * events, with the sum of the losses. Its time is that of the next event, or of the last one without a next.
 */
struct rewriting {
	struct trace_dat	*dat;
	struct cpu_data_writer	*out;
	struct ring_page_writer	page;
	bool			open;		/* @page has a page */
	uint64_t		last;		/* time of the last event */
	bool			any;		/* there was an event */
	bool			lost;		/* events were lost before pages without events */
	bool			lost_unknown;	/* one of these losses has no number */
	uint64_t		nr_lost;
};

static int end_page(struct rewriting *now)
{
	if (!now->open)
		return 0;
	ring_page_writer_end(&now->page);
	now->open = false;
	return cpu_data_writer_add_page(now->out);
}

static void begin_page(struct rewriting *now, uint64_t time)
{
	ring_page_writer_begin(&now->page, cpu_data_writer_page(now->out), now->out->page_size, now->dat->long_size,
			       time);
	now->open = true;
}

static int write_lost(struct rewriting *now, uint64_t time)
{
	if (!now->lost)
		return 0;
	begin_page(now, time);
	ring_page_writer_lose(&now->page, now->lost_unknown ? 0 : now->nr_lost);
	now->lost = now->lost_unknown = false;
	now->nr_lost = 0;
	return end_page(now);
}

static void keep_lost(struct rewriting *now, const struct ring_page *page)
{
	now->lost = true;
	now->lost_unknown |= !page->nr_lost || __builtin_add_overflow(now->nr_lost, page->nr_lost, &now->nr_lost) ||
			     (now->dat->long_size == sizeof(uint32_t) && now->nr_lost > UINT32_MAX);
}

static int add_event(struct rewriting *now, const struct ring_event *event, const struct ring_page *from, bool first,
		     uint64_t time)
{
	int ret = 0;

	if (!first && ring_page_writer_add(&now->page, event, time))
		return 0;
	/* Each page begins a new page. A page that overflows, or whose times go back, becomes several pages. */
	if (first)
		ret = write_lost(now, time);
	if (!ret)
		ret = end_page(now);
	if (ret)
		return ret;
	begin_page(now, time);
	if (first && from->lost)
		ring_page_writer_lose(&now->page, from->nr_lost);
	return ring_page_writer_add(&now->page, event, time) ? 0 : -EOVERFLOW;
}

static int rewrite_page(struct rewriting *now, struct cpu_stream *stream, struct rewritten_event *event,
			rewrite_time time, void *context)
{
	int ret;

	event->page = stream->nr_pages - 1;
	event->number = 0;
	while ((ret = cpu_stream_next_in_page(stream)) == 1) {
		uint64_t new_time = 0;

		event->ts = stream->event.ts;
		ret = time(context, event, &new_time);
		if (!ret)
			ret = add_event(now, &stream->event, &stream->page, !event->number, new_time);
		if (ret)
			return ret;
		now->any = true;
		now->last = new_time;
		event->number++;
	}
	if (!ret && !event->number && stream->page.lost)
		keep_lost(now, &stream->page);
	return ret ? ret : end_page(now);
}

/**
 * cpu_rewrite - rewrite the pages of a CPU with other times
 * @dat: the open file
 * @buffer: index of the buffer in @dat
 * @cpu: index of the CPU in the buffer
 * @out: writer for the buffer's pages, with a CPU begun
 * @time: called for each event; see rewrite_time
 * @context: for @time
 *
 * Pages without events are skipped, unless events were lost before them.
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error if it concerns @dat.
 */
int cpu_rewrite(struct trace_dat *dat, size_t buffer, size_t cpu, struct cpu_data_writer *out, rewrite_time time,
		void *context)
{
	struct rewritten_event event = { .buffer = buffer, .cpu = cpu };
	_cleanup_(cpu_stream_close) struct cpu_stream stream;
	struct rewriting now = { .dat = dat, .out = out };
	int ret;

	ret = cpu_stream_open(&stream, dat, &dat->buffers[buffer], &dat->buffers[buffer].cpus[cpu]);
	while (!ret) {
		ret = cpu_stream_next_page(&stream);
		if (ret <= 0)
			break;
		ret = rewrite_page(&now, &stream, &event, time, context);
	}
	return ret || !now.any ? ret : write_lost(&now, now.last);
}
