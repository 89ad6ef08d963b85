// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "dat_file.h"
#include "trace_dat.h"

static const char header_page[] =
	"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
	"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
	"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
	"\tfield: char data;\toffset:16;\tsize:496;\tsigned:1;\n";
static const char header_event[] = "# compressed entry header\n";
static const char other_format[] = "name: kvm_entry\nID: 2\nformat:\n";
static const char format[] =
	"name: kvm_write_tsc_offset\nID: 1097\nformat:\n"
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n";
static const char clock_text[] = "local global [x86-tsc]\n";

static void *checked(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/**
 * dat_append - write bytes at the end of a file
 * @file: the file
 * @data: the bytes, NULL for zeroes
 * @size: how many
 */
void dat_append(struct dat_file *file, const void *data, size_t size)
{
	if (file->size + size >= file->capacity) {
		file->capacity = 2 * (file->size + size + 1);
		file->data = checked(realloc(file->data, file->capacity));
	}
	if (data)
		memcpy(file->data + file->size, data, size);
	else
		memset(file->data + file->size, 0, size);
	file->size += size;
}

/**
 * dat_append_number - write a number at the end of a file
 * @file: the file
 * @number: the number
 * @size: bytes of it
 */
void dat_append_number(struct dat_file *file, uint64_t number, size_t size)
{
	dat_append(file, &number, size);
}

/**
 * dat_set - overwrite a number
 * @file: the file
 * @at: where
 * @number: the number
 * @size: bytes of it
 */
void dat_set(struct dat_file *file, size_t at, uint64_t number, size_t size)
{
	if (at + size > file->size)
		abort();
	memcpy(file->data + at, &number, size);
}

/**
 * dat_get - read a number
 * @file: the file
 * @at: where
 * @size: bytes of it
 *
 * Returns: the number.
 */
uint64_t dat_get(const struct dat_file *file, size_t at, size_t size)
{
	uint64_t number = 0;

	if (at + size > file->size)
		abort();
	memcpy(&number, file->data + at, size);
	return number;
}

/**
 * dat_insert - insert bytes; the offsets of later parts are not updated
 * @file: the file
 * @at: where
 * @data: the bytes, NULL for zeroes
 * @size: how many
 */
void dat_insert(struct dat_file *file, size_t at, const void *data, size_t size)
{
	dat_append(file, NULL, size);
	memmove(file->data + at + size, file->data + at, file->size - size - at);
	if (data)
		memcpy(file->data + at, data, size);
	else
		memset(file->data + at, 0, size);
}

/**
 * dat_compress - compress one block
 * @compression: how
 * @in: the block
 * @size: its size
 * @out: result, to be freed with free()
 *
 * Returns: bytes at @out.
 */
size_t dat_compress(enum compression compression, const void *in, size_t size, void **out)
{
	if (compression == COMPRESSION_ZLIB) {
		uLongf used = compressBound(size);

		*out = checked(malloc(used));
		if (compress(*out, &used, in, size) != Z_OK)
			abort();
		return used;
	} else {
		size_t room = ZSTD_compressBound(size);

		*out = checked(malloc(room));
		room = ZSTD_compress(*out, room, in, size, 3);
		if (ZSTD_isError(room))
			abort();
		return room;
	}
}

static void append_string(struct dat_file *file, const char *string)
{
	dat_append(file, string, strlen(string) + 1);
}

static void append_compressed(struct dat_file *file, enum compression compression, const void *data,
			      size_t size)
{
	void *packed;
	size_t packed_size = dat_compress(compression, data, size, &packed);

	dat_append_number(file, packed_size, 4);
	dat_append_number(file, size, 4);
	dat_append(file, packed, packed_size);
	free(packed);
}

/* Returns: the section's offset */
static size_t append_section(struct dat_file *file, int id, enum compression compression,
			     const struct dat_file *content)
{
	size_t at = file->size;

	dat_append_number(file, id, 2);
	dat_append_number(file, compression != COMPRESSION_NONE, 2);
	dat_append_number(file, 0, 4);
	dat_append_number(file, content->size, 8);
	if (compression == COMPRESSION_NONE)
		dat_append(file, content->data, content->size);
	else
		append_compressed(file, compression, content->data, content->size);
	dat_set(file, at + 8, file->size - at - 16, 8);
	return at;
}

/* Returns: the option's offset */
static size_t append_option(struct dat_file *file, int id, const void *data, size_t size)
{
	size_t at = file->size;

	dat_append_number(file, id, 2);
	dat_append_number(file, size, 4);
	dat_append(file, data, size);
	return at;
}

static void append_event(struct dat_file *file, unsigned int delta, unsigned int number)
{
	dat_append_number(file, delta << 5 | 3, 4);
	dat_append_number(file, 1097, 4);
	dat_append_number(file, 100 + number, 4);
	dat_append_number(file, number, 4);
}

static void append_page(struct dat_file *file, uint64_t ts, unsigned int first, unsigned int events)
{
	size_t at = file->size;

	dat_append_number(file, ts, 8);
	dat_append_number(file, 16 * events, 8);
	for (unsigned int i = 0; i < events; i++)
		append_event(file, i ? 100 : 0, first + i);
	dat_append(file, NULL, DAT_PAGE_SIZE - (file->size - at));
}

static void append_data(struct dat_file *file, enum compression compression,
			const struct dat_file *pages, size_t *at, size_t *size)
{
	dat_append(file, NULL, -file->size % DAT_PAGE_SIZE);
	*at = file->size;
	if (compression == COMPRESSION_NONE) {
		dat_append(file, pages->data, pages->size);
		*size = pages->size;
		return;
	}
	/* One chunk for each page */
	dat_append_number(file, pages->size / DAT_PAGE_SIZE, 4);
	for (size_t i = 0; i < pages->size; i += DAT_PAGE_SIZE)
		append_compressed(file, compression, pages->data + i, DAT_PAGE_SIZE);
	*size = file->size - *at - 4;
}

struct content {
	struct dat_file	head;
	struct dat_file	formats;
	struct dat_file	pages[2];
	struct dat_file	instance_pages;
};

static void append_text(struct dat_file *file, const char *text)
{
	dat_append_number(file, strlen(text), 8);
	dat_append(file, text, strlen(text));
}

static void make_content(struct content *content)
{
	append_string(&content->head, "header_page");
	append_text(&content->head, header_page);
	append_string(&content->head, "header_event");
	append_text(&content->head, header_event);

	dat_append_number(&content->formats, 1, 4);
	append_string(&content->formats, "kvm");
	dat_append_number(&content->formats, 2, 4);
	append_text(&content->formats, other_format);
	append_text(&content->formats, format);

	append_page(&content->pages[0], 1000, 0, 3);
	append_page(&content->pages[0], 3000, 3, 3);
	append_page(&content->pages[1], 2000, 6, 2);
	append_page(&content->instance_pages, 2500, 8, 1);
}

static void release_content(struct content *content)
{
	free(content->head.data);
	free(content->formats.data);
	free(content->pages[0].data);
	free(content->pages[1].data);
	free(content->instance_pages.data);
}

static void append_head(struct dat_file *file, const char *version)
{
	dat_append(file, "\x17\x08\x44tracing", 10);
	file->version = file->size;
	append_string(file, version);
	file->endian = file->size;
	dat_append_number(file, 0, 1);
	file->long_size = file->size;
	dat_append_number(file, 8, 1);
	file->page_size = file->size;
	dat_append_number(file, DAT_PAGE_SIZE, 4);
}

static void link_option(struct dat_file *options, int id, uint64_t offset)
{
	append_option(options, id, &offset, sizeof(offset));
}

/* Appends the payload of option BUFFER for a buffer whose section has begun */
static void append_buffer_7(struct dat_file *file, struct dat_file *options, const char *name,
			    enum compression compression, const struct dat_file *pages, size_t nr_cpus,
			    size_t *places)
{
	struct dat_file option = { 0 };
	size_t section = file->size;

	dat_append_number(file, TRACE_DAT_BUFFER, 2);
	dat_append_number(file, compression != COMPRESSION_NONE, 2);
	dat_append(file, NULL, 12);
	dat_append_number(&option, section, 8);
	append_string(&option, name);
	append_string(&option, "x86-tsc");
	dat_append_number(&option, DAT_PAGE_SIZE, 4);
	dat_append_number(&option, nr_cpus, 4);
	for (size_t i = 0; i < nr_cpus; i++) {
		size_t at, size;

		append_data(file, compression, &pages[i], &at, &size);
		dat_append_number(&option, i, 4);
		dat_append_number(&option, at, 8);
		dat_append_number(&option, size, 8);
		places[i] = at;
	}
	dat_set(file, section + 8, file->size - section - 16, 8);
	append_option(options, TRACE_DAT_BUFFER, option.data, option.size);
	free(option.data);
}

static void build_7(struct dat_file *file, const struct content *content,
		    enum compression compression)
{
	static const char *const names[] = { "none", "zlib", "zstd" };
	struct dat_file options = { 0 };
	uint64_t trace_id = DAT_TRACE_ID;

	append_head(file, "7");
	file->compression = file->size;
	append_string(file, names[compression]);
	append_string(file, "1.0");
	file->link = file->size;
	dat_append_number(file, 0, 8);
	file->header_info = append_section(file, TRACE_DAT_HEADER_INFO, compression, &content->head);
	file->event_formats = append_section(file, TRACE_DAT_EVENT_FORMATS, compression,
					     &content->formats);
	link_option(&options, TRACE_DAT_HEADER_INFO, file->header_info);
	link_option(&options, TRACE_DAT_EVENT_FORMATS, file->event_formats);
	append_option(&options, TRACE_DAT_TRACECLOCK, clock_text, sizeof(clock_text));
	file->trace_id = append_option(&options, TRACE_DAT_TRACEID, &trace_id, sizeof(trace_id));
	file->done[0] = options.size;
	link_option(&options, TRACE_DAT_DONE, 0);
	file->options = append_section(file, TRACE_DAT_DONE, COMPRESSION_NONE, &options);
	file->trace_id += file->options + 16;
	file->done[0] += file->options + 16;
	dat_set(file, file->link, file->options, 8);

	options.size = 0;
	file->section[0] = file->size;
	append_buffer_7(file, &options, "", compression, content->pages, 2, file->pages);
	file->buffer[1] = options.size;
	file->section[1] = file->size;
	append_buffer_7(file, &options, "inst", compression, &content->instance_pages, 1,
			&file->instance_pages);
	file->done[1] = options.size;
	link_option(&options, TRACE_DAT_DONE, 0);
	file->more_options = append_section(file, TRACE_DAT_DONE, COMPRESSION_NONE, &options);
	file->buffer[0] = file->more_options + 16;
	file->buffer[1] += file->more_options + 16;
	file->done[1] += file->more_options + 16;
	/*
	 * In version 6 each entry is one option: header, section offset, both
	 * names, page size, CPU count, then the CPU
	 */
	for (size_t i = 0; i < 2; i++)
		file->cpu[i] = file->buffer[0] + 6 + 8 + 1 + 8 + 4 + 4 + i * 20 + 4;
	dat_set(file, file->done[0] + 6, file->more_options, 8);
	free(options.data);
}

static void build_6(struct dat_file *file, const struct content *content)
{
	uint64_t trace_id = DAT_TRACE_ID;

	append_head(file, "6");
	file->header_info = file->size;
	dat_append(file, content->head.data, content->head.size);
	/* Formats of ftrace's own events */
	dat_append_number(file, 1, 4);
	append_text(file, "name: print\n");
	file->event_formats = file->size;
	dat_append(file, content->formats.data, content->formats.size);
	/* kallsyms, printk formats, names of commands */
	dat_append_number(file, 3, 4);
	dat_append(file, "sym", 3);
	dat_append_number(file, 2, 4);
	dat_append(file, "fm", 2);
	append_text(file, "1 init\n");
	file->nr_cpus = file->size;
	dat_append_number(file, 2, 4);
	dat_append(file, "options  ", 10);
	file->options = append_option(file, TRACE_DAT_TRACECLOCK, clock_text, sizeof(clock_text));
	file->trace_id = append_option(file, TRACE_DAT_TRACEID, &trace_id, sizeof(trace_id));
	file->buffer[1] = append_option(file, TRACE_DAT_BUFFER, "\0\0\0\0\0\0\0\0inst", 13);
	file->done[0] = file->size;
	dat_append_number(file, TRACE_DAT_DONE, 2);
	for (size_t buffer = 0; buffer < 2; buffer++) {
		size_t *places = buffer ? &file->instance_pages : file->pages, table;

		file->section[buffer] = file->size;
		dat_append(file, "flyrecord", 10);
		table = file->size;
		dat_append(file, NULL, 2 * 16);
		for (size_t i = 0; i < 2 - buffer; i++) {
			size_t size;

			append_data(file, COMPRESSION_NONE, buffer ? &content->instance_pages :
				    &content->pages[i], &places[i], &size);
			dat_set(file, table + 16 * i, places[i], 8);
			dat_set(file, table + 16 * i + 8, size, 8);
		}
		if (!buffer) {
			file->cpu[0] = table;
			file->cpu[1] = table + 16;
		}
	}
	dat_set(file, file->buffer[1] + 6, file->section[1], 8);
}

/**
 * dat_file_build - make a valid file
 * @file: result
 * @version: 6 or 7
 * @compression: of sections and data; none for version 6
 */
void dat_file_build(struct dat_file *file, int version, enum compression compression)
{
	struct content content = { 0 };

	*file = (struct dat_file) { 0 };
	make_content(&content);
	if (version == 7)
		build_7(file, &content, compression);
	else
		build_6(file, &content);
	release_content(&content);
}

/**
 * dat_file_release - free a file's bytes
 * @file: built
 */
void dat_file_release(struct dat_file *file)
{
	free(file->data);
	*file = (struct dat_file) { 0 };
}
