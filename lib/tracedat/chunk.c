// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "chunk.h"
#include "trace_dat.h"

/*
 * trace-cmd's chunks are ten pages. A chunk that claims to be far larger is refused: each CPU has one in
 * memory, and a few compressed bytes can stand for all of it.
 */
#define MAX_PAGES	16
#define MAX_SIZE	(32UL << 20)

/* CPUs are read again and again: what was read of one before is counted */
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
 * chunk_check - may a chunk be unpacked?
 * @dat: the file
 * @buffer: one of @dat
 * @cpu: one of @buffer, whose chunk it is
 * @offset: where in the file the chunk's sizes are
 * @sizes: these
 *
 * Returns: 0, or -EBADMSG with the reason in @dat->error: it is none of trace-cmd's, or the file expands to too much.
 */
int chunk_check(struct trace_dat *dat, const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu,
		uint64_t offset, const struct chunk_sizes *sizes)
{
	if (sizes->packed > MAX_SIZE || sizes->unpacked > MAX_SIZE || sizes->unpacked % buffer->page_size ||
	    sizes->unpacked / buffer->page_size > MAX_PAGES)
		return trace_dat_fail(dat, -EBADMSG, offset, "invalid chunk: %u bytes for %u", sizes->packed,
				      sizes->unpacked);
	return count(dat, buffer, cpu, offset, sizes);
}
