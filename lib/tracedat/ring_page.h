/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * One page of the kernel's ring buffer: a header and events, each with the time since the event before
 * (kernel/trace/ring_buffer.c, events/header_page and events/header_event in tracefs).
 *
 * libtraceevent's kbuffer reads the same pages but trusts every length in them. These come from untrusted files.
 */
#ifndef TSC_OFFSET_RING_PAGE_H
#define TSC_OFFSET_RING_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ring_event - an event in a page
 * @ts: its time, by the buffer's clock
 * @data: payload, including common fields; inside the page
 * @size: bytes at @data
 * @absolute: its time comes from an absolute time stamp
 */
struct ring_event {
	uint64_t	ts;
	const uint8_t	*data;
	size_t		size;
	bool		absolute;
};

/**
 * struct ring_page - a page being read; the bytes are not owned
 * @data: the bytes after the header
 * @size: bytes of events at @data
 * @at: where the next entry begins
 * @ts: time of the last entry
 * @lost: the ring buffer dropped events before this page
 * @nr_lost: number of dropped events, 0 if unknown
 * @late: the clock went backward within the page: the kernel wrote a time extend of 0, and the times of all later
 *	entries are too late by the same unknown number. The next page has correct times again
 * @nr_back: how often that happened so far; the number changes each time
 */
struct ring_page {
	const uint8_t	*data;
	size_t		size;
	size_t		at;
	uint64_t	ts;
	bool		lost;
	uint64_t	nr_lost;
	bool		late;
	uint32_t	nr_back;
};

int ring_page_open(struct ring_page *page, const void *data, size_t size, size_t long_size);
int ring_page_next(struct ring_page *page, struct ring_event *event);

#endif /* TSC_OFFSET_RING_PAGE_H */
