// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "any.h"
#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "trace_dat.h"

#define MAGIC		"\x17\x08\x44tracing"
#define MAGIC_SIZE	10
/* Place of the page size in version 6: after the version, the byte order and the size of a long */
#define PAGE_SIZE_6	(MAGIC_SIZE + 2 + 2)

/* Version 7: a flag of a section */
#define SECTION_COMPRESSED 1
/* Version 6: size of the tag at the begin of a block */
#define TAG_SIZE	10
/* A CPU of a buffer: version 7 u32 number, u64 offset, u64 size; version 6 has no number */
#define CPU_SIZE_7	20
#define CPU_SIZE_6	16

/*
 * More than the formats of any kernel or the options of any trace, and harmless. Larger sections are not read, because
 * a few KiB of zstd can expand to any size.
 */
#define MAX_SECTION	(160UL << 20)
#define MAX_PART	(64UL << 20)
/*
 * Real recordings expand by four to six, and no chunk of a CPU's events by more than fourteen. A small file may expand
 * to what takes some seconds to read.
 */
#define MAX_EXPANDED	(16ULL << 20)
#define MAX_EXPANSION	100
#define MAX_OPTIONS	(1U << 20)
/* All payloads together: several times the largest TIME_SHIFT */
#define MAX_OPTION_BYTES	(224UL << 20)
/* Version 6: formats of events, and their systems */
#define MAX_TEXTS	(1U << 20)
/* An event's format is a few KiB of text */
#define MAX_FORMAT	(1UL << 20)
#define MAX_NAME	256
/* Kernels have up to 8192 */
#define MAX_CPUS	(1U << 14)
/* Each instance has buffers of all CPUs */
#define MAX_BUFFERS	256
#define MIN_PAGE	512
#define TRUNCATED	"it is truncated, or trace-cmd did not finish it"
/* A ring buffer page has up to 128 pages of the machine, of up to 64 KiB */
#define MAX_PAGE	(8U << 20)

/**
 * trace_dat_fail - set an error at a place in a file
 * @dat: the open file
 * @error: a negative errno
 * @offset: place in the file
 * @format: what is wrong, as for printf()
 *
 * Returns: @error
 */
int trace_dat_fail(struct trace_dat *dat, int error, uint64_t offset, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set_v(dat->error, error, dat->path, format, args);
	va_end(args);
	error_set_offset(dat->error, offset);
	return error;
}

static bool fits(const struct trace_dat *dat, uint64_t offset, uint64_t size)
{
	return offset <= dat->size && size <= dat->size - offset;
}

/**
 * trace_dat_refuse - set an error about a file as a whole
 * @dat: the open file
 * @error: a negative errno
 * @format: what is wrong, as for printf()
 *
 * Returns: @error
 */
int trace_dat_refuse(struct trace_dat *dat, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set_v(dat->error, error, dat->path, format, args);
	va_end(args);
	return error;
}

/**
 * trace_dat_read - read bytes of the file
 * @dat: the open file
 * @offset: place of the bytes
 * @data: result
 * @size: number of bytes
 *
 * Returns: 0 or a negative errno; -EBADMSG if the file ends before.
 */
int trace_dat_read(struct trace_dat *dat, uint64_t offset, void *data, size_t size)
{
	size_t done = 0;

	if (!fits(dat, offset, size))
		return trace_dat_fail(dat, -EBADMSG, offset, "the file ends before: " TRUNCATED);
	while (done < size) {
		ssize_t n = pread(dat->fd, (char *)data + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return trace_dat_fail(dat, -errno, offset, "%s", strerror(errno));
		if (!n)
			return trace_dat_fail(dat, -EBADMSG, offset + done,
					      "the file became shorter while it was read");
		done += n;
	}
	return 0;
}

/**
 * trace_dat_count - count compressed bytes, and check their expansion
 * @dat: the open file
 * @offset: place of the bytes
 * @packed: their number; 0 if they were counted before
 * @unpacked: number of bytes that they expand to; 0 if counted before
 *
 * Returns: 0, or -EBADMSG if the file expands excessively as far as it was read.
 */
int trace_dat_count(struct trace_dat *dat, uint64_t offset, uint64_t packed, uint64_t unpacked)
{
	dat->packed += packed;
	dat->unpacked += unpacked;
	if (dat->unpacked <= MAX_EXPANDED + MAX_EXPANSION * dat->packed)
		return 0;
	return trace_dat_fail(dat, -EBADMSG, offset,
			      "it expands to more than %llu MiB and %u times its compressed size",
			      MAX_EXPANDED >> 20, MAX_EXPANSION);
}

/* Like trace_dat_read(), at a place that advances */
static int read_on(struct trace_dat *dat, uint64_t *offset, void *data, size_t size)
{
	int ret = trace_dat_read(dat, *offset, data, size);

	*offset += size;
	return ret;
}

static int skip_on(struct trace_dat *dat, uint64_t *offset, uint64_t size)
{
	if (!fits(dat, *offset, size))
		return trace_dat_fail(dat, -EBADMSG, *offset,
				      "a part of %llu bytes does not fit into the file: " TRUNCATED,
				      (unsigned long long)size);
	*offset += size;
	return 0;
}

static int read_string(struct trace_dat *dat, uint64_t *offset, char *string, size_t size)
{
	uint64_t start = *offset;

	for (size_t i = 0; i < size; i++) {
		int ret = read_on(dat, offset, &string[i], 1);

		if (ret || !string[i])
			return ret;
	}
	return trace_dat_fail(dat, -EBADMSG, start, "unterminated name");
}

/* The caller frees the memory, also after an error */
static int new_bytes(struct trace_dat *dat, uint64_t offset, uint64_t size, uint64_t limit,
		     uint8_t **bytes)
{
	if (size > limit)
		return trace_dat_fail(dat, -EBADMSG, offset, "section too large: %llu bytes",
				      (unsigned long long)size);
	*bytes = malloc(size + 1);
	return *bytes ? 0 : trace_dat_fail(dat, -ENOMEM, offset, "no memory for a section of %llu bytes",
					   (unsigned long long)size);
}

static int read_bytes(struct trace_dat *dat, uint64_t offset, uint64_t size, uint64_t limit, uint8_t **bytes)
{
	int ret = skip_on(dat, &(uint64_t) { offset }, size);

	if (!ret)
		ret = new_bytes(dat, offset, size, limit, bytes);
	if (ret)
		return ret;
	return trace_dat_read(dat, offset, *bytes, size);
}

struct section {
	uint16_t	id;
	uint16_t	flags;
	uint64_t	offset;	/* of the content, after the header */
	uint64_t	size;
};

static int read_section_header(struct trace_dat *dat, uint64_t offset, int id,
			       struct section *section)
{
	uint32_t description;
	uint64_t at = offset;
	int ret;

	ret = read_on(dat, &at, &section->id, sizeof(section->id));
	if (!ret)
		ret = read_on(dat, &at, &section->flags, sizeof(section->flags));
	if (!ret)
		ret = read_on(dat, &at, &description, sizeof(description));
	if (!ret)
		ret = read_on(dat, &at, &section->size, sizeof(section->size));
	if (ret)
		return ret;
	section->offset = at;
	if (section->id != id)
		return trace_dat_fail(dat, -EBADMSG, offset, "section %u where %d should be",
				      section->id, id);
	return skip_on(dat, &at, section->size);
}

/* @counted: the section was read before; NULL if it is read once */
static int read_section(struct trace_dat *dat, const struct section *section, uint64_t limit, bool *counted,
			uint8_t **bytes, size_t *size)
{
	_cleanup_(freep) uint8_t *packed = NULL;
	uint64_t at = section->offset;
	uint32_t sizes[2];
	int ret;

	if (!(section->flags & SECTION_COMPRESSED)) {
		*size = section->size;
		return read_bytes(dat, section->offset, section->size, limit, bytes);
	}
	ret = read_on(dat, &at, sizes, sizeof(sizes));
	if (!ret)
		ret = new_bytes(dat, at, sizes[1], MAX_PART, bytes);
	if (!ret && !(counted && *counted))
		ret = trace_dat_count(dat, at, sizes[0], sizes[1]);
	if (counted)
		*counted = true;
	if (!ret)
		ret = read_bytes(dat, at, sizes[0], MAX_PART, &packed);
	if (ret)
		return ret;
	*size = sizes[1];
	if (decompress(dat->compression, &dat->zstd, packed, sizes[0], *bytes, *size))
		return trace_dat_fail(dat, -EBADMSG, at, "section %u cannot be decompressed",
				      section->id);
	return 0;
}

static int add_option(struct trace_dat *dat, uint16_t id, const void *data, uint32_t size,
		      uint64_t offset)
{
	uint8_t *copy;

	if (dat->nr_options == MAX_OPTIONS)
		return trace_dat_fail(dat, -EBADMSG, offset, "more than %u options", MAX_OPTIONS);
	if (size > MAX_OPTION_BYTES - dat->option_bytes)
		return trace_dat_fail(dat, -EBADMSG, offset, "more than %lu MiB of options",
				      MAX_OPTION_BYTES >> 20);
	if (array_reserve(dat->options, dat->nr_options, dat->option_capacity))
		return -ENOMEM;
	copy = malloc(size + 1UL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	/* Strings in options may lack a terminator */
	copy[size] = '\0';
	dat->option_bytes += size;
	dat->options[dat->nr_options++] = (struct trace_dat_option) {
		.id = id, .size = size, .data = copy, .offset = offset
	};
	return 0;
}

static int check_cpu_data(struct trace_dat *dat, const struct trace_dat_cpu *cpu)
{
	if (cpu->size && !fits(dat, cpu->offset, cpu->size))
		return trace_dat_fail(dat, -EBADMSG, cpu->offset,
				      "the file ends before all of CPU %u: " TRUNCATED, cpu->cpu);
	if (cpu->size && cpu->cpu >= MAX_CPUS)
		return trace_dat_fail(dat, -EBADMSG, cpu->offset, "invalid CPU number: %u", cpu->cpu);
	return 0;
}

/* If CPUs shared data, a small file could have more events than can be read */
static int check_buffers(struct trace_dat *dat)
{
	uint64_t total = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t c = 0; c < dat->buffers[i].nr_cpus; c++) {
			const struct trace_dat_cpu *cpu = &dat->buffers[i].cpus[c];

			total += cpu->size;
			if (total > dat->size)
				return trace_dat_fail(dat, -EBADMSG, cpu->offset,
						      "CPUs have more data than the file");
		}
	}
	return 0;
}

static void release_buffer(struct trace_dat_buffer *buffer)
{
	free(buffer->name);
	free(buffer->clock);
	free(buffer->cpus);
}

/* Like readers: of two top buffers the later one is used */
static int add_buffer(struct trace_dat *dat, const struct trace_dat_buffer *buffer, uint64_t offset)
{
	struct trace_dat_buffer *buffers;

	for (size_t i = 0; i < dat->nr_buffers && !*buffer->name; i++) {
		if (*dat->buffers[i].name)
			continue;
		release_buffer(&dat->buffers[i]);
		dat->buffers[i] = *buffer;
		return 0;
	}
	if (dat->nr_buffers == MAX_BUFFERS)
		return trace_dat_fail(dat, -EBADMSG, offset, "more than %u buffers", MAX_BUFFERS);
	buffers = reallocarray(dat->buffers, dat->nr_buffers + 1, sizeof(*buffers));
	if (!buffers)
		return -ENOMEM;
	dat->buffers = buffers;
	buffers[dat->nr_buffers++] = *buffer;
	return 0;
}

static int check_page_size(struct trace_dat *dat, uint32_t size, uint64_t offset)
{
	if (size < MIN_PAGE || size > MAX_PAGE || size % sizeof(uint64_t))
		return trace_dat_fail(dat, -EBADMSG, offset, "invalid page size: %u bytes", size);
	return 0;
}

/* The clock in brackets of "local global [x86-tsc]", or the whole text without brackets */
static char *clock_of_text(const char *text)
{
	const char *open = strchr(text, '[');
	size_t length = strcspn(open ? open + 1 : text, "]\n");

	return strndup(open ? open + 1 : text, length);
}

/* Each CPU appears once: its data are one stream */
static int read_cpus_7(struct trace_dat *dat, struct trace_dat_buffer *buffer, struct cursor *cursor)
{
	uint8_t listed[MAX_CPUS] = { 0 };
	int ret = 0;

	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		struct trace_dat_cpu *cpu = &buffer->cpus[i];

		cursor_take(cursor, &cpu->cpu, sizeof(cpu->cpu));
		cursor_take(cursor, &cpu->offset, sizeof(cpu->offset));
		cursor_take(cursor, &cpu->size, sizeof(cpu->size));
		ret = check_cpu_data(dat, cpu);
		if (!ret && cpu->size && listed[cpu->cpu]++)
			ret = trace_dat_fail(dat, -EBADMSG, cpu->offset, "CPU %u is there twice", cpu->cpu);
	}
	return ret;
}

static int read_buffer_7(struct trace_dat *dat, size_t number)
{
	const struct trace_dat_option *option = &dat->options[number];
	struct trace_dat_buffer buffer = { .option = number };
	struct cursor cursor = { option->data, option->size };
	const char *name, *clock;
	struct section section;
	uint32_t nr_cpus = 0;
	uint64_t offset;
	int ret;

	if (!cursor_take(&cursor, &offset, sizeof(offset)) ||
	    !(name = cursor_take_string(&cursor)) || !(clock = cursor_take_string(&cursor)) ||
	    !cursor_take(&cursor, &buffer.page_size, sizeof(buffer.page_size)) ||
	    !cursor_take(&cursor, &nr_cpus, sizeof(nr_cpus)) || nr_cpus > cursor.left / CPU_SIZE_7)
		return trace_dat_fail(dat, -EBADMSG, option->offset, "option BUFFER is too short");
	if (nr_cpus > MAX_CPUS)
		return trace_dat_fail(dat, -EBADMSG, option->offset, "invalid number of CPUs: %u", nr_cpus);
	buffer.name = strdup(name);
	buffer.clock = strdup(clock);
	buffer.cpus = calloc(nr_cpus + 1UL, sizeof(*buffer.cpus));
	buffer.nr_cpus = nr_cpus;
	ret = buffer.name && buffer.clock && buffer.cpus ? read_cpus_7(dat, &buffer, &cursor) : -ENOMEM;
	/* A buffer without CPUs has no data, and from some versions no page size */
	if (!ret && nr_cpus)
		ret = check_page_size(dat, buffer.page_size, option->offset);
	if (!ret && nr_cpus)
		ret = read_section_header(dat, offset, TRACE_DAT_BUFFER, &section);
	if (!ret) {
		buffer.compressed = nr_cpus && section.flags & SECTION_COMPRESSED;
		ret = add_buffer(dat, &buffer, option->offset);
	}
	if (ret)
		release_buffer(&buffer);
	return ret;
}

/*
 * The kernel's long is that of the field commit in a page's header; the file's header has that of the recorder.
 */
static void take_long_size(struct trace_dat *dat, const char *header_page)
{
	const char *commit = strstr(header_page, " commit;");
	unsigned int size;

	if (commit && sscanf(commit, " commit; offset:8; size:%u;", &size) == 1 &&
	    (size == 4 || size == 8))
		dat->long_size = size;
}

static int read_header_info_7(struct trace_dat *dat, uint64_t offset)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct section section;
	size_t size;
	int ret;

	ret = read_section_header(dat, offset, TRACE_DAT_HEADER_INFO, &section);
	if (!ret)
		ret = read_section(dat, &section, MAX_PART, NULL, &bytes, &size);
	if (ret)
		return ret;
	/* "header_page", a NUL and the text's size precede the text */
	bytes[size] = '\0';
	if (size > TAG_SIZE + 10)
		take_long_size(dat, (char *)bytes + TAG_SIZE + 10);
	return 0;
}

static int check_cpus_6(struct trace_dat *dat, uint64_t offset)
{
	if (!dat->nr_cpus || dat->nr_cpus > MAX_CPUS || dat->nr_cpus > dat->size / CPU_SIZE_6)
		return trace_dat_fail(dat, -EBADMSG, offset, "invalid number of CPUs: %u", dat->nr_cpus);
	return 0;
}

/* The option overrides the header of version 6: the buffers may be from another machine than the recorder's */
static int take_cpu_count(struct trace_dat *dat)
{
	const struct trace_dat_option *option = trace_dat_option(dat, TRACE_DAT_CPUCOUNT);

	if (!option || option->size < sizeof(dat->nr_cpus))
		return 0;
	memcpy(&dat->nr_cpus, option->data, sizeof(dat->nr_cpus));
	if (dat->version == 6)
		return check_cpus_6(dat, option->offset);
	return dat->nr_cpus <= MAX_CPUS ? 0 : trace_dat_fail(dat, -EBADMSG, option->offset,
							     "invalid number of CPUs: %u", dat->nr_cpus);
}

static int read_options_7(struct trace_dat *dat, uint64_t link)
{
	const struct trace_dat_option *header_info;
	uint64_t offset, total = 0;
	int ret;

	ret = trace_dat_read(dat, link, &offset, sizeof(offset));
	while (!ret && offset) {
		_cleanup_(freep) uint8_t *bytes = NULL;
		struct section section;
		struct cursor cursor;
		bool done = false;
		size_t size;

		ret = read_section_header(dat, offset, TRACE_DAT_DONE, &section);
		/* No program writes them, and their links could not be changed in place */
		if (!ret && section.flags & SECTION_COMPRESSED)
			ret = trace_dat_fail(dat, -ENOTSUP, offset, "compressed options are not supported");
		if (!ret)
			ret = read_section(dat, &section, MAX_SECTION, NULL, &bytes, &size);
		if (ret)
			break;
		/* If sections are visited twice, the sum of their sizes exceeds the file */
		total += TRACE_DAT_SECTION_HEADER + section.size;
		if (total > dat->size)
			return trace_dat_fail(dat, -EBADMSG, offset,
					      "the sections of options form a loop");
		cursor = (struct cursor) { bytes, size };
		while (!ret && !done) {
			uint64_t at = section.offset + (cursor.at - bytes);
			uint32_t length;
			uint16_t id;

			if (!cursor_take(&cursor, &id, sizeof(id)) ||
			    !cursor_take(&cursor, &length, sizeof(length)) || length > cursor.left)
				return trace_dat_fail(dat, -EBADMSG, at,
						      "an option does not fit into its section");
			done = id == TRACE_DAT_DONE;
			if (!done) {
				ret = add_option(dat, id, cursor.at, length,
						 at + TRACE_DAT_OPTION_HEADER);
			} else if (length < sizeof(offset)) {
				return trace_dat_fail(dat, -EBADMSG, at,
						      "the options' end has no link");
			} else {
				memcpy(&offset, cursor.at, sizeof(offset));
				dat->last_link = at + TRACE_DAT_OPTION_HEADER;
			}
			cursor_skip(&cursor, length);
		}
	}
	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		const struct trace_dat_option *option = &dat->options[i];

		if (option->id == TRACE_DAT_BUFFER)
			ret = read_buffer_7(dat, i);
		if (option->id >= TRACE_DAT_FTRACE_FORMATS && option->id <= TRACE_DAT_CMDLINES &&
		    option->size >= sizeof(offset))
			memcpy(&dat->parts[option->id - TRACE_DAT_FTRACE_FORMATS].offset, option->data,
			       sizeof(offset));
	}
	header_info = trace_dat_option(dat, TRACE_DAT_HEADER_INFO);
	if (!ret && header_info && header_info->size >= sizeof(offset)) {
		memcpy(&offset, header_info->data, sizeof(offset));
		ret = read_header_info_7(dat, offset);
	}
	return ret ? ret : check_buffers(dat);
}

static int open_7(struct trace_dat *dat, uint64_t offset)
{
	char name[MAX_NAME], version[MAX_NAME];
	uint64_t start = offset;
	int ret;

	ret = read_string(dat, &offset, name, sizeof(name));
	if (!ret)
		ret = read_string(dat, &offset, version, sizeof(version));
	if (ret)
		return ret;
	ret = compression_by_name(name);
	if (ret < 0)
		return trace_dat_fail(dat, ret, start, "unknown compression \"%s\"", name);
	dat->compression = ret;
	dat->head_size = offset;
	ret = read_options_7(dat, offset);
	return ret ? ret : take_cpu_count(dat);
}

/* A count, then that many texts, each after its size */
static int skip_texts(struct trace_dat *dat, uint64_t *offset, uint32_t *max)
{
	uint64_t start = *offset, size;
	uint32_t count;
	int ret = read_on(dat, offset, &count, sizeof(count));

	if (!ret && count > *max)
		return trace_dat_fail(dat, -EBADMSG, start, "more than %u formats of events", MAX_TEXTS);
	*max -= ret ? 0 : count;
	for (; !ret && count; count--) {
		ret = read_on(dat, offset, &size, sizeof(size));
		if (!ret)
			ret = skip_on(dat, offset, size);
	}
	return ret;
}

static void end_part_6(struct trace_dat *dat, enum trace_dat_option_id id, uint64_t begin, uint64_t end)
{
	dat->parts[id - TRACE_DAT_FTRACE_FORMATS] = (struct trace_dat_part) { .offset = begin, .size = end - begin };
}

/* Everything before the number of CPUs */
static int skip_head_6(struct trace_dat *dat, uint64_t *offset)
{
	char name[MAX_NAME];
	uint32_t systems, size32, max = MAX_TEXTS;
	uint64_t begin, size;
	int ret = 0;

	/* "header_page", which is needed, and "header_event" */
	for (int i = 0; i < 2 && !ret; i++) {
		_cleanup_(freep) uint8_t *text = NULL;

		ret = read_string(dat, offset, name, sizeof(name));
		if (!ret)
			ret = read_on(dat, offset, &size, sizeof(size));
		if (!ret)
			ret = read_bytes(dat, *offset, size, MAX_PART, &text);
		if (ret)
			break;
		text[size] = '\0';
		if (!i)
			take_long_size(dat, (char *)text);
		*offset += size;
	}
	begin = *offset;
	if (!ret)
		ret = skip_texts(dat, offset, &max);
	end_part_6(dat, TRACE_DAT_FTRACE_FORMATS, begin, *offset);
	begin = *offset;
	if (!ret)
		ret = read_on(dat, offset, &systems, sizeof(systems));
	if (!ret && systems > MAX_TEXTS)
		ret = trace_dat_fail(dat, -EBADMSG, begin, "more than %u systems of events", MAX_TEXTS);
	for (; !ret && systems; systems--) {
		ret = read_string(dat, offset, name, sizeof(name));
		if (!ret)
			ret = skip_texts(dat, offset, &max);
	}
	end_part_6(dat, TRACE_DAT_EVENT_FORMATS, begin, *offset);
	for (int id = TRACE_DAT_KALLSYMS; id <= TRACE_DAT_PRINTK && !ret; id++) {
		begin = *offset;
		ret = read_on(dat, offset, &size32, sizeof(size32));
		if (!ret)
			ret = skip_on(dat, offset, size32);
		end_part_6(dat, id, begin, *offset);
	}
	begin = *offset;
	if (!ret)
		ret = read_on(dat, offset, &size, sizeof(size));
	if (!ret)
		ret = skip_on(dat, offset, size);
	end_part_6(dat, TRACE_DAT_CMDLINES, begin, *offset);
	return ret;
}

static int read_options_6(struct trace_dat *dat, uint64_t *offset)
{
	for (;;) {
		_cleanup_(freep) uint8_t *bytes = NULL;
		uint32_t size;
		uint16_t id;
		int ret = read_on(dat, offset, &id, sizeof(id));

		if (ret || !id)
			return ret;
		ret = read_on(dat, offset, &size, sizeof(size));
		if (!ret)
			ret = read_bytes(dat, *offset, size, MAX_SECTION, &bytes);
		if (!ret)
			ret = add_option(dat, id, bytes, size, *offset);
		if (ret)
			return ret;
		*offset += size;
	}
}

static int read_tag(struct trace_dat *dat, uint64_t *offset, char *tag)
{
	tag[TAG_SIZE] = '\0';
	return read_on(dat, offset, tag, TAG_SIZE);
}

/* After "flyrecord": the place of each CPU's data */
static int read_buffer_6(struct trace_dat *dat, uint64_t offset, const char *name, size_t option)
{
	const struct trace_dat_option *clock = trace_dat_option(dat, TRACE_DAT_TRACECLOCK);
	struct trace_dat_buffer buffer = {
		.name = strdup(name),
		.clock = clock_of_text(clock ? (char *)clock->data : ""),
		.option = option,
		.page_size = dat->page_size,
		.cpus = calloc(dat->nr_cpus, sizeof(*buffer.cpus)),
		.nr_cpus = dat->nr_cpus,
	};
	int ret = buffer.name && buffer.clock && buffer.cpus ? 0 : -ENOMEM;

	for (size_t i = 0; i < buffer.nr_cpus && !ret; i++) {
		struct trace_dat_cpu *cpu = &buffer.cpus[i];

		cpu->cpu = i;
		ret = read_on(dat, &offset, &cpu->offset, sizeof(cpu->offset));
		if (!ret)
			ret = read_on(dat, &offset, &cpu->size, sizeof(cpu->size));
		if (!ret)
			ret = check_cpu_data(dat, cpu);
	}
	if (!ret)
		ret = add_buffer(dat, &buffer, offset);
	if (ret)
		release_buffer(&buffer);
	return ret;
}

static int read_instance_6(struct trace_dat *dat, size_t number)
{
	const struct trace_dat_option *option = &dat->options[number];
	struct cursor cursor = { option->data, option->size };
	char tag[TAG_SIZE + 1];
	const char *name;
	uint64_t offset;
	int ret;

	if (!cursor_take(&cursor, &offset, sizeof(offset)) || !(name = cursor_take_string(&cursor)))
		return trace_dat_fail(dat, -EBADMSG, option->offset, "option BUFFER is too short");
	ret = read_tag(dat, &offset, tag);
	/* A buffer of text is ignored */
	if (ret || strcmp(tag, "flyrecord"))
		return ret;
	if ((dat->nr_buffers + 1) * dat->nr_cpus > dat->size / CPU_SIZE_6)
		return trace_dat_fail(dat, -EBADMSG, option->offset,
				      "more buffers than the file has room for");
	return read_buffer_6(dat, offset, name, number);
}

static int open_6(struct trace_dat *dat, uint64_t offset)
{
	char tag[TAG_SIZE + 1];
	int ret;

	ret = skip_head_6(dat, &offset);
	if (!ret)
		ret = read_on(dat, &offset, &dat->nr_cpus, sizeof(dat->nr_cpus));
	if (!ret)
		ret = check_cpus_6(dat, offset - sizeof(dat->nr_cpus));
	dat->head_size = offset;
	if (!ret)
		ret = check_page_size(dat, dat->page_size, PAGE_SIZE_6);
	if (!ret)
		ret = read_tag(dat, &offset, tag);
	if (!ret && !strncmp(tag, "options", strlen("options"))) {
		ret = read_options_6(dat, &offset);
		if (!ret)
			ret = take_cpu_count(dat);
		if (!ret)
			ret = read_tag(dat, &offset, tag);
	}
	if (ret)
		return ret;
	if (!strcmp(tag, "flyrecord"))
		ret = read_buffer_6(dat, offset, "", dat->nr_options);
	else if (strncmp(tag, "latency", strlen("latency")))
		ret = trace_dat_fail(dat, -EBADMSG, offset - TAG_SIZE,
				     "neither options nor data follow");
	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		if (dat->options[i].id == TRACE_DAT_BUFFER)
			ret = read_instance_6(dat, i);
	}
	return ret ? ret : check_buffers(dat);
}

static int read_head(struct trace_dat *dat, uint64_t *offset)
{
	char magic[MAGIC_SIZE], version[MAX_NAME];
	uint64_t start;
	uint8_t flags[2];
	int ret;

	if (dat->size < MAGIC_SIZE)
		return trace_dat_fail(dat, -EBADMSG, 0, "not a trace.dat file");
	ret = read_on(dat, offset, magic, sizeof(magic));
	if (ret)
		return ret;
	if (memcmp(magic, MAGIC, MAGIC_SIZE))
		return trace_dat_fail(dat, -EBADMSG, 0, "not a trace.dat file");
	ret = read_string(dat, offset, version, sizeof(version));
	if (ret)
		return ret;
	if (strcmp(version, "6") && strcmp(version, "7"))
		return trace_dat_fail(dat, -ENOTSUP, MAGIC_SIZE, "version \"%s\", not 6 or 7",
				      version);
	dat->version = version[0] - '0';
	start = *offset;
	ret = read_on(dat, offset, flags, sizeof(flags));
	if (!ret)
		ret = read_on(dat, offset, &dat->page_size, sizeof(dat->page_size));
	if (ret)
		return ret;
	if (flags[0])
		return trace_dat_fail(dat, -ENOTSUP, start, "the other byte order; KVM guests have a TSC on x86 only");
	if (flags[1] != 4 && flags[1] != 8)
		return trace_dat_fail(dat, -EBADMSG, start + 1, "invalid size of long: %u bytes", flags[1]);
	dat->long_size = flags[1];
	return 0;
}

/**
 * trace_dat_open - open a file and find its parts
 * @dat: result; must be closed in any case
 * @path: the file
 * @error: receives the reason of failures of this and all other functions that read the file; must be valid while @dat
 *	is open. All zeros at first. Files that are read together share one.
 *
 * Returns: 0 or a negative errno, with the reason in @error; -EBADMSG if the file is damaged, -ENOTSUP if it is of an
 * unknown kind.
 */
int trace_dat_open(struct trace_dat *dat, const char *path, struct error *error)
{
	uint64_t offset = 0;
	struct stat stat;
	int ret;

	/* Opening a pipe could block forever */
	*dat = (struct trace_dat) {
		.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), .error = error,
	};
	if (dat->fd < 0 || fstat(dat->fd, &stat))
		return error_set_code(error, -errno, path);
	if (!S_ISREG(stat.st_mode))
		return trace_dat_refuse(dat, -EINVAL, "not a regular file");
	dat->size = stat.st_size;
	ret = read_head(dat, &offset);
	if (!ret)
		ret = dat->version == 7 ? open_7(dat, offset) : open_6(dat, offset);
	return error_keep(error, ret, path);
}

/**
 * trace_dat_close - close a file and free its data
 * @dat: the file, also after a failed open
 */
void trace_dat_close(struct trace_dat *dat)
{
	for (size_t i = 0; i < dat->nr_options; i++)
		free(dat->options[i].data);
	for (size_t i = 0; i < dat->nr_buffers; i++)
		release_buffer(&dat->buffers[i]);
	free(dat->options);
	free(dat->buffers);
	decompress_release(&dat->zstd);
	if (dat->fd >= 0)
		close(dat->fd);
	*dat = (struct trace_dat) { .fd = -1 };
}

/**
 * trace_dat_option - find an option
 * @dat: the open file
 * @id: number of the option
 *
 * Returns: the last option with this number, which readers use; or NULL.
 */
const struct trace_dat_option *trace_dat_option(const struct trace_dat *dat, int id)
{
	for (size_t i = dat->nr_options; i; i--) {
		if (dat->options[i - 1].id == id)
			return &dat->options[i - 1];
	}
	return NULL;
}

/**
 * trace_dat_trace_id - get the id of a recording
 * @dat: the open file
 *
 * Returns: the option TRACEID, 0 without one.
 */
uint64_t trace_dat_trace_id(const struct trace_dat *dat)
{
	const struct trace_dat_option *option = trace_dat_option(dat, TRACE_DAT_TRACEID);
	uint64_t id = 0;

	if (option && option->size >= sizeof(id))
		memcpy(&id, option->data, sizeof(id));
	return id;
}

/**
 * trace_dat_buffer_by_name - find a buffer
 * @dat: the open file
 * @name: name of the instance, "" for the top buffer
 *
 * Returns: the buffer or NULL.
 */
const struct trace_dat_buffer *trace_dat_buffer_by_name(const struct trace_dat *dat,
							const char *name)
{
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		if (!strcmp(dat->buffers[i].name, name))
			return &dat->buffers[i];
	}
	return NULL;
}

/**
 * trace_dat_buffer_has_data - does a buffer have data?
 * @buffer: a buffer of a file
 *
 * Returns: true if a CPU has data, which can be pages without events.
 */
bool trace_dat_buffer_has_data(const struct trace_dat_buffer *buffer)
{
	return any_of(i, buffer->nr_cpus, buffer->cpus[i].size);
}

/**
 * trace_dat_part_offset - get the place of a part
 * @dat: the open file
 * @id: one of FTRACE_FORMATS to CMDLINES
 *
 * Returns: the offset in the file, 0 if the file does not have the part.
 */
uint64_t trace_dat_part_offset(const struct trace_dat *dat, enum trace_dat_option_id id)
{
	return dat->parts[id - TRACE_DAT_FTRACE_FORMATS].offset;
}

/**
 * trace_dat_part - read a part of the file
 * @dat: the open file
 * @id: one of FTRACE_FORMATS to CMDLINES
 * @bytes: result, followed by a NUL; to be freed with free(), also after an error
 * @size: result: size of the part in bytes
 *
 * Returns: 0, -ENOENT if the file does not have the part, or another negative errno.
 */
int trace_dat_part(struct trace_dat *dat, enum trace_dat_option_id id, uint8_t **bytes, size_t *size)
{
	struct trace_dat_part *part = &dat->parts[id - TRACE_DAT_FTRACE_FORMATS];
	struct section section = { .offset = part->offset, .size = part->size };
	int ret = 0;

	*bytes = NULL;
	*size = 0;
	if (!part->offset)
		return -ENOENT;
	if (dat->version == 7)
		ret = read_section_header(dat, part->offset, id, &section);
	if (!ret)
		ret = read_section(dat, &section, MAX_PART, &part->counted, bytes, size);
	if (!ret)
		(*bytes)[*size] = '\0';
	return ret;
}

static bool is_format_of(const char *text, size_t size, const char *event)
{
	static const char start[] = "name: ";
	size_t length = strlen(event);

	return size > strlen(start) + length && !memcmp(text, start, strlen(start)) &&
	       !memcmp(text + strlen(start), event, length) && text[strlen(start) + length] == '\n';
}

/* Returns: -ENOENT if a system does not have the event, -EBADMSG if the formats are truncated */
static int find_in_system(struct cursor *cursor, const char *event, char **text, size_t *size)
{
	uint32_t events;
	uint64_t length;

	if (!cursor_take(cursor, &events, sizeof(events)))
		return -EBADMSG;
	for (; events; events--) {
		const char *format;

		if (!cursor_take(cursor, &length, sizeof(length)))
			return -EBADMSG;
		format = (const char *)cursor->at;
		if (!cursor_skip(cursor, length))
			return -EBADMSG;
		if (!event || length > MAX_FORMAT || !is_format_of(format, length, event))
			continue;
		*text = strndup(format, length);
		/* Ignore what follows a NUL inside the text */
		*size = *text ? strlen(*text) : 0;
		return *text ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static int find_format(struct cursor *cursor, const char *system, const char *event, char **text, size_t *size)
{
	uint32_t systems;
	int ret = -ENOENT;

	if (!cursor_take(cursor, &systems, sizeof(systems)))
		return -EBADMSG;
	for (; systems && ret == -ENOENT; systems--) {
		const char *name = cursor_take_string(cursor);

		if (!name)
			return -EBADMSG;
		ret = find_in_system(cursor, strcmp(name, system) ? NULL : event, text, size);
	}
	return ret;
}

/**
 * trace_dat_event_format - get the format of an event as the kernel wrote it
 * @dat: the open file
 * @system: the event's system; "ftrace" for those of the tracer itself, which are in a separate part
 * @event: its name
 * @text: result: input for tep_parse_event(); to be freed with free()
 * @size: result: size of @text in bytes
 *
 * Returns: 0, -ENOENT if the file does not have the event, or another negative errno.
 */
int trace_dat_event_format(struct trace_dat *dat, const char *system, const char *event,
			   char **text, size_t *size)
{
	bool of_tracer = !strcmp(system, "ftrace");
	enum trace_dat_option_id id = of_tracer ? TRACE_DAT_FTRACE_FORMATS : TRACE_DAT_EVENT_FORMATS;
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct cursor cursor;
	int ret;

	ret = trace_dat_part(dat, id, &bytes, &cursor.left);
	if (ret)
		return ret;
	cursor.at = bytes;
	ret = of_tracer ? find_in_system(&cursor, event, text, size) : find_format(&cursor, system, event, text, size);
	return ret == -EBADMSG ?
		trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id), "the event formats are cut off") : ret;
}
