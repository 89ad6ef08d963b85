/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Some of a guest's events, few enough that reading them takes the same time however large the file is: pages that
 * are evenly spread over each CPU's data, with the first and the last, and of each page as many events as there is
 * room for. All of a small file.
 */
#ifndef TSC_OFFSET_GUEST_SAMPLE_H
#define TSC_OFFSET_GUEST_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_buffer;

/**
 * struct guest_sample_cpu - some events of a CPU
 * @cpu: the guest's number of it
 * @times: guest times of the events, in the order in which they were recorded, in cycles; owned
 * @pages: number of the page that each of them is in; owned
 * @numbers: number of each of them among all events of its page; owned
 * @went_back: of each of them: the ring buffer shows that the TSC went back since the one before; owned
 * @nr: how many
 * @nr_pages: pages that the CPU has
 * @nr_late: events that were left out: the clock went backward within their page, and their times are too late
 * @whole: these are all events of the pages from the first to the last one that was read
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
 * struct guest_sample - some events of a buffer
 * @cpus: those that have events, in the order of their numbers; owned
 * @nr_cpus: how many
 * @whole: these are all events of the buffer
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
