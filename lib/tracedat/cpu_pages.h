/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Random access to the ring buffer pages of a CPU in a trace.dat, to sample a large file. The headers of compressed
 * chunks are read once. A chunk is unpacked only if one of its pages is read.
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
 * @nr: number of pages
 * @chunks: with compression: some of its chunks; owned
 * @nr_chunks: number of @chunks
 * @chunk_capacity: number of chunks that fit without growing
 * @bytes: the page or chunk that was read last; owned
 * @capacity: bytes allocated at @bytes
 * @size: bytes in use at @bytes
 * @first: number of the first page at @bytes
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
