/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The bits of a ring buffer page, as the kernel's ring_buffer.c writes them. */
#ifndef TSC_OFFSET_RING_LAYOUT_H
#define TSC_OFFSET_RING_LAYOUT_H

/* struct buffer_data_page: a time, then a long "commit" with the size of the data and two flags */
#define RING_COMMIT_AT		8
#define RING_COMMIT_MASK	((1U << 27) - 1)
#define RING_LOST		(1U << 31)
#define RING_LOST_STORED	(1U << 30)

/* struct ring_buffer_event: 5 bits of type or length, 27 bits of time since the event before */
#define RING_TYPE_BITS	5
#define RING_DELTA_BITS	27
enum { RING_TYPE_SIZED = 0, RING_TYPE_PADDING = 29, RING_TYPE_TIME_EXTEND = 30, RING_TYPE_TIME_STAMP = 31 };

/* Time extends and absolute times have 59 bits; the upper bits of an absolute time are those of the time before */
#define RING_ABSOLUTE_BITS	(2 * 32 - RING_TYPE_BITS)

#endif /* TSC_OFFSET_RING_LAYOUT_H */
