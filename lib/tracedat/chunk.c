// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "chunk.h"
#include "trace_dat.h"

/*
 * trace-cmd's chunks have ten pages. Far larger chunks are refused: one of each CPU is in memory, and a few compressed
 * bytes can expand to a whole chunk.
 */
#define MAX_PAGES	16
#define MAX_SIZE	(32UL << 20)

/* CPUs are read repeatedly: count only what was not read before */
static int count(struct trace_dat *dat, const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu,
		 uint64_t offset, const struct chunk_sizes *sizes)
{
	struct trace_dat_cpu *counted = &dat->buffers[buffer - dat->buffers].cpus[cpu - buffer->cpus];
	uint64_t end = offset + sizeof(*sizes) + sizes->packed - cpu->offset;

	if (end <= counted->packed)
		return 0;
	counted->packed = end;
	return trace_dat_count(dat, offset, sizes->packed, sizes->unpacked);
}

/**
 * chunk_read_sizes - read the header of a chunk
 * @dat: the file
 * @buffer: a buffer of @dat
 * @cpu: a CPU of @buffer, which has the chunk
 * @offset: place of the header in the file
 * @sizes: result
 *
 * Returns: 0; -EBADMSG if no chunk of trace-cmd has these sizes or the file expands too much; or another negative
 * errno; all with the reason in @dat->error.
 */
int chunk_read_sizes(struct trace_dat *dat, const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu,
		     uint64_t offset, struct chunk_sizes *sizes)
{
	/* Some versions of trace-cmd do not include the number of chunks in the data's size */
	uint64_t left = cpu->offset + sizeof(uint32_t) + cpu->size - offset;
	int ret;

	if (left < sizeof(*sizes))
		return trace_dat_fail(dat, -EBADMSG, offset, "a chunk is missing");
	ret = trace_dat_read(dat, offset, sizes, sizeof(*sizes));
	if (ret)
		return ret;
	if (sizes->packed > left - sizeof(*sizes) || sizes->packed > MAX_SIZE || sizes->unpacked > MAX_SIZE ||
	    sizes->unpacked % buffer->page_size || sizes->unpacked / buffer->page_size > MAX_PAGES)
		return trace_dat_fail(dat, -EBADMSG, offset, "invalid chunk: %u bytes for %u", sizes->packed,
				      sizes->unpacked);
	return count(dat, buffer, cpu, offset, sizes);
}

/**
 * chunk_read - read a chunk
 * @dat: the file
 * @offset: place of the header in the file
 * @sizes: the header
 * @packed: buffer of @sizes->packed bytes; result: the compressed chunk
 * @pages: result: buffer of @sizes->unpacked bytes
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error.
 */
int chunk_read(struct trace_dat *dat, uint64_t offset, const struct chunk_sizes *sizes, uint8_t *packed,
	       uint8_t *pages)
{
	int ret = trace_dat_read(dat, offset + sizeof(*sizes), packed, sizes->packed);

	if (!ret && decompress(dat->compression, &dat->zstd, packed, sizes->packed, pages, sizes->unpacked))
		ret = trace_dat_fail(dat, -EBADMSG, offset, "a chunk cannot be decompressed");
	return ret;
}
