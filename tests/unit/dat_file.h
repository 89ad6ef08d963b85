/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Small trace.dat files in memory, and the offsets of their parts, so that a test can damage a single one.
 *
 * Each file has a top buffer with CPU 0 (two pages of three events each) and CPU 1 (one page of two events), an
 * instance "inst" with one event on CPU 0, the format of kvm:kvm_write_tsc_offset, and the options TRACECLOCK and
 * TRACEID.
 */
#ifndef TEST_DAT_FILE_H
#define TEST_DAT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "compression.h"

#define DAT_PAGE_SIZE	512
#define DAT_EVENTS	9
#define DAT_TRACE_ID	0x0123456789abcdefULL

/**
 * struct dat_file - a file's bytes, and offsets of its parts; 0 for parts that the version lacks
 * @data: the bytes; owned
 * @size: how many
 * @capacity: room at @data
 * @version: the string after the magic
 * @endian: one byte
 * @long_size: one byte
 * @page_size: u32
 * @compression: name of it
 * @link: u64, the first section of options
 * @header_info: section, or in version 6 "header_page"
 * @event_formats: section, or in version 6 the number of systems
 * @nr_cpus: version 6: u32
 * @options: first section of options, or in version 6 the first option
 * @more_options: the section with the options BUFFER
 * @trace_id: option TRACEID
 * @buffer: option BUFFER, [0] of the top buffer (not in version 6), [1] of the instance
 * @section: section of a buffer; in version 6 "flyrecord"
 * @done: the two options DONE; in version 6 [0] is the end of the options
 * @cpu: entries of the top buffer's CPUs: u64 offset, u64 size
 * @pages: data of these CPUs
 * @instance_pages: data of the instance's CPU 0
 */
struct dat_file {
	uint8_t	*data;
	size_t	size;
	size_t	capacity;
	size_t	version;
	size_t	endian;
	size_t	long_size;
	size_t	page_size;
	size_t	compression;
	size_t	link;
	size_t	header_info;
	size_t	event_formats;
	size_t	nr_cpus;
	size_t	options;
	size_t	more_options;
	size_t	trace_id;
	size_t	buffer[2];
	size_t	section[2];
	size_t	done[2];
	size_t	cpu[2];
	size_t	pages[2];
	size_t	instance_pages;
};

void dat_file_build(struct dat_file *file, int version, enum compression compression);
void dat_file_release(struct dat_file *file);

void dat_append(struct dat_file *file, const void *data, size_t size);
void dat_append_number(struct dat_file *file, uint64_t number, size_t size);
void dat_set(struct dat_file *file, size_t at, uint64_t number, size_t size);
uint64_t dat_get(const struct dat_file *file, size_t at, size_t size);
void dat_insert(struct dat_file *file, size_t at, const void *data, size_t size);
size_t dat_compress(enum compression compression, const void *in, size_t size, void **out);

#endif /* TEST_DAT_FILE_H */
