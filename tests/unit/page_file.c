// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dat_file.h"
#include "page_file.h"

/*
 * The type of an event with one word of data, and of a time extend, which
 * precedes an event whose 27 time bits are too few
 */
#define EVENT_TYPE	1
#define TIME_EXTEND	30
#define DELTA_BITS	27

/**
 * page_file_open - create a file without any CPU
 * @file: result; to be closed
 * @page_size: of the ring buffer
 */
void page_file_open(struct page_file *file, uint32_t page_size)
{
	*file = (struct page_file) {
		.dat = { .path = "pages", .fd = memfd_create("pages", 0), .version = 7, .long_size = 8,
			 .page_size = page_size, .compression = COMPRESSION_ZLIB, .nr_buffers = 1 },
		.buffer = { .name = (char *)"", .clock = (char *)"x86-tsc", .page_size = page_size },
	};
	file->dat.buffers = &file->buffer;
	file->dat.error = &file->error;
	if (file->dat.fd < 0)
		abort();
}

static size_t put(uint8_t *page, size_t page_size, size_t at, uint32_t word)
{
	if (at + sizeof(word) > page_size)
		abort();
	memcpy(page + at, &word, sizeof(word));
	return at + sizeof(word);
}

/**
 * page_file_put_page - make a page
 * @page: result
 * @page_size: its size
 * @times: of its events. A time less than the time before it is written as the kernel does when its clock goes back.
 * @nr: how many
 */
void page_file_put_page(uint8_t *page, size_t page_size, const uint64_t *times, size_t nr)
{
	uint64_t last = nr ? times[0] : 0, commit;
	size_t at = 16;

	memset(page, 0, page_size);
	memcpy(page, &last, sizeof(last));
	for (size_t i = 0; i < nr; i++) {
		uint64_t delta = times[i] - last;

		if (times[i] < last || delta >> DELTA_BITS) {
			delta = times[i] < last ? 0 : delta;
			at = put(page, page_size, at, (uint32_t)(delta & ((1U << DELTA_BITS) - 1)) << 5 | TIME_EXTEND);
			at = put(page, page_size, at, (uint32_t)(delta >> DELTA_BITS));
			last += delta;
			delta = 0;
		}
		at = put(page, page_size, at, (uint32_t)delta << 5 | EVENT_TYPE);
		at = put(page, page_size, at, (uint32_t)i);
		last += delta;
	}
	commit = at - 16;
	memcpy(page + 8, &commit, sizeof(commit));
}

static void append(struct page_file *file, const void *data, size_t size)
{
	if (pwrite(file->dat.fd, data, size, file->dat.size) != (ssize_t)size)
		abort();
	file->dat.size += size;
}

static struct trace_dat_cpu *add_cpu(struct page_file *file, uint32_t cpu)
{
	struct trace_dat_cpu *cpus = reallocarray(file->buffer.cpus, file->buffer.nr_cpus + 1, sizeof(*cpus));

	if (!cpus)
		abort();
	file->buffer.cpus = cpus;
	cpus[file->buffer.nr_cpus] = (struct trace_dat_cpu) { .cpu = cpu, .offset = file->dat.size };
	return &cpus[file->buffer.nr_cpus++];
}

/**
 * page_file_add_cpu - add the pages of a CPU
 * @file: open
 * @cpu: its number
 * @pages: the pages
 * @nr: how many
 */
void page_file_add_cpu(struct page_file *file, uint32_t cpu, const uint8_t *pages, size_t nr)
{
	struct trace_dat_cpu *data = add_cpu(file, cpu);

	data->size = nr * file->buffer.page_size;
	if (nr)
		append(file, pages, data->size);
}

/**
 * page_file_add_chunks - add the pages of a CPU, compressed
 * @file: open; all its CPUs must be compressed
 * @cpu: its number
 * @pages: the pages
 * @nr_pages: number of pages in each chunk
 * @nr_chunks: how many chunks
 */
void page_file_add_chunks(struct page_file *file, uint32_t cpu, const uint8_t *pages, const size_t *nr_pages,
			  size_t nr_chunks)
{
	struct trace_dat_cpu *data = add_cpu(file, cpu);
	uint32_t nr = nr_chunks;

	file->buffer.compressed = true;
	append(file, &nr, sizeof(nr));
	for (size_t i = 0; i < nr_chunks; i++) {
		size_t size = nr_pages[i] * file->buffer.page_size;
		void *packed;
		size_t packed_size = dat_compress(file->dat.compression, pages, size, &packed);
		uint32_t sizes[2] = { packed_size, size };

		append(file, sizes, sizeof(sizes));
		append(file, packed, packed_size);
		free(packed);
		pages += size;
	}
	data->size = file->dat.size - data->offset - sizeof(nr);
}

/**
 * page_file_close - free what belongs to a file
 * @file: open
 */
void page_file_close(struct page_file *file)
{
	close(file->dat.fd);
	free(file->buffer.cpus);
}
