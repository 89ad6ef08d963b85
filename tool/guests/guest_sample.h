/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A sample of a guest's events, so that reading takes the same time for files of any size: pages spread evenly over
 * each CPU's data, including the first and the last, and as many events of each page as fit. Small files are read
 * completely.
 */
#ifndef TSC_OFFSET_GUEST_SAMPLE_H
#define TSC_OFFSET_GUEST_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_buffer;

/**
 * struct guest_sample_cpu - the sample of a CPU
 * @cpu: number of the CPU in the guest
 * @times: guest times of the events in recorded order, in cycles; owned
 * @pages: number of each event's page; owned
 * @numbers: number of each event in its page; owned
 * @went_back: for each event: the ring buffer shows that the TSC went back since the event before; owned
 * @nr: number of events
 * @nr_pages: number of pages of the CPU
 * @nr_late: number of skipped events: the clock went backward within their page, so their times are too late
 * @whole: the sample has all events from the first to the last page that was read
 */
struct guest_sample_cpu {
	uint32_t	cpu;
	uint64_t	*times;
	uint64_t	*pages;
	uint32_t	*numbers;
	bool		*went_back;
	size_t		nr;
	uint64_t	nr_pages;
	uint64_t	nr_late;
	bool		whole;
};

/**
 * struct guest_sample - the sample of a buffer
 * @cpus: CPUs with events, in the order of their numbers; owned
 * @nr_cpus: number of @cpus
 * @whole: the sample has all events of the buffer
 */
struct guest_sample {
	struct guest_sample_cpu	*cpus;
	size_t			nr_cpus;
	bool			whole;
};

int guest_sample_read(struct guest_sample *sample, struct trace_dat *dat, const struct trace_dat_buffer *buffer);
int guest_sample_read_between(struct guest_sample_cpu *between, struct trace_dat *dat,
			      const struct trace_dat_buffer *buffer, uint32_t cpu, uint64_t from, uint64_t to);
void guest_sample_cpu_release(struct guest_sample_cpu *cpu);
void guest_sample_release(struct guest_sample *sample);

#endif /* TSC_OFFSET_GUEST_SAMPLE_H */
