/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The pages of a CPU as they are written into a trace.dat, some at a time, and compressed as trace-cmd does it. */
#ifndef TSC_OFFSET_CPU_DATA_WRITER_H
#define TSC_OFFSET_CPU_DATA_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "compression.h"

/**
 * struct cpu_data_writer - what is written of a buffer, CPU by CPU
 * @fd: the file; the caller's
 * @page_size: of the buffer
 * @compression: how its chunks are compressed, or none: then there are no chunks
 * @start: where the data of the CPU begin
 * @at: where the next bytes go to
 * @chunks: of the CPU, up to now
 * @pages: pages that are not written yet; owned
 * @used: bytes at @pages
 * @capacity: room there
 * @packed: a chunk with its sizes; owned
 * @packed_capacity: room for the chunk
 * @zstd: what compress_block() keeps; owned
 */
struct cpu_data_writer {
	int			fd;
	uint32_t		page_size;
	enum compression	compression;
	uint64_t		start;
	uint64_t		at;
	uint32_t		chunks;
	uint8_t			*pages;
	size_t			used;
	size_t			capacity;
	uint8_t			*packed;
	size_t			packed_capacity;
	struct ZSTD_CCtx_s	*zstd;
};

int cpu_data_writer_open(struct cpu_data_writer *writer, int fd, uint32_t page_size, enum compression compression);
void cpu_data_writer_begin(struct cpu_data_writer *writer, uint64_t at);
void *cpu_data_writer_page(struct cpu_data_writer *writer);
int cpu_data_writer_add_page(struct cpu_data_writer *writer);
int cpu_data_writer_end(struct cpu_data_writer *writer);
void cpu_data_writer_close(struct cpu_data_writer *writer);

#endif /* TSC_OFFSET_CPU_DATA_WRITER_H */
