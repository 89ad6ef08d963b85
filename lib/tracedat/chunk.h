/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Chunks: groups of pages of a CPU, as a trace.dat stores them compressed. */
#ifndef TSC_OFFSET_CHUNK_H
#define TSC_OFFSET_CHUNK_H

#include <stdint.h>

struct trace_dat;
struct trace_dat_buffer;
struct trace_dat_cpu;

/**
 * struct chunk_sizes - the header of a chunk in the file
 * @packed: size of the chunk in bytes
 * @unpacked: size of its pages in bytes
 */
struct chunk_sizes {
	uint32_t	packed;
	uint32_t	unpacked;
};

int chunk_read_sizes(struct trace_dat *dat, const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu,
		     uint64_t offset, struct chunk_sizes *sizes);
int chunk_read(struct trace_dat *dat, uint64_t offset, const struct chunk_sizes *sizes, uint8_t *packed,
	       uint8_t *pages);

#endif /* TSC_OFFSET_CHUNK_H */
