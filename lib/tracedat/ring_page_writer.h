/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Writes a page of the ring buffer: a header and events, each with a given time. ring_page.h and libtraceevent read
 * exactly these times from the page.
 */
#ifndef TSC_OFFSET_RING_PAGE_WRITER_H
#define TSC_OFFSET_RING_PAGE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring_event;

/**
 * struct ring_page_writer - a page being written
 * @page: its bytes; not owned
 * @size: number of bytes
 * @long_size: size of a long in the kernel that wrote the page, 4 or 8
 * @used: bytes of entries written so far
 * @ts: time of the last event, or of the header
 * @lost: the ring buffer dropped events before this page
 * @nr_lost: how many, 0 if unknown. A page with a number keeps room for it.
 */
struct ring_page_writer {
	uint8_t		*page;
	size_t		size;
	size_t		long_size;
	size_t		used;
	uint64_t	ts;
	bool		lost;
	uint64_t	nr_lost;
};

void ring_page_writer_begin(struct ring_page_writer *writer, void *page, size_t size, size_t long_size, uint64_t ts);
void ring_page_writer_lose(struct ring_page_writer *writer, uint64_t nr_lost);
bool ring_page_writer_add(struct ring_page_writer *writer, const struct ring_event *event, uint64_t ts);
void ring_page_writer_end(struct ring_page_writer *writer);

#endif /* TSC_OFFSET_RING_PAGE_WRITER_H */
