/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Writes the pages of CPUs into a trace.dat, in chunks if they are compressed, as trace-cmd does. */
#ifndef TSC_OFFSET_CPU_DATA_WRITER_H
#define TSC_OFFSET_CPU_DATA_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "compression.h"

/**
 * struct cpu_data_writer - a buffer being written, CPU by CPU
 * @fd: the file; not owned
 * @page_size: page size of the buffer
 * @compression: the compression of chunks; without compression there are no chunks
 * @start: place in the file where the CPU's data begin
 * @at: place of the next bytes
 * @chunks: number of chunks of the CPU so far
 * @pages: pages not written yet; owned
 * @used: bytes in use at @pages
 * @capacity: bytes allocated at @pages
 * @packed: a chunk with its sizes; owned
 * @packed_capacity: bytes allocated for the chunk
 * @zstd: contexts of compress_block(); owned
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
