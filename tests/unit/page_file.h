/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Pages of a ring buffer in an unnamed file, and the parts of a trace.dat that locate them. */
#ifndef TEST_PAGE_FILE_H
#define TEST_PAGE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "trace_dat.h"

/**
 * struct page_file - a file
 * @error: what is wrong with it
 * @dat: the file as trace_dat_open() would return it, with one buffer
 * @buffer: that buffer
 */
struct page_file {
	struct error		error;
	struct trace_dat	dat;
	struct trace_dat_buffer	buffer;
};

void page_file_open(struct page_file *file, uint32_t page_size);
void page_file_put_page(uint8_t *page, size_t page_size, const uint64_t *times, size_t nr);
void page_file_add_cpu(struct page_file *file, uint32_t cpu, const uint8_t *pages, size_t nr);
void page_file_add_chunks(struct page_file *file, uint32_t cpu, const uint8_t *pages, const size_t *nr_pages,
			  size_t nr_chunks);
void page_file_close(struct page_file *file);

#endif /* TEST_PAGE_FILE_H */
