// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include "ring_page.h"

/* struct buffer_data_page: a time, then a long "commit" with the size of the data and two flags */
#define COMMIT_AT	8
#define COMMIT_MASK	((1U << 27) - 1)
#define LOST		(1U << 31)
#define LOST_STORED	(1U << 30)

/* struct ring_buffer_event: 5 bits of type or length, 27 bits of time since the event before */
#define TYPE_BITS	5
#define DELTA_BITS	27
enum { TYPE_SIZED = 0, TYPE_PADDING = 29, TYPE_TIME_EXTEND = 30, TYPE_TIME_STAMP = 31 };

/* An absolute time has 59 bits; the others are those of the time before */
#define ABSOLUTE_BITS	(2 * 32 - TYPE_BITS)

static uint32_t u32_at(const uint8_t *data)
{
	uint32_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static uint64_t long_at(const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, data, size);
	return value;
}

/**
 * ring_page_open - begin to read a page
 * @page: result; valid as long as the bytes are
 * @data: the page, in the byte order of this machine
 * @size: its size in bytes
 * @long_size: bytes of a long of the kernel that wrote it, 4 or 8
 *
 * Returns: 0, or -EBADMSG if the header is wrong.
 */
int ring_page_open(struct ring_page *page, const void *data, size_t size, size_t long_size)
{
	const uint8_t *bytes = data;
	size_t header = COMMIT_AT + long_size;
	uint64_t commit;

	if (size < header)
		return -EBADMSG;
	commit = long_at(bytes + COMMIT_AT, long_size);
	if ((commit & COMMIT_MASK) > size - header)
		return -EBADMSG;
	*page = (struct ring_page) {
		.data	= bytes + header,
		.size	= commit & COMMIT_MASK,
		.ts	= long_at(bytes, sizeof(uint64_t)),
		.lost	= commit & LOST,
	};
	/* The number follows the events, if there was room */
	if (page->lost && commit & LOST_STORED && size - header - page->size >= long_size)
		page->nr_lost = long_at(page->data + page->size, long_size);
	return 0;
}

/**
 * ring_page_next - read the next event
 * @page: open
 * @event: result; valid as long as the page's bytes are
 *
 * Returns: 1, 0 if there are no more, or -EBADMSG if an entry reaches beyond the page.
 */
int ring_page_next(struct ring_page *page, struct ring_event *event)
{
	while (page->size - page->at >= sizeof(uint32_t)) {
		const uint8_t *entry = page->data + page->at;
		size_t left = page->size - page->at - sizeof(uint32_t);
		uint32_t head = u32_at(entry), type = head & ((1U << TYPE_BITS) - 1);
		uint64_t delta = head >> TYPE_BITS;
		uint32_t word = 0;
		size_t length;

		/* The two kinds without a word behind the head are a page's padded end, and small events */
		if (type == TYPE_PADDING && !delta)
			break;
		if (type == TYPE_SIZED || type >= TYPE_PADDING) {
			if (left < sizeof(word))
				return -EBADMSG;
			word = u32_at(entry + sizeof(head));
		}
		switch (type) {
		case TYPE_PADDING:
			length = word;
			page->ts += delta;
			break;
		case TYPE_TIME_EXTEND:
			length = sizeof(word);
			page->ts += ((uint64_t)word << DELTA_BITS) + delta;
			/* rb_add_timestamp() writes 0 for a difference less than that */
			page->late |= !word && !delta;
			break;
		case TYPE_TIME_STAMP:
			length = sizeof(word);
			page->late = false;
			page->ts = (page->ts & ~((1ULL << ABSOLUTE_BITS) - 1)) |
				((uint64_t)word << DELTA_BITS) | delta;
			break;
		case TYPE_SIZED:
			/* The word is a part of what it counts */
			if (word < sizeof(word))
				return -EBADMSG;
			length = ((uint64_t)word + 3) & ~3ULL;
			page->ts += delta;
			break;
		default:
			length = type * sizeof(uint32_t);
			page->ts += delta;
		}
		if (length > left)
			return -EBADMSG;
		page->at += sizeof(head) + length;
		if (type >= TYPE_PADDING)
			continue;
		*event = (struct ring_event) {
			.ts	= page->ts,
			.data	= entry + sizeof(head),
			.size	= length,
		};
		if (type == TYPE_SIZED) {
			event->data += sizeof(word);
			event->size -= sizeof(word);
		}
		return 1;
	}
	return 0;
}
