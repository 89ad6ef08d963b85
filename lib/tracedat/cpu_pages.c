// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "chunk.h"
#include "cleanup.h"
#include "cpu_pages.h"
#include "order.h"
#include "trace_dat.h"

/* One of this many chunks is kept */
#define CHUNKS_APART	32

/**
 * struct cpu_chunk - a chunk of compressed data
 * @offset: place of its header in the file
 * @first: number of its first page
 */
struct cpu_chunk {
	uint64_t	offset;
	uint64_t	first;
};

static int add_chunk(struct cpu_pages *pages, const struct cpu_chunk *chunk)
{
	if (array_reserve(pages->chunks, pages->nr_chunks, pages->chunk_capacity))
		return trace_dat_fail(pages->dat, -ENOMEM, chunk->offset, "no memory");
	pages->chunks[pages->nr_chunks++] = *chunk;
	return 0;
}

static int read_sizes(const struct cpu_pages *pages, const struct cpu_chunk *chunk, struct chunk_sizes *sizes)
{
	return chunk_read_sizes(pages->dat, pages->buffer, pages->cpu, chunk->offset, sizes);
}

static void go_on(const struct cpu_pages *pages, struct cpu_chunk *chunk, const struct chunk_sizes *sizes)
{
	chunk->offset += sizeof(*sizes) + sizes->packed;
	chunk->first += sizes->unpacked / pages->buffer->page_size;
}

static int index_chunks(struct cpu_pages *pages)
{
	struct cpu_chunk chunk = { .offset = pages->cpu->offset };
	struct chunk_sizes sizes;
	uint32_t nr;
	int ret;

	ret = trace_dat_read(pages->dat, chunk.offset, &nr, sizeof(nr));
	chunk.offset += sizeof(nr);
	for (uint32_t i = 0; i < nr && !ret; i++) {
		if (!(i % CHUNKS_APART))
			ret = add_chunk(pages, &chunk);
		if (!ret)
			ret = read_sizes(pages, &chunk, &sizes);
		if (!ret)
			go_on(pages, &chunk, &sizes);
	}
	pages->nr = chunk.first;
	return ret;
}

/**
 * cpu_pages_open - find the pages of a CPU
 * @pages: result; must be closed in any case
 * @dat: the open file; must stay open
 * @buffer: a buffer of @dat
 * @cpu: a CPU of @buffer
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error.
 */
int cpu_pages_open(struct cpu_pages *pages, struct trace_dat *dat, const struct trace_dat_buffer *buffer,
		   const struct trace_dat_cpu *cpu)
{
	*pages = (struct cpu_pages) { .dat = dat, .buffer = buffer, .cpu = cpu };
	if (!cpu->size)
		return 0;
	if (buffer->compressed)
		return index_chunks(pages);
	pages->nr = cpu->size / buffer->page_size;
	return 0;
}

static int make_room(struct cpu_pages *pages, size_t size)
{
	/* Discard the old contents */
	pages->size = 0;
	if (size <= pages->capacity)
		return 0;
	free(pages->bytes);
	pages->bytes = malloc(size);
	pages->capacity = pages->bytes ? size : 0;
	return pages->bytes ? 0 : trace_dat_fail(pages->dat, -ENOMEM, pages->cpu->offset, "no memory for %zu bytes",
						 size);
}

static int read_page(struct cpu_pages *pages, uint64_t number)
{
	size_t size = pages->buffer->page_size;
	int ret = make_room(pages, size);

	if (!ret)
		ret = trace_dat_read(pages->dat, pages->cpu->offset + number * size, pages->bytes, size);
	if (ret)
		return ret;
	pages->first = number;
	pages->size = size;
	return 0;
}

static int read_chunk(struct cpu_pages *pages, uint64_t number)
{
	_cleanup_(freep) uint8_t *packed = NULL;
	size_t after = first_where(i, pages->nr_chunks, pages->chunks[i].first > number);
	struct cpu_chunk chunk;
	struct chunk_sizes sizes;
	int ret;

	chunk = pages->chunks[after - 1];
	for (;;) {
		ret = read_sizes(pages, &chunk, &sizes);
		if (ret)
			return ret;
		if (number < chunk.first + sizes.unpacked / pages->buffer->page_size)
			break;
		go_on(pages, &chunk, &sizes);
	}
	packed = malloc(sizes.packed + 1UL);
	if (!packed)
		return trace_dat_fail(pages->dat, -ENOMEM, chunk.offset, "no memory for %u bytes", sizes.packed);
	ret = make_room(pages, sizes.unpacked);
	if (!ret)
		ret = chunk_read(pages->dat, chunk.offset, &sizes, packed, pages->bytes);
	if (ret)
		return ret;
	pages->first = chunk.first;
	pages->size = sizes.unpacked;
	return 0;
}

/**
 * cpu_pages_read - read a page
 * @pages: the open pages
 * @number: number of the page, less than @pages->nr
 * @page: result; valid until the next read
 *
 * Returns: 0 or a negative errno, with the reason in the file's error.
 */
int cpu_pages_read(struct cpu_pages *pages, uint64_t number, struct ring_page *page)
{
	size_t page_size = pages->buffer->page_size;
	int ret = 0;

	if (number < pages->first || number - pages->first >= pages->size / page_size)
		ret = pages->buffer->compressed ? read_chunk(pages, number) : read_page(pages, number);
	if (ret)
		return ret;
	ret = ring_page_open(page, pages->bytes + (number - pages->first) * page_size, page_size,
			     pages->dat->long_size);
	return ret ? trace_dat_fail(pages->dat, ret, pages->cpu->offset, "a page of CPU %u is damaged",
				    pages->cpu->cpu) : 0;
}

/**
 * cpu_pages_close - free the pages
 * @pages: the pages, also after a failed open
 */
void cpu_pages_close(struct cpu_pages *pages)
{
	free(pages->chunks);
	free(pages->bytes);
	*pages = (struct cpu_pages) { 0 };
}
