/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Rewrites the pages of a CPU with other times. */
#ifndef TSC_OFFSET_CPU_REWRITE_H
#define TSC_OFFSET_CPU_REWRITE_H

#include <stddef.h>
#include <stdint.h>

struct cpu_data_writer;
struct trace_dat;

/**
 * struct rewritten_event - an event whose time is replaced
 * @buffer: number of its buffer in the file
 * @cpu: index of its CPU in the buffer, which can differ from the CPU's number
 * @page: number of its page in the CPU, counted as by cpu_pages
 * @number: number of the event in its page, counting what ring_page_next() returns from 0
 * @ts: its time as ring_page_next() returns it
 */
struct rewritten_event {
	size_t		buffer;
	size_t		cpu;
	uint64_t	page;
	uint32_t	number;
	uint64_t	ts;
};

/**
 * typedef rewrite_time - choose the new time of an event
 * @context: the caller's
 * @event: the event. Events come in the order of the file: by buffer, then by CPU, then by page.
 * @time: result
 *
 * Returns: 0, or a negative errno that stops the rewriting; the file's error may then have the reason.
 */
typedef int (*rewrite_time)(void *context, const struct rewritten_event *event, uint64_t *time);

int cpu_rewrite(struct trace_dat *dat, size_t buffer, size_t cpu, struct cpu_data_writer *out, rewrite_time time,
		void *context);

#endif /* TSC_OFFSET_CPU_REWRITE_H */
