/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The ring buffer's pages of a CPU in a trace.dat, in any order: for a look at some of a large file. Those of
 * compressed data are found by the sizes that precede its chunks, which are read once; chunks without a page of their
 * own are not unpacked.
 */
#ifndef TSC_OFFSET_CPU_PAGES_H
#define TSC_OFFSET_CPU_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "ring_page.h"

struct trace_dat;
struct trace_dat_buffer;
struct trace_dat_cpu;

/**
 * struct cpu_pages - the pages of a CPU
 * @dat: the file
 * @buffer: one of its buffers
 * @cpu: one of the buffer's CPUs
 * @nr: how many pages there are
 * @chunks: compressed data: some of its chunks; owned
 * @nr_chunks: how many
 * @chunk_capacity: room for this many
 * @bytes: the page, or the chunk, that was read last; owned
 * @capacity: room there
 * @size: bytes of it
 * @first: number of the first page there
 */
struct cpu_pages {
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	const struct trace_dat_cpu	*cpu;
	uint64_t			nr;
	struct cpu_chunk		*chunks;
	size_t				nr_chunks;
	size_t				chunk_capacity;
	uint8_t				*bytes;
	size_t				capacity;
	size_t				size;
	uint64_t			first;
};

int cpu_pages_open(struct cpu_pages *pages, struct trace_dat *dat, const struct trace_dat_buffer *buffer,
		   const struct trace_dat_cpu *cpu);
int cpu_pages_read(struct cpu_pages *pages, uint64_t number, struct ring_page *page);
void cpu_pages_close(struct cpu_pages *pages);

#endif /* TSC_OFFSET_CPU_PAGES_H */
