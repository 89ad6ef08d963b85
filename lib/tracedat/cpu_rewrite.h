/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The pages of a CPU, written again with other times. */
#ifndef TSC_OFFSET_CPU_REWRITE_H
#define TSC_OFFSET_CPU_REWRITE_H

#include <stddef.h>
#include <stdint.h>

struct cpu_data_writer;
struct trace_dat;

/**
 * struct rewritten_event - an event that gets another time
 * @buffer: number of its buffer in the file
 * @cpu: number of its CPU among those of the buffer, which need not be the CPU's own number
 * @page: number of its page among those of the CPU, counted as cpu_pages does
 * @number: of the event among those of the page that ring_page_next() returns, from 0 on
 * @ts: its time as ring_page_next() gives it
 */
struct rewritten_event {
	size_t		buffer;
	size_t		cpu;
	uint64_t	page;
	uint32_t	number;
	uint64_t	ts;
};

/**
 * typedef rewrite_time - choose the time of an event
 * @context: the caller's
 * @event: the event. Those of a CPU come in the order of its pages, CPU by CPU, buffer by buffer in the file's order.
 * @time: result
 *
 * Returns: 0, or a negative errno that ends the rewriting; the reason may be in the file's error then.
 */
typedef int (*rewrite_time)(void *context, const struct rewritten_event *event, uint64_t *time);

int cpu_rewrite(struct trace_dat *dat, size_t buffer, size_t cpu, struct cpu_data_writer *out, rewrite_time time,
		void *context);

#endif /* TSC_OFFSET_CPU_REWRITE_H */
