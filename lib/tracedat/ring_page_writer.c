// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "ring_layout.h"
#include "ring_page.h"
#include "ring_page_writer.h"

/* The largest event with its size in its type; larger types have other meanings */
#define MAX_SMALL	((RING_TYPE_PADDING - 1) * sizeof(uint32_t))

static size_t header_size(const struct ring_page_writer *writer)
{
	return RING_COMMIT_AT + writer->long_size;
}

static void put(struct ring_page_writer *writer, const void *data, size_t size)
{
	memcpy(writer->page + header_size(writer) + writer->used, data, size);
	writer->used += size;
}

static void put_word(struct ring_page_writer *writer, uint32_t word)
{
	put(writer, &word, sizeof(word));
}

static void put_head(struct ring_page_writer *writer, uint32_t type, uint64_t delta)
{
	put_word(writer, (uint32_t)(delta & ((1U << RING_DELTA_BITS) - 1)) << RING_TYPE_BITS | type);
}

static void put_time(struct ring_page_writer *writer, uint32_t type, uint64_t time)
{
	put_head(writer, type, time);
	put_word(writer, (uint32_t)(time >> RING_DELTA_BITS));
}

/* Bytes for further entries; the number of lost events follows them */
static size_t room(const struct ring_page_writer *writer)
{
	size_t number = writer->nr_lost ? writer->long_size : 0;

	return writer->size - header_size(writer) - writer->used - number;
}

static bool is_small(const struct ring_event *event)
{
	return event->size && event->size <= MAX_SMALL;
}

/**
 * ring_page_writer_begin - begin a page
 * @writer: result
 * @page: memory for the page; not owned
 * @size: its size in bytes, more than a header and a number of lost events
 * @long_size: size of a long in the kernel that wrote the page, 4 or 8
 * @ts: time of the page, which is that of its first event
 */
void ring_page_writer_begin(struct ring_page_writer *writer, void *page, size_t size, size_t long_size, uint64_t ts)
{
	*writer = (struct ring_page_writer) { .page = page, .size = size, .long_size = long_size, .ts = ts };
	memcpy(writer->page, &ts, sizeof(ts));
}

/**
 * ring_page_writer_lose - record that the ring buffer dropped events before this page
 * @writer: a page without events
 * @nr_lost: their number, 0 if unknown; with a long of 4 bytes only its low 32 bits are written
 */
void ring_page_writer_lose(struct ring_page_writer *writer, uint64_t nr_lost)
{
	writer->lost = true;
	writer->nr_lost = nr_lost;
}

/**
 * ring_page_writer_add - write an event
 * @writer: the page
 * @event: the event; its own time is ignored. An absolute time stamp is kept as such
 * @ts: time of the event
 *
 * Returns: true, or false if the event needs another page: it does not fit, or its time is before that of the event
 * before, or 2^59 or more after it.
 */
bool ring_page_writer_add(struct ring_page_writer *writer, const struct ring_event *event, uint64_t ts)
{
	size_t size = event->size + (is_small(event) ? sizeof(uint32_t) : 2 * sizeof(uint32_t));
	uint64_t delta = ts - writer->ts;
	/* Some readers take the missing bits of an absolute time stamp for zeros */
	bool absolute = event->absolute && !((ts | writer->ts) >> RING_ABSOLUTE_BITS);
	bool extended = delta >> RING_DELTA_BITS;

	if (!absolute && (ts < writer->ts || delta >> RING_ABSOLUTE_BITS))
		return false;
	if (absolute || extended)
		size += 2 * sizeof(uint32_t);
	if (size > room(writer))
		return false;
	if (absolute)
		put_time(writer, RING_TYPE_TIME_STAMP, ts);
	else if (extended)
		put_time(writer, RING_TYPE_TIME_EXTEND, delta);
	if (absolute || extended)
		delta = 0;
	if (is_small(event)) {
		put_head(writer, (uint32_t)(event->size / sizeof(uint32_t)), delta);
	} else {
		put_head(writer, RING_TYPE_SIZED, delta);
		/* The size includes this word */
		put_word(writer, (uint32_t)(event->size + sizeof(uint32_t)));
	}
	put(writer, event->data, event->size);
	writer->ts = ts;
	return true;
}

/**
 * ring_page_writer_end - complete a page
 * @writer: the page; all its bytes are set afterwards
 */
void ring_page_writer_end(struct ring_page_writer *writer)
{
	uint8_t *end = writer->page + header_size(writer) + writer->used;
	uint64_t commit = writer->used;

	memset(end, 0, writer->size - header_size(writer) - writer->used);
	if (writer->lost)
		commit |= RING_LOST;
	if (writer->nr_lost) {
		commit |= RING_LOST_STORED;
		memcpy(end, &writer->nr_lost, writer->long_size);
	}
	memcpy(writer->page + RING_COMMIT_AT, &commit, writer->long_size);
}
