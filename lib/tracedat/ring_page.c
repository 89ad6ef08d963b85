// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include "ring_layout.h"
#include "ring_page.h"

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
 * ring_page_open - open a page
 * @page: result; valid while the bytes are
 * @data: the page, in the byte order of this machine
 * @size: its size in bytes
 * @long_size: size of a long in the kernel that wrote it, 4 or 8
 *
 * Returns: 0, or -EBADMSG if the header is wrong.
 */
int ring_page_open(struct ring_page *page, const void *data, size_t size, size_t long_size)
{
	const uint8_t *bytes = data;
	size_t header = RING_COMMIT_AT + long_size;
	uint64_t commit;

	if (size < header)
		return -EBADMSG;
	commit = long_at(bytes + RING_COMMIT_AT, long_size);
	if ((commit & RING_COMMIT_MASK) > size - header)
		return -EBADMSG;
	*page = (struct ring_page) {
		.data	= bytes + header,
		.size	= commit & RING_COMMIT_MASK,
		.ts	= long_at(bytes, sizeof(uint64_t)),
		.lost	= commit & RING_LOST,
	};
	/* The number follows the events, if it fitted */
	if (page->lost && commit & RING_LOST_STORED && size - header - page->size >= long_size)
		page->nr_lost = long_at(page->data + page->size, long_size);
	return 0;
}

/**
 * ring_page_next - read the next event
 * @page: the open page
 * @event: result; valid while the page's bytes are
 *
 * Returns: 1, 0 at the end, or -EBADMSG if an entry exceeds the page.
 */
int ring_page_next(struct ring_page *page, struct ring_event *event)
{
	bool absolute = false;

	while (page->size - page->at >= sizeof(uint32_t)) {
		const uint8_t *entry = page->data + page->at;
		size_t left = page->size - page->at - sizeof(uint32_t);
		uint32_t head = u32_at(entry), type = head & ((1U << RING_TYPE_BITS) - 1);
		uint64_t delta = head >> RING_TYPE_BITS;
		uint32_t word = 0;
		size_t length;

		/* Two kinds have no word after the header: the padding at the end of a page, and small events */
		if (type == RING_TYPE_PADDING && !delta)
			break;
		if (type == RING_TYPE_SIZED || type >= RING_TYPE_PADDING) {
			if (left < sizeof(word))
				return -EBADMSG;
			word = u32_at(entry + sizeof(head));
		}
		switch (type) {
		case RING_TYPE_PADDING:
			length = word;
			page->ts += delta;
			break;
		case RING_TYPE_TIME_EXTEND:
			length = sizeof(word);
			page->ts += ((uint64_t)word << RING_DELTA_BITS) + delta;
			/* rb_add_timestamp() writes 0 for a negative difference */
			if (!word && !delta) {
				page->late = true;
				page->nr_back++;
			}
			break;
		case RING_TYPE_TIME_STAMP:
			length = sizeof(word);
			page->late = false;
			absolute = true;
			page->ts = (page->ts & ~((1ULL << RING_ABSOLUTE_BITS) - 1)) |
				((uint64_t)word << RING_DELTA_BITS) | delta;
			break;
		case RING_TYPE_SIZED:
			/* The word is included in its count */
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
		if (type >= RING_TYPE_PADDING)
			continue;
		*event = (struct ring_event) {
			.ts	= page->ts,
			.data	= entry + sizeof(head),
			.size	= length,
			.absolute = absolute,
		};
		if (type == RING_TYPE_SIZED) {
			event->data += sizeof(word);
			event->size -= sizeof(word);
		}
		return 1;
	}
	return 0;
}
