// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "chunk.h"
#include "cpu_data_writer.h"
#include "file_copy.h"

/* trace-cmd's chunks; fewer pages if pages are large */
#define CHUNK_PAGES	10
#define MAX_CHUNK	(32UL << 20)
/* Bytes of a write without compression, or one page if that is larger */
#define WRITE_SIZE	(64UL << 10)

static size_t pages_at_a_time(uint32_t page_size, enum compression compression)
{
	size_t most = (compression == COMPRESSION_NONE ? WRITE_SIZE : MAX_CHUNK) / page_size;

	if (compression != COMPRESSION_NONE && most > CHUNK_PAGES)
		most = CHUNK_PAGES;
	return most ? most : 1;
}

/**
 * cpu_data_writer_open - begin a buffer
 * @writer: result; must be closed in any case
 * @fd: open for writing; not owned
 * @page_size: page size of the buffer, up to 8 MiB
 * @compression: compression of its chunks, or none
 *
 * Returns: 0 or -ENOMEM.
 */
int cpu_data_writer_open(struct cpu_data_writer *writer, int fd, uint32_t page_size, enum compression compression)
{
	*writer = (struct cpu_data_writer) { .fd = fd, .page_size = page_size, .compression = compression };
	writer->capacity = pages_at_a_time(page_size, compression) * page_size;
	writer->packed_capacity = compress_bound(compression, writer->capacity);
	writer->pages = malloc(writer->capacity);
	writer->packed = malloc(sizeof(struct chunk_sizes) + writer->packed_capacity);
	return writer->pages && writer->packed ? 0 : -ENOMEM;
}

/**
 * cpu_data_writer_begin - begin a CPU
 * @writer: the open writer, without a CPU
 * @at: place in the file; the data begin at the next multiple of the page size
 */
void cpu_data_writer_begin(struct cpu_data_writer *writer, uint64_t at)
{
	writer->start = (at + writer->page_size - 1) / writer->page_size * writer->page_size;
	writer->at = writer->start;
	writer->chunks = 0;
	writer->used = 0;
}

/**
 * cpu_data_writer_page - get memory for the next page
 * @writer: the writer, with a CPU
 *
 * Returns: memory for a page. cpu_data_writer_add_page() writes it.
 */
void *cpu_data_writer_page(struct cpu_data_writer *writer)
{
	return writer->pages + writer->used;
}

static int write_chunk(struct cpu_data_writer *writer)
{
	struct chunk_sizes *sizes = (struct chunk_sizes *)writer->packed;
	size_t size = writer->packed_capacity;
	int ret;

	/* The number of chunks precedes them */
	if (!writer->chunks)
		writer->at += sizeof(writer->chunks);
	ret = compress_block(writer->compression, &writer->zstd, writer->pages, writer->used, sizes + 1, &size);
	if (ret)
		return ret;
	*sizes = (struct chunk_sizes) { .packed = (uint32_t)size, .unpacked = (uint32_t)writer->used };
	ret = file_write(writer->fd, writer->packed, sizeof(*sizes) + size, writer->at);
	writer->at += sizeof(*sizes) + size;
	writer->chunks++;
	return ret;
}

static int flush(struct cpu_data_writer *writer)
{
	int ret;

	if (!writer->used)
		return 0;
	if (writer->compression == COMPRESSION_NONE) {
		ret = file_write(writer->fd, writer->pages, writer->used, writer->at);
		writer->at += writer->used;
	} else {
		ret = write_chunk(writer);
	}
	writer->used = 0;
	return ret;
}

/**
 * cpu_data_writer_add_page - write the page in the memory of cpu_data_writer_page()
 * @writer: the writer, with a CPU
 *
 * Returns: 0 or a negative errno.
 */
int cpu_data_writer_add_page(struct cpu_data_writer *writer)
{
	writer->used += writer->page_size;
	return writer->used == writer->capacity ? flush(writer) : 0;
}

/**
 * cpu_data_writer_end - complete a CPU
 * @writer: the writer, with a CPU; afterwards its data are from @writer->start to @writer->at, empty without pages
 *
 * As in trace-cmd 3.2 and later, the size of the data includes the number of chunks. Older versions ignore it.
 *
 * Returns: 0 or a negative errno.
 */
int cpu_data_writer_end(struct cpu_data_writer *writer)
{
	int ret = flush(writer);

	if (!ret && writer->chunks)
		ret = file_write(writer->fd, &writer->chunks, sizeof(writer->chunks), writer->start);
	return ret;
}

/**
 * cpu_data_writer_close - free a writer
 * @writer: the writer, also after a failed open
 */
void cpu_data_writer_close(struct cpu_data_writer *writer)
{
	free(writer->pages);
	free(writer->packed);
	compress_release(&writer->zstd);
	*writer = (struct cpu_data_writer) { .fd = -1 };
}
