// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Reading trace.dat files: the contents of a valid file. For each kind of damage there is an error with the place and
 * the cause, whichever part is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dat_file.h"
#include "prng.h"
#include "trace_dat.h"
#include "trace_stream.h"

/* The result of reading a file */
struct outcome {
	int		error;
	char		text[256];
	unsigned int	buffers;
	unsigned int	events;
	unsigned int	losses;
	bool		format;
};

static void put(int fd, const struct dat_file *file, size_t size)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, file->data, size, 0), size);
}

static int read_events(struct trace_dat *dat, const struct trace_dat_buffer *buffer,
		       struct outcome *outcome)
{
	const struct cpu_stream *cpu;
	struct trace_stream stream;
	int ret = trace_stream_open(&stream, dat, buffer, NULL);

	while (!ret && (ret = trace_stream_next(&stream, &cpu)) > 0) {
		ret = 0;
		outcome->events++;
		outcome->losses += cpu->lost;
	}
	/* A further call after an error does not return invalid events */
	for (int i = 0; i < 3 && ret < 0; i++)
		trace_stream_next(&stream, &cpu);
	trace_stream_close(&stream);
	/* Each stream returned the bytes that it reserved */
	assert_int_equal(dat->stream_bytes, 0);
	return ret;
}

static struct error error;

/* Everything that verbs do with a file */
static void use(int fd, struct outcome *outcome)
{
	struct trace_dat dat;
	char path[32], *text;
	size_t size;
	int ret, found;

	*outcome = (struct outcome) { 0 };
	error = (struct error) { 0 };
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = trace_dat_open(&dat, path, &error);
	/* However the sections are linked */
	assert_true(dat.nr_options <= dat.size / TRACE_DAT_OPTION_HEADER);
	if (!ret) {
		found = trace_dat_event_format(&dat, "kvm", "kvm_write_tsc_offset", &text, &size);
		outcome->format = !found;
		if (!found) {
			/* tep_parse_event() may read this much */
			assert_int_equal(strlen(text), size);
			free(text);
		} else if (found != -ENOENT) {
			ret = found;
		}
	}
	for (size_t i = 0; i < dat.nr_buffers && !ret; i++) {
		outcome->buffers++;
		ret = read_events(&dat, &dat.buffers[i], outcome);
	}
	outcome->error = ret;
	/* The text of the error, without the name of the file */
	error.path = NULL;
	if (ret)
		error_line(&error, outcome->text, sizeof(outcome->text));
	trace_dat_close(&dat);
}

static int memory_file(void)
{
	int fd = memfd_create("trace.dat", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void use_bytes(const struct dat_file *file, size_t size, struct outcome *outcome)
{
	int fd = memory_file();

	put(fd, file, size);
	use(fd, outcome);
	close(fd);
}

struct kind {
	int			version;
	enum compression	compression;
};

#define V6	{ 6, COMPRESSION_NONE }
#define V7	{ 7, COMPRESSION_NONE }
#define ZLIB	{ 7, COMPRESSION_ZLIB }
#define ZSTD	{ 7, COMPRESSION_ZSTD }

static const struct kind kinds[] = { V6, V7, ZLIB, ZSTD };
#define NR_KINDS (sizeof(kinds) / sizeof(*kinds))

static void open_bytes(struct trace_dat *dat, const struct dat_file *file)
{
	int fd = memory_file();
	char path[32];

	put(fd, file, file->size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(trace_dat_open(dat, path, &error), 0);
	close(fd);
}

static void test_content(void **state)
{
	for (size_t i = 0; i < NR_KINDS; i++) {
		const struct trace_dat_buffer *top, *instance;
		const struct trace_dat_option *option;
		struct dat_file file;
		struct trace_dat dat;
		uint64_t trace_id;
		size_t size;
		char *text;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		open_bytes(&dat, &file);
		assert_int_equal(dat.version, kinds[i].version);
		assert_int_equal(dat.compression, kinds[i].compression);
		assert_int_equal(dat.size, file.size);
		assert_int_equal(dat.long_size, 8);
		assert_int_equal(dat.page_size, DAT_PAGE_SIZE);
		assert_int_equal(dat.nr_cpus, kinds[i].version == 6 ? 2 : 0);
		if (kinds[i].version == 7)
			assert_int_equal(dat.last_link, file.done[1] + 6);

		option = trace_dat_option(&dat, TRACE_DAT_TRACEID);
		assert_non_null(option);
		assert_int_equal(option->offset, file.trace_id + 6);
		assert_int_equal(option->size, sizeof(trace_id));
		memcpy(&trace_id, option->data, sizeof(trace_id));
		assert_true(trace_id == DAT_TRACE_ID);
		assert_null(trace_dat_option(&dat, TRACE_DAT_TSC2NSEC));
		assert_true(trace_dat_trace_id(&dat) == DAT_TRACE_ID);

		assert_int_equal(dat.nr_buffers, 2);
		top = &dat.buffers[0];
		instance = &dat.buffers[1];
		assert_string_equal(top->name, "");
		assert_string_equal(top->clock, "x86-tsc");
		assert_int_equal(top->page_size, DAT_PAGE_SIZE);
		assert_int_equal(top->compressed, kinds[i].compression != COMPRESSION_NONE);
		assert_int_equal(top->nr_cpus, 2);
		assert_int_equal(top->cpus[1].cpu, 1);
		assert_int_equal(top->cpus[1].offset, file.pages[1]);
		assert_string_equal(instance->name, "inst");
		assert_string_equal(instance->clock, "x86-tsc");
		assert_int_equal(dat.options[instance->option].offset, file.buffer[1] + 6);
		assert_ptr_equal(trace_dat_buffer_by_name(&dat, ""), top);
		assert_ptr_equal(trace_dat_buffer_by_name(&dat, "inst"), instance);
		assert_null(trace_dat_buffer_by_name(&dat, "ins"));
		assert_true(trace_dat_buffer_has_data(top));
		dat.buffers[0].cpus[0].size = 0;
		assert_true(trace_dat_buffer_has_data(top));
		dat.buffers[0].cpus[1].size = 0;
		assert_false(trace_dat_buffer_has_data(top));
		dat.options[option - dat.options].size = sizeof(trace_id) - 1;
		assert_true(!trace_dat_trace_id(&dat));

		assert_int_equal(trace_dat_event_format(&dat, "kvm", "kvm_write_tsc_offset", &text,
							&size), 0);
		assert_int_equal(strlen(text), size);
		assert_memory_equal(text, "name: kvm_write_tsc_offset\n", 27);
		free(text);
		assert_int_equal(trace_dat_event_format(&dat, "kvm", "kvm_write_tsc", &text, &size),
				 -ENOENT);
		assert_int_equal(trace_dat_event_format(&dat, "sched", "kvm_entry", &text, &size),
				 -ENOENT);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

static void test_events(void **state)
{
	static const struct { uint64_t ts; uint32_t cpu; uint32_t number; } wanted[] = {
		{ 1000, 0, 0 }, { 1100, 0, 1 }, { 1200, 0, 2 }, { 2000, 1, 6 }, { 2100, 1, 7 },
		{ 3000, 0, 3 }, { 3100, 0, 4 }, { 3200, 0, 5 },
	};

	for (size_t i = 0; i < NR_KINDS; i++) {
		const struct cpu_stream *cpu;
		struct trace_stream stream;
		struct dat_file file;
		struct trace_dat dat;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		open_bytes(&dat, &file);
		assert_int_equal(trace_stream_open(&stream, &dat, &dat.buffers[0], NULL), 0);
		for (size_t e = 0; e < sizeof(wanted) / sizeof(*wanted); e++) {
			uint32_t payload[3];

			assert_int_equal(trace_stream_next(&stream, &cpu), 1);
			assert_int_equal(cpu->event.ts, wanted[e].ts);
			assert_int_equal(cpu->cpu->cpu, wanted[e].cpu);
			assert_int_equal(cpu->event.size, sizeof(payload));
			assert_false(cpu->lost);
			memcpy(payload, cpu->event.data, sizeof(payload));
			assert_int_equal(payload[0], 1097);
			assert_int_equal(payload[2], wanted[e].number);
		}
		for (int more = 0; more < 3; more++)
			assert_int_equal(trace_stream_next(&stream, &cpu), 0);
		trace_stream_close(&stream);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

/* If times are equal, the CPU with the lower number comes first, as readers show it */
static void test_equal_times(void **state)
{
	enum { CPUS = 33, EVENTS = 3 };
	struct dat_file file = { 0 }, page = { 0 };
	struct trace_dat_cpu cpus[CPUS];
	struct trace_dat_buffer buffer = { .page_size = DAT_PAGE_SIZE, .cpus = cpus, .nr_cpus = CPUS };
	struct trace_dat dat = { .long_size = 8, .fd = memory_file(), .error = &error };
	const struct cpu_stream *cpu;
	struct trace_stream stream;

	dat_append_number(&page, 5000, 8);
	dat_append_number(&page, EVENTS * 8, 8);
	for (int i = 0; i < EVENTS; i++)
		dat_append_number(&page, (i ? 7 : 0) << 5 | 1, 8);
	for (uint32_t i = 0; i < CPUS; i++) {
		cpus[i] = (struct trace_dat_cpu) { .cpu = i, .offset = file.size, .size = DAT_PAGE_SIZE };
		dat_append(&file, page.data, page.size);
		dat_append(&file, NULL, DAT_PAGE_SIZE - page.size);
	}
	put(dat.fd, &file, file.size);
	dat.size = file.size;
	assert_int_equal(trace_stream_open(&stream, &dat, &buffer, NULL), 0);
	for (int e = 0; e < EVENTS; e++) {
		for (uint32_t i = 0; i < CPUS; i++) {
			assert_int_equal(trace_stream_next(&stream, &cpu), 1);
			assert_int_equal(cpu->event.ts, 5000 + 7 * e);
			assert_int_equal(cpu->cpu->cpu, i);
		}
	}
	assert_int_equal(trace_stream_next(&stream, &cpu), 0);
	trace_stream_close(&stream);
	trace_dat_close(&dat);
	free(file.data);
	free(page.data);
}

static void no_cpu_data(struct dat_file *file)
{
	dat_set(file, file->cpu[0] + 8, 0, 8);
	dat_set(file, file->cpu[0], UINT64_MAX, 8);
	dat_set(file, file->cpu[1] + 8, 0, 8);
}

static void open_cpu(struct cpu_stream *stream, struct trace_dat *dat, size_t cpu)
{
	assert_int_equal(cpu_stream_open(stream, dat, &dat->buffers[0], &dat->buffers[0].cpus[cpu]), 0);
}

/* The time since which events are missing: the last event before them, or 0 */
static void test_lost_since(void **state)
{
	struct cpu_stream stream;
	struct dat_file file;
	struct trace_dat dat;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	dat_set(&file, file.pages[0] + DAT_PAGE_SIZE + 8 + 3, 0x80, 1);
	dat_set(&file, file.pages[1] + 8 + 3, 0x80, 1);
	open_bytes(&dat, &file);
	open_cpu(&stream, &dat, 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(cpu_stream_next(&stream), 1);
		assert_int_equal(stream.lost, i == 3);
	}
	assert_int_equal(stream.lost_since, 1200);
	cpu_stream_close(&stream);
	open_cpu(&stream, &dat, 1);
	assert_int_equal(cpu_stream_next(&stream), 1);
	assert_true(stream.lost && !stream.lost_since);
	cpu_stream_close(&stream);
	trace_dat_close(&dat);
	dat_file_release(&file);
}

/* Nothing is read after a damaged page */
static void test_end_after_error(void **state)
{
	for (size_t i = 1; i < NR_KINDS; i += 2) {
		struct cpu_stream stream;
		struct dat_file file;
		struct trace_dat dat;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		/* The committed size of the first page, or the packed size of the first chunk */
		dat_set(&file, file.pages[0] + 8, DAT_PAGE_SIZE + 8, 4);
		open_bytes(&dat, &file);
		open_cpu(&stream, &dat, 0);
		assert_int_equal(cpu_stream_next(&stream), -EBADMSG);
		for (int more = 0; more < 3; more++)
			assert_int_equal(cpu_stream_next(&stream), 0);
		cpu_stream_close(&stream);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

/* Returns: the time of the first event of a CPU's last page, 0 if there is none, or an error */
static int64_t last_page(struct trace_dat *dat, size_t cpu)
{
	struct cpu_stream stream;
	int ret = cpu_stream_open_last_page(&stream, dat, &dat->buffers[0], &dat->buffers[0].cpus[cpu]);

	if (!ret)
		ret = cpu_stream_next(&stream);
	cpu_stream_close(&stream);
	return ret > 0 ? (int64_t)stream.event.ts : ret;
}

static void test_last_page(void **state)
{
	struct dat_file file;
	struct trace_dat dat;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	open_bytes(&dat, &file);
	assert_int_equal(last_page(&dat, 0), 3000);
	assert_int_equal(last_page(&dat, 1), 2000);
	/* A file that is truncated within a page: no complete page follows */
	dat.buffers[0].cpus[0].size = DAT_PAGE_SIZE + 1;
	assert_int_equal(last_page(&dat, 0), -EBADMSG);
	dat.buffers[0].cpus[1].size = 0;
	assert_int_equal(last_page(&dat, 1), 0);
	trace_dat_close(&dat);
	dat_file_release(&file);

	dat_file_build(&file, 7, COMPRESSION_ZSTD);
	open_bytes(&dat, &file);
	assert_int_equal(last_page(&dat, 0), -ENOTSUP);
	trace_dat_close(&dat);
	dat_file_release(&file);
}

/* A CPU without data: the place of its data does not matter, not even for the number of its chunks */
static void test_empty_cpu(void **state)
{
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct cpu_stream stream;
		struct dat_file file;
		struct trace_dat dat;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		no_cpu_data(&file);
		open_bytes(&dat, &file);
		open_cpu(&stream, &dat, 0);
		assert_int_equal(cpu_stream_next(&stream), 0);
		cpu_stream_close(&stream);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

/* Another process truncates the file after it was opened */
static void test_shorter_meanwhile(void **state)
{
	struct dat_file file;
	struct trace_dat dat;
	char bytes[20];

	dat_file_build(&file, 7, COMPRESSION_NONE);
	open_bytes(&dat, &file);
	dat.size += 10;
	assert_int_equal(trace_dat_read(&dat, file.size - 10, bytes, 10), 0);
	assert_int_equal(trace_dat_read(&dat, file.size - 10, bytes, 20), -EBADMSG);
	assert_int_equal(trace_dat_read(&dat, file.size, bytes, 10), -EBADMSG);
	trace_dat_close(&dat);
	dat_file_release(&file);
}

/*
 * The clock of version 6 is the word in brackets in a text, or the whole
 * text, up to the end of the line or of the option
 */
static void test_clock_texts(void **state)
{
	static const struct {
		const char	*text;	/* the rest of the option is filled with c */
		const char	*clock;
	} texts[] = {
		{ "local global [x86-tsc]\n", "x86-tsc" },
		{ "[local] global x86-tsc\n", "local" },
		{ "strange\n", "strange" },
		{ "local global [", "cccccccccc" },
		{ "", "cccccccccccccccccccccccc" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct dat_file file;
		struct trace_dat dat;

		dat_file_build(&file, 6, COMPRESSION_NONE);
		memset(file.data + file.options + 6, 'c', 24);
		memcpy(file.data + file.options + 6, texts[i].text, strlen(texts[i].text));
		open_bytes(&dat, &file);
		assert_string_equal(dat.buffers[0].clock, texts[i].clock);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

/* Unusual but valid files */

static void lost_with_number(struct dat_file *file)
{
	size_t page = file->pages[0] + DAT_PAGE_SIZE, size = dat_get(file, page + 8, 4);

	dat_set(file, page + 8, size | 3U << 30, 8);
	dat_set(file, page + 16 + size, 77, 8);
}

static void lost_at_the_start(struct dat_file *file)
{
	dat_set(file, file->pages[1] + 8, dat_get(file, file->pages[1] + 8, 4) | 1U << 31, 8);
}

static void empty_pages(struct dat_file *file)
{
	dat_set(file, file->pages[1] + 8, 0, 8);
	dat_set(file, file->pages[0] + 8, 3, 8);
}

static void no_cpus(struct dat_file *file)
{
	/* The top buffer has no CPUs: its page size and section do not matter then */
	dat_set(file, file->buffer[0] + 6, UINT64_MAX, 8);
	dat_set(file, file->buffer[0] + 6 + 8 + 1 + 8, 0, 8);
}

static void no_buffers(struct dat_file *file)
{
	dat_set(file, file->done[0] + 6, 0, 8);
}

static void no_formats(struct dat_file *file)
{
	/* An unknown option instead */
	dat_set(file, file->options + 16 + 14, 4711, 2);
}

/* Bytes after a zero are not a part of the format's text */
static void zero_in_format(struct dat_file *file)
{
	memcpy(file->data + file->event_formats + 16 + 4 + 4 + 4 + 8 + 31 + 8 + 27, "ID\0", 3);
}

static void unknown_clock(struct dat_file *file)
{
	memcpy(file->data + file->options + 6, "strange\n", 9);
}

/* Append a section with @nr copies of an option */
static void append_options(struct dat_file *file, int id, const void *data, size_t size, size_t nr)
{
	size_t at;

	dat_set(file, file->done[1] + 6, file->size, 8);
	dat_append_number(file, 0, 8);
	dat_append_number(file, nr * (6 + size) + 14, 8);
	at = file->size;
	/* In one go: there may be a million */
	dat_append(file, NULL, nr * (6 + size));
	for (; nr; nr--, at += 6 + size) {
		dat_set(file, at, id, 2);
		dat_set(file, at + 2, size, 4);
		if (size)
			memcpy(file->data + at + 6, data, size);
	}
	dat_append_number(file, TRACE_DAT_DONE, 2);
	dat_append_number(file, 8, 4);
	dat_append_number(file, 0, 8);
}

/* The later of two options counts: add a BUFFER with only the second page of the first CPU */
static void two_top_buffers(struct dat_file *file)
{
	struct dat_file option = { 0 };

	dat_append_number(&option, file->section[0], 8);
	dat_append(&option, "\0x86-tsc", 9);
	dat_append_number(&option, DAT_PAGE_SIZE, 4);
	dat_append_number(&option, 1, 4);
	dat_append_number(&option, 0, 4);
	dat_append_number(&option, file->pages[0] + DAT_PAGE_SIZE, 8);
	dat_append_number(&option, DAT_PAGE_SIZE, 8);
	append_options(file, TRACE_DAT_BUFFER, option.data, option.size, 1);
	free(option.data);
}

/* In trace-cmd 3.2 and later the size includes the number of chunks */
static void counted_chunks(struct dat_file *file)
{
	for (int i = 0; i < 2; i++)
		dat_set(file, file->cpu[i] + 8, dat_get(file, file->cpu[i] + 8, 8) + 4, 8);
}

/* As trace-cmd writes it for a machine with more CPUs: the option takes precedence over the file's header */
static void more_cpus_by_option(struct dat_file *file)
{
	/* Instead of TRACEID */
	dat_set(file, file->trace_id, TRACE_DAT_CPUCOUNT, 2);
	dat_set(file, file->trace_id + 6, 2, 4);
	dat_set(file, file->nr_cpus, 1, 4);
}

static void latency_6(struct dat_file *file)
{
	memcpy(file->data + file->section[0], "latency  ", 10);
}

static void text_instance_6(struct dat_file *file)
{
	memcpy(file->data + file->section[1], "latency  ", 10);
}

/* The contents of a part: its text, preceded by its size in version 6, and followed by a NUL */
static void check_part(struct trace_dat *dat, enum trace_dat_option_id id, size_t before, const char *text)
{
	uint8_t *bytes;
	size_t size;

	assert_int_equal(trace_dat_part(dat, id, &bytes, &size), 0);
	assert_int_equal(size, before + strlen(text));
	assert_string_equal((char *)bytes + before, text);
	free(bytes);
}

static void test_parts(void **state)
{
	static const enum trace_dat_option_id ids[] = { TRACE_DAT_KALLSYMS, TRACE_DAT_PRINTK, TRACE_DAT_CMDLINES };
	static const char *const texts[] = { "sym", "fm", "1 init\n" };

	for (int version = 6; version <= 7; version++) {
		struct dat_file file;
		struct trace_dat dat;
		uint8_t *bytes;
		size_t size;

		dat_file_build(&file, version, COMPRESSION_NONE);
		for (size_t i = 0; i < 3 && version == 7; i++) {
			const uint64_t at = file.size;

			dat_append_number(&file, ids[i], 8);
			dat_append_number(&file, strlen(texts[i]), 8);
			dat_append(&file, texts[i], strlen(texts[i]));
			/* Each option is in its own section, which the previous section links to */
			append_options(&file, ids[i], &at, sizeof(at), 1);
			file.done[1] = file.size - 14;
		}
		open_bytes(&dat, &file);
		for (size_t i = 0; i < 3; i++)
			check_part(&dat, ids[i], version == 7 ? 0 : ids[i] == TRACE_DAT_CMDLINES ? 8 : 4, texts[i]);
		if (version == 7)
			assert_int_equal(trace_dat_part(&dat, TRACE_DAT_FTRACE_FORMATS, &bytes, &size), -ENOENT);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

static void test_last_option_counts(void **state)
{
	const uint64_t trace_id = 77;
	struct dat_file file;
	struct trace_dat dat;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	append_options(&file, TRACE_DAT_TRACEID, &trace_id, sizeof(trace_id), 1);
	open_bytes(&dat, &file);
	assert_int_equal(trace_dat_trace_id(&dat), 77);
	trace_dat_close(&dat);
	dat_file_release(&file);
}

/*
 * Append a buffer, an instance. Returns: the offset of its option's payload. @data: data of the first CPU; the next
 * CPU's data follow after its number of chunks, which @size does not include.
 */
static size_t append_buffer(struct dat_file *file, uint32_t page_size, uint32_t cpus, size_t data, size_t size)
{
	size_t at = file->size;

	dat_set(file, file->done[1] + 6, at, 8);
	dat_append_number(file, 0, 8);
	dat_append_number(file, 6 + 8 + 3 + 8 + 20 * cpus + 14, 8);
	dat_append_number(file, TRACE_DAT_BUFFER, 2);
	dat_append_number(file, 8 + 3 + 8 + 20 * cpus, 4);
	dat_append_number(file, file->section[0], 8);
	dat_append(file, "x\0\0", 3);
	dat_append_number(file, page_size, 4);
	dat_append_number(file, cpus, 4);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		dat_append_number(file, size ? cpu : 0, 4);
		dat_append_number(file, size ? data + cpu * (4 + size) : 0, 8);
		dat_append_number(file, size, 8);
	}
	dat_append_number(file, TRACE_DAT_DONE, 2);
	dat_append_number(file, 8, 4);
	dat_append_number(file, 0, 8);
	return at + 16 + 6;
}

/* Sections are compressed separately: a buffer's section can be uncompressed */
static void buffer_not_compressed(struct dat_file *file)
{
	struct dat_file plain;
	size_t pages = file->size;

	dat_file_build(&plain, 7, COMPRESSION_NONE);
	dat_append(file, plain.data + plain.pages[0], 2 * DAT_PAGE_SIZE);
	dat_set(file, file->section[0] + 2, 0, 2);
	dat_set(file, file->cpu[0], pages, 8);
	dat_set(file, file->cpu[0] + 8, 2 * DAT_PAGE_SIZE, 8);
	dat_set(file, file->cpu[1] + 8, 0, 8);
	dat_file_release(&plain);
}

/* Events of a kernel with a 4-byte long: a page's header has 12 bytes */
static void long_of_4_bytes(struct dat_file *file)
{
	const size_t pages[] = { file->pages[0], file->pages[0] + DAT_PAGE_SIZE, file->pages[1], file->instance_pages };
	static const char size[] = "commit;\toffset:8;\tsize:";
	uint8_t *found = memmem(file->data, file->size, size, strlen(size));

	assert_non_null(found);
	found[strlen(size)] = '4';
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		memmove(file->data + pages[i] + 12, file->data + pages[i] + 16, DAT_PAGE_SIZE - 16);
}

/* The recorder has a 4-byte long; the kernel's size is in the format of its pages */
static void recorder_of_32_bits(struct dat_file *file)
{
	dat_set(file, file->long_size, 4, 1);
}

/* A CPUCOUNT that is too short for the number is ignored. The rest of the bytes is an empty option. */
static void short_cpu_count(struct dat_file *file)
{
	dat_set(file, file->trace_id, TRACE_DAT_CPUCOUNT, 2);
	dat_set(file, file->trace_id + 2, 2, 4);
	dat_set(file, file->trace_id + 6, 1, 2);
	dat_set(file, file->trace_id + 8, 4711, 2);
	dat_set(file, file->trace_id + 10, 0, 4);
}

/* A single page exceeds the size of one read */
static void pages_of_128_kib(struct dat_file *file)
{
	const size_t page_size = 128 << 10, at = file->size;

	for (int i = 0; i < 2; i++) {
		dat_append(file, NULL, page_size);
		memcpy(file->data + at + i * page_size, file->data + file->pages[0] + i * DAT_PAGE_SIZE, DAT_PAGE_SIZE);
	}
	append_buffer(file, page_size, 1, at, 2 * page_size);
}

static void as_many_cpus_as_may_be(struct dat_file *file)
{
	append_buffer(file, DAT_PAGE_SIZE, 1 << 14, 0, 0);
}

/* Larger than any kernel's format: it is ignored */
static void format_of_2_mib(struct dat_file *file)
{
	static const char name[] = "name: kvm_write_tsc_offset\n";
	const size_t length = 2 << 20, at = file->size;

	dat_append_number(file, TRACE_DAT_EVENT_FORMATS, 8);
	dat_append_number(file, 4 + 4 + 4 + 8 + length, 8);
	dat_append_number(file, 1, 4);
	dat_append(file, "kvm", 4);
	dat_append_number(file, 1, 4);
	dat_append_number(file, length, 8);
	dat_append(file, NULL, length);
	memset(file->data + file->size - length, ' ', length);
	memcpy(file->data + file->size - length, name, strlen(name));
	dat_set(file, file->options + 16 + 14 + 6, at, 8);
}

/*
 * Append CPUs that each have a large chunk: a copy of another CPU's first page, and empty pages. The rest of the
 * first page is arbitrary: @noise incompressible bytes.
 */
static void append_large_chunks(struct dat_file *file, uint32_t cpus, uint32_t size, size_t noise)
{
	const uint32_t page_size = 1 << 20;
	size_t at = file->size, packed_size;
	uint64_t seed = 1;
	uint8_t *pages = calloc(size, 1);
	struct dat_file plain;
	void *packed;

	assert_non_null(pages);
	dat_file_build(&plain, 7, COMPRESSION_NONE);
	memcpy(pages, plain.data + plain.pages[0], DAT_PAGE_SIZE);
	dat_file_release(&plain);
	for (size_t i = 0; i < noise; i++)
		pages[DAT_PAGE_SIZE + i] = prng(&seed);
	packed_size = dat_compress(COMPRESSION_ZSTD, pages, size, &packed);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		dat_append_number(file, 1, 4);
		dat_append_number(file, packed_size, 4);
		dat_append_number(file, size, 4);
		dat_append(file, packed, packed_size);
	}
	append_buffer(file, page_size, cpus, at, packed_size + 8);
	free(packed);
	free(pages);
}

/* Somewhat more than a hundredth of the unpacked size, so that it is not a decompression bomb */
#define PROPORTIONATE	(200U << 10)

/* One more CPU, and all of them together would be too large */
static void large_chunks(struct dat_file *file)
{
	append_large_chunks(file, 15, 16 << 20, PROPORTIONATE);
}

/* A few bytes that unpack to the largest allowed size */
static void small_bomb(struct dat_file *file)
{
	append_large_chunks(file, 1, 15 << 20, 0);
}

static const struct {
	const char		*name;
	struct kind		kind;
	void			(*change)(struct dat_file *file);
	unsigned int		events;
	unsigned int		losses;
	bool			no_format;
} unusual[] = {
	{ "lost events with their number", V7, lost_with_number, 9, 1, false },
	{ "lost events at the start", V7, lost_at_the_start, 9, 1, false },
	{ "empty pages, one of 3 bytes", V7, empty_pages, 4, 0, false },
	{ "CPUs without data", V7, no_cpu_data, 1, 0, false },
	{ "CPUs without data, version 6", V6, no_cpu_data, 1, 0, false },
	{ "CPUs without data, compressed", ZSTD, no_cpu_data, 1, 0, false },
	{ "a long of 4 bytes", V7, long_of_4_bytes, 9, 0, false },
	{ "a long of 4 bytes, version 6", V6, long_of_4_bytes, 9, 0, false },
	{ "a recorder of 32 bits", V7, recorder_of_32_bits, 9, 0, false },
	{ "a recorder of 32 bits, version 6", V6, recorder_of_32_bits, 9, 0, false },
	{ "a number of CPUs of 2 bytes", V6, short_cpu_count, 9, 0, false },
	{ "pages of 128 KiB", V7, pages_of_128_kib, 9 + 6, 0, false },
	{ "16384 CPUs", V7, as_many_cpus_as_may_be, 9, 0, false },
	{ "a format of 2 MiB", V7, format_of_2_mib, 9, 0, true },
	{ "a buffer without CPUs", ZSTD, no_cpus, 1, 0, false },
	{ "no buffers", V7, no_buffers, 0, 0, false },
	{ "an unknown option, no formats", V7, no_formats, 9, 0, true },
	{ "a zero in a format", V7, zero_in_format, 9, 0, false },
	{ "two top buffers", V7, two_top_buffers, 4, 0, false },
	{ "chunks are counted", ZSTD, counted_chunks, 9, 0, false },
	{ "large chunks of 15 CPUs", ZSTD, large_chunks, DAT_EVENTS + 15 * 3, 0, false },
	{ "a few bytes become 15 MiB of a CPU", ZSTD, small_bomb, DAT_EVENTS + 3, 0, false },
	{ "a buffer that is not compressed", ZSTD, buffer_not_compressed, 7, 0, false },
	{ "unknown clock", V6, unknown_clock, 9, 0, false },
	{ "an option has more CPUs", V6, more_cpus_by_option, 9, 0, false },
	{ "latency file", V6, latency_6, 1, 0, false },
	{ "an instance of text", V6, text_instance_6, 8, 0, false },
};

static void test_unusual(void **state)
{
	for (size_t i = 0; i < sizeof(unusual) / sizeof(*unusual); i++) {
		struct outcome outcome;
		struct dat_file file;

		dat_file_build(&file, unusual[i].kind.version, unusual[i].kind.compression);
		unusual[i].change(&file);
		use_bytes(&file, file.size, &outcome);
		if (outcome.error || outcome.events != unusual[i].events ||
		    outcome.losses != unusual[i].losses || outcome.format == unusual[i].no_format)
			fail_msg("%s: error %d (%s), %u events, %u losses, format %d", unusual[i].name,
				 outcome.error, outcome.text, outcome.events, outcome.losses,
				 outcome.format);
		dat_file_release(&file);
	}
}

/* Damage other than a changed number; each function returns the place that the error has to name */

#define ANYWHERE SIZE_MAX

static size_t empty_file(struct dat_file *file)
{
	file->size = 0;
	return 0;
}

static size_t endless_version(struct dat_file *file)
{
	memset(file->data + file->version, '7', 600);
	return file->version;
}

static size_t endless_compression(struct dat_file *file)
{
	memset(file->data + file->compression, 'z', 600);
	return file->compression;
}

static size_t unknown_compression(struct dat_file *file)
{
	memcpy(file->data + file->compression, "lzma", 4);
	return file->compression;
}

/* The file ends within a section's header */
static size_t half_a_section_header(struct dat_file *file)
{
	file->size = file->more_options + 9;
	return file->more_options + 8;
}

static size_t link_elsewhere(struct dat_file *file)
{
	dat_set(file, file->link, file->event_formats, 8);
	return file->event_formats;
}

static size_t header_info_elsewhere(struct dat_file *file)
{
	dat_set(file, file->options + 16 + 6, file->event_formats, 8);
	return file->event_formats;
}

static size_t formats_elsewhere(struct dat_file *file)
{
	dat_set(file, file->options + 16 + 14 + 6, file->header_info, 8);
	return file->header_info;
}

static size_t buffer_elsewhere(struct dat_file *file)
{
	dat_set(file, file->buffer[0] + 6, file->options, 8);
	return file->options;
}

static size_t options_in_a_circle(struct dat_file *file)
{
	dat_set(file, file->done[1] + 6, file->options, 8);
	return ANYWHERE;
}

static size_t options_that_follow_themselves(struct dat_file *file)
{
	dat_set(file, file->done[1] + 6, file->more_options, 8);
	return file->more_options;
}

static size_t compressed_options(struct dat_file *file)
{
	size_t size = dat_get(file, file->more_options + 8, 8), at = file->size;
	void *packed;
	size_t packed_size = dat_compress(COMPRESSION_ZSTD, file->data + file->more_options + 16, size,
					  &packed);

	dat_append_number(file, 0, 2);
	dat_append_number(file, 1, 6);
	dat_append_number(file, packed_size + 8, 8);
	dat_append_number(file, packed_size, 4);
	dat_append_number(file, size, 4);
	dat_append(file, packed, packed_size);
	dat_set(file, file->done[0] + 6, at, 8);
	free(packed);
	return at;
}

/* Instead of TRACEID */
static size_t cpu_count_option(struct dat_file *file, uint32_t number)
{
	dat_set(file, file->trace_id, TRACE_DAT_CPUCOUNT, 2);
	dat_set(file, file->trace_id + 6, number, 4);
	return file->trace_id + 6;
}

static size_t no_cpus_by_option(struct dat_file *file)
{
	return cpu_count_option(file, 0);
}

static size_t cpus_by_option(struct dat_file *file)
{
	return cpu_count_option(file, UINT32_MAX);
}

static size_t buffer_without_end_of_name(struct dat_file *file)
{
	/* The option ends within the name of its clock */
	dat_set(file, file->buffer[0] + 2, 12, 4);
	dat_insert(file, file->buffer[0] + 6 + 12, "\0\0\10\0\0\0\0\0\0\0\0\0\0\0", 14);
	return file->buffer[0] + 6;
}

/* Both CPUs share the same data */
static size_t cpus_share_data(struct dat_file *file)
{
	for (int i = 0; i < 2; i++) {
		dat_set(file, file->cpu[i], 0, 8);
		dat_set(file, file->cpu[i] + 8, file->size / DAT_PAGE_SIZE * DAT_PAGE_SIZE, 8);
	}
	return 0;
}

/* Options take memory, and can be as small as 6 bytes */
static size_t too_many_options(struct dat_file *file)
{
	append_options(file, 4711, NULL, 0, (1 << 20) + 1);
	return ANYWHERE;
}

static size_t too_many_buffers(struct dat_file *file)
{
	/* Without CPUs the place of a buffer's section and its page size do not matter */
	append_options(file, TRACE_DAT_BUFFER, "\0\0\0\0\0\0\0\0x\0\0\0\0\0\0\0\0\0\0", 19, 1 << 8);
	return ANYWHERE;
}

/* The file has room for their table */
static size_t too_many_cpus_6(struct dat_file *file)
{
	dat_append(file, NULL, 1 << 20);
	dat_set(file, file->nr_cpus, (1 << 14) + 1, 4);
	return file->nr_cpus;
}

static size_t formats_cut_off(struct dat_file *file)
{
	/* The last format is a byte longer than the rest of the section */
	size_t at = file->event_formats + 16 + 4 + 4 + 4 + 8 + 31;

	dat_set(file, at, dat_get(file, at, 8) + 1, 8);
	return file->event_formats;
}

static size_t other_formats_cut_off(struct dat_file *file)
{
	/* Not the requested system */
	dat_set(file, file->event_formats + 16 + 4, 'x', 1);
	dat_set(file, file->event_formats + 16, 2, 4);
	return file->event_formats;
}

static size_t more_systems(struct dat_file *file)
{
	dat_set(file, file->event_formats + 16, UINT32_MAX, 4);
	return file->event_formats;
}

static size_t more_events(struct dat_file *file)
{
	dat_set(file, file->event_formats + 16 + 8, UINT32_MAX, 4);
	return file->event_formats;
}

/* The second page's second event */
#define EVENT(file) ((file)->pages[0] + DAT_PAGE_SIZE + 16 + 16)

static size_t event_longer_than_page(struct dat_file *file)
{
	dat_set(file, EVENT(file), 28, 4);
	return EVENT(file);
}

static size_t sized_event_of_nothing(struct dat_file *file)
{
	dat_set(file, EVENT(file), 0, 8);
	return EVENT(file);
}

static size_t sized_event_of_3_bytes(struct dat_file *file)
{
	dat_set(file, EVENT(file), 3ULL << 32, 8);
	return EVENT(file);
}

static size_t sized_event_of_4_gib(struct dat_file *file)
{
	dat_set(file, EVENT(file), 0xffffffffULL << 32, 8);
	return EVENT(file);
}

static size_t padding_longer_than_page(struct dat_file *file)
{
	dat_set(file, EVENT(file), 29 | 1 << 5, 4);
	dat_set(file, EVENT(file) + 4, UINT32_MAX, 4);
	return EVENT(file);
}

static size_t half_a_time_extend(struct dat_file *file)
{
	dat_set(file, file->pages[0] + DAT_PAGE_SIZE + 8, 16 + 4, 8);
	dat_set(file, EVENT(file), 30, 4);
	return EVENT(file);
}

static size_t commit_beyond_page(struct dat_file *file)
{
	dat_set(file, file->pages[0] + DAT_PAGE_SIZE + 8, DAT_PAGE_SIZE - 15, 8);
	return file->pages[0] + DAT_PAGE_SIZE;
}

static size_t half_a_page(struct dat_file *file)
{
	dat_set(file, file->cpu[0] + 8, DAT_PAGE_SIZE + DAT_PAGE_SIZE / 2, 8);
	return file->pages[0] + DAT_PAGE_SIZE;
}

/* Compressed data: the offset of the second chunk's two sizes */
static size_t second_chunk(const struct dat_file *file)
{
	return file->pages[0] + 4 + 8 + dat_get(file, file->pages[0] + 4, 4);
}

static size_t chunk_beyond_data(struct dat_file *file)
{
	dat_set(file, second_chunk(file), dat_get(file, second_chunk(file), 4) + 1, 4);
	return second_chunk(file);
}

static size_t chunk_cut_off(struct dat_file *file)
{
	dat_set(file, second_chunk(file), dat_get(file, second_chunk(file), 4) - 1, 4);
	return second_chunk(file);
}

static size_t chunk_is_larger(struct dat_file *file)
{
	dat_set(file, second_chunk(file) + 4, 2 * DAT_PAGE_SIZE, 4);
	return second_chunk(file);
}

static size_t chunk_is_smaller(struct dat_file *file)
{
	dat_set(file, second_chunk(file) + 4, 0, 4);
	return second_chunk(file);
}

static size_t chunk_of_part_of_a_page(struct dat_file *file)
{
	dat_set(file, second_chunk(file) + 4, DAT_PAGE_SIZE + 8, 4);
	return second_chunk(file);
}

static size_t chunk_of_4_gib(struct dat_file *file)
{
	dat_set(file, second_chunk(file) + 4, -DAT_PAGE_SIZE, 4);
	return second_chunk(file);
}

static size_t chunk_damaged(struct dat_file *file)
{
	dat_set(file, second_chunk(file) + 8, 0x55, 1);
	return second_chunk(file);
}

/* The second chunk follows, but is outside of the CPU's data */
static size_t chunk_outside(struct dat_file *file)
{
	size_t second = second_chunk(file);

	dat_set(file, file->cpu[0] + 8, second - file->pages[0] - 4, 8);
	return second;
}

static size_t chunk_missing(struct dat_file *file)
{
	dat_set(file, file->pages[0], 3, 4);
	return file->pages[0] + 4 + dat_get(file, file->cpu[0] + 8, 8);
}

static size_t page_in_chunk(struct dat_file *file)
{
	struct dat_file page = { 0 };
	size_t chunk = file->size;
	void *packed;
	size_t size;

	dat_append_number(&page, 1, 8);
	dat_append_number(&page, DAT_PAGE_SIZE, 8);
	dat_append(&page, NULL, DAT_PAGE_SIZE - 16);
	size = dat_compress(COMPRESSION_ZSTD, page.data, page.size, &packed);
	dat_set(file, file->cpu[0], chunk, 8);
	dat_set(file, file->cpu[0] + 8, 8 + size, 8);
	dat_append_number(file, 1, 4);
	dat_append_number(file, size, 4);
	dat_append_number(file, page.size, 4);
	dat_append(file, packed, size);
	free(packed);
	free(page.data);
	return chunk + 4;
}

static size_t section_damaged(struct dat_file *file)
{
	dat_set(file, file->event_formats + 16 + 8, 0x55, 1);
	return file->event_formats + 16 + 8;
}

static size_t section_claims_1_gib(struct dat_file *file)
{
	dat_set(file, file->event_formats + 16 + 4, 1 << 30, 4);
	return file->event_formats + 16 + 8;
}

/* Append a section whose few bytes unpack to many. They are zeroes, so that no number in them leads further. */
static size_t append_bomb(struct dat_file *file, int id, size_t size)
{
	size_t at = file->size, packed_size;
	void *zeroes = calloc(size, 1), *packed;

	assert_non_null(zeroes);
	packed_size = dat_compress(COMPRESSION_ZSTD, zeroes, size, &packed);
	dat_append_number(file, id, 2);
	dat_append_number(file, 1, 6);
	dat_append_number(file, packed_size + 8, 8);
	dat_append_number(file, packed_size, 4);
	dat_append_number(file, size, 4);
	dat_append(file, packed, packed_size);
	free(packed);
	free(zeroes);
	return at;
}

static size_t formats_bomb(struct dat_file *file)
{
	size_t at = append_bomb(file, TRACE_DAT_EVENT_FORMATS, 80 << 20);

	dat_set(file, file->options + 16 + 14 + 6, at, 8);
	return at + 16 + 8;
}

static size_t header_bomb(struct dat_file *file)
{
	size_t at = append_bomb(file, TRACE_DAT_HEADER_INFO, 80 << 20);

	dat_set(file, file->options + 16 + 6, at, 8);
	return at + 16 + 8;
}

/* Many options refer to the same section, which is large but not too large. Only one of them counts. */
static size_t many_headers_bomb(struct dat_file *file)
{
	size_t at = append_bomb(file, TRACE_DAT_HEADER_INFO, 15 << 20);

	dat_set(file, file->done[1] + 6, file->size, 8);
	dat_append_number(file, 0, 8);
	dat_append_number(file, 5000 * 14 + 14, 8);
	for (int i = 0; i < 5000; i++) {
		dat_append_number(file, TRACE_DAT_HEADER_INFO, 2);
		dat_append_number(file, 8, 4);
		dat_append_number(file, at, 8);
	}
	dat_append_number(file, TRACE_DAT_DONE, 2);
	dat_append_number(file, 8, 4);
	dat_append_number(file, 0, 8);
	return 0;
}

/* A chunk of 17 pages; 16 are allowed */
static size_t pages_bomb(struct dat_file *file)
{
	size_t bomb = append_bomb(file, 0, 17 * DAT_PAGE_SIZE), chunk = file->size;

	dat_set(file, file->cpu[0], chunk, 8);
	dat_set(file, file->cpu[0] + 8, chunk - bomb - 16, 8);
	dat_append_number(file, 1, 4);
	dat_append(file, NULL, chunk - bomb - 16);
	memcpy(file->data + chunk + 4, file->data + bomb + 16, chunk - bomb - 16);
	return chunk + 4;
}

/* Five pages are not too many, but five pages of 8 MiB are */
static size_t large_pages_bomb(struct dat_file *file)
{
	const uint32_t page_size = 8 << 20;
	size_t bomb = append_bomb(file, 0, 5 * page_size), chunk = file->size, size = chunk - bomb - 16;

	dat_append_number(file, 1, 4);
	dat_append(file, NULL, size);
	memcpy(file->data + chunk + 4, file->data + bomb + 16, size);
	append_buffer(file, page_size, 1, chunk, size);
	return chunk + 4;
}

/* 16,385 CPUs without data */
static size_t too_many_cpus(struct dat_file *file)
{
	return append_buffer(file, DAT_PAGE_SIZE, (1 << 14) + 1, 0, 0);
}

/* Too large for all CPUs of the file together */
static size_t chunks_of_256_mib(struct dat_file *file)
{
	append_large_chunks(file, 16, 16 << 20, PROPORTIONATE);
	return ANYWHERE;
}

/* Each chunk alone would be allowed */
static size_t chunks_of_few_bytes(struct dat_file *file)
{
	append_large_chunks(file, 2, 15 << 20, 0);
	return ANYWHERE;
}

/* The top buffer and 2001 instances share a table of 900 CPUs without data */
static size_t instances_share_a_table(struct dat_file *file)
{
	struct dat_file options = { 0 };
	int number = 2000, cpus = 900;

	for (int i = 0; i < 2; i++)
		dat_set(file, file->cpu[i] + 8, 0, 8);
	dat_insert(file, file->cpu[1] + 16, NULL, (cpus - 2) * 16);
	dat_set(file, file->buffer[1] + 6, file->section[0] + number * 16, 8);
	for (int i = 0; i < number; i++) {
		dat_append_number(&options, TRACE_DAT_BUFFER, 2);
		dat_append_number(&options, 10, 4);
		dat_append_number(&options, file->section[0] + number * 16, 8);
		dat_append(&options, "i", 2);
	}
	dat_insert(file, file->buffer[1], options.data, options.size);
	dat_set(file, file->nr_cpus, cpus, 4);
	free(options.data);
	return ANYWHERE;
}

#define BY(function) .damage = function
#define PUT(place, more, value, bytes) .field = offsetof(struct dat_file, place), .beyond = more, \
	.number = value, .size = bytes
#define NAMES(place, more) .named_field = offsetof(struct dat_file, place), .named_beyond = more
#define NOTHING 0

/*
 * Each case either writes a number, and the last two columns have the place that the error must name, or calls a
 * function that does the damage and returns that place.
 */
static const struct damage {
	const char	*name;
	struct kind	kind;
	int		error;
	const char	*says;
	size_t		(*damage)(struct dat_file *file);
	size_t		field, beyond;
	uint64_t	number;
	size_t		size;
	size_t		named_field, named_beyond;
} damages[] = {
	/* The head */
	{ "empty file", V7, -EBADMSG, "not a trace.dat file", BY(empty_file) },
	{ "other magic", V7, -EBADMSG, "not a trace.dat file", PUT(version, -10, 'x', 1) },
	{ "version 5", V6, -ENOTSUP, "version \"5\"", PUT(version, 0, '5', 1), NAMES(version, 0) },
	{ "version 8", V7, -ENOTSUP, "version \"8\"", PUT(version, 0, '8', 1), NAMES(version, 0) },
	{ "version 77", V7, -ENOTSUP, "version \"77\1",
	  PUT(version, 0, 0x013737, 3), NAMES(version, 0) },
	{ "endless version", V7, -EBADMSG, "unterminated", BY(endless_version) },
	{ "other byte order", V7, -ENOTSUP, "byte order", PUT(endian, 0, 1, 1), NAMES(endian, 0) },
	{ "a long of 5 bytes", V6, -EBADMSG, "long: 5 bytes",
	  PUT(long_size, 0, 5, 1), NAMES(long_size, 0) },
	{ "unknown compression", V7, -ENOTSUP, "\"lzma\"", BY(unknown_compression) },
	{ "endless compression", V7, -EBADMSG, "unterminated", BY(endless_compression) },

	/* Sections of options */
	{ "link beyond the file", V7, -EBADMSG, "the file ends before", PUT(link, 0, 1 << 30, 8) },
	{ "link to the end of all numbers", V7, -EBADMSG, "the file ends before",
	  PUT(link, 0, UINT64_MAX, 8) },
	{ "link elsewhere", V7, -EBADMSG, "section 18 where 0", BY(link_elsewhere) },
	{ "half a section header", V7, -EBADMSG, "the file ends before: it is truncated", BY(half_a_section_header) },
	{ "section beyond the file", V7, -EBADMSG, "does not fit",
	  PUT(options, 8, 1 << 20, 8), NAMES(options, 16) },
	{ "section of 2^64 bytes", V7, -EBADMSG, "does not fit",
	  PUT(options, 8, UINT64_MAX, 8), NAMES(options, 16) },
	{ "option longer than its section", V7, -EBADMSG, "does not fit",
	  PUT(trace_id, 2, 1 << 20, 4), NAMES(trace_id, 0) },
	{ "section ends within an option", V7, -EBADMSG, "does not fit",
	  PUT(options, 8, 5, 8), NAMES(options, 16) },
	{ "options without an end", V7, -EBADMSG, "does not fit", PUT(done[1], 0, 99, 2) },
	{ "options' end without a link", V7, -EBADMSG, "no link",
	  PUT(done[1], 2, 7, 4), NAMES(done[1], 0) },
	{ "options in a circle", V7, -EBADMSG, "loop", BY(options_in_a_circle) },
	{ "options that follow themselves", V7, -EBADMSG, "loop",
	  BY(options_that_follow_themselves) },
	{ "compressed options", ZSTD, -ENOTSUP, "compressed", BY(compressed_options) },
	{ "header info elsewhere", V7, -EBADMSG, "section 18 where 16",
	  BY(header_info_elsewhere) },
	{ "header info beyond the file", V7, -EBADMSG, "the file ends before",
	  PUT(options, 16 + 6, 1 << 20, 8) },

	/* Options of version 6 */
	{ "endless header_page", V6, -EBADMSG, "does not fit",
	  PUT(header_info, 12, UINT64_MAX, 8), NAMES(header_info, 20) },
	{ "more formats than bytes", V6, -EBADMSG, "does not fit",
	  PUT(event_formats, 8, 1 << 18, 4) },
	{ "more formats than any file has", V6, -EBADMSG, "more than 1048576 formats",
	  PUT(event_formats, 8, UINT32_MAX, 4) },
	{ "more systems than any file has", V6, -EBADMSG, "more than 1048576 systems",
	  PUT(event_formats, 0, UINT32_MAX, 4) },
	{ "more systems than bytes", V6, -EBADMSG, "", PUT(event_formats, 0, UINT32_MAX, 4) },
	{ "no CPUs", V6, -EBADMSG, "CPUs: 0", PUT(nr_cpus, 0, 0, 4), NAMES(nr_cpus, 0) },
	{ "4 Gi CPUs", V6, -EBADMSG, "CPUs: 4294967295",
	  PUT(nr_cpus, 0, UINT32_MAX, 4), NAMES(nr_cpus, 0) },
	{ "more CPUs than there are", V6, -EBADMSG, "before all of CPU", PUT(nr_cpus, 0, 30, 4) },
	{ "neither options nor data", V6, -EBADMSG, "neither",
	  PUT(nr_cpus, 4, 'x', 1), NAMES(nr_cpus, 4) },
	{ "data of another kind", V6, -EBADMSG, "neither",
	  PUT(section[0], 0, 'x', 1), NAMES(section[0], 0) },
	{ "long option", V6, -EBADMSG, "does not fit",
	  PUT(trace_id, 2, 1 << 20, 4), NAMES(trace_id, 6) },
	{ "no CPUs, says an option", V6, -EBADMSG, "CPUs: 0", BY(no_cpus_by_option) },
	{ "4 Gi CPUs, says an option", V6, -EBADMSG, "CPUs: 4294967295", BY(cpus_by_option) },
	{ "4 Gi CPUs, says an option", V7, -EBADMSG, "CPUs: 4294967295", BY(cpus_by_option) },
	{ "instance beyond the file", V6, -EBADMSG, "the file ends before",
	  PUT(buffer[1], 6, UINT64_MAX - 3, 8) },
	{ "pages of 0 bytes", V6, -EBADMSG, "page size: 0",
	  PUT(page_size, 0, 0, 4), NAMES(page_size, 0) },
	{ "short BUFFER, version 6", V6, -EBADMSG, "does not", PUT(buffer[1], 2, 7, 4) },
	{ "data beyond the file, version 6", V6, -EBADMSG, "before all of CPU 1",
	  PUT(cpu[1], 8, 4096, 8), NAMES(pages[1], 0) },

	/* BUFFER */
	{ "short BUFFER", V7, -EBADMSG, "too short", BY(buffer_without_end_of_name) },
	{ "buffer elsewhere", V7, -EBADMSG, "section 0 where 3", BY(buffer_elsewhere) },
	{ "buffer beyond the file", V7, -EBADMSG, "the file ends before", PUT(buffer[0], 6, 1 << 20, 8) },
	{ "buffer at the end of all numbers", V7, -EBADMSG, "the file ends before",
	  PUT(buffer[0], 6, UINT64_MAX, 8) },
	{ "more CPUs than entries", V7, -EBADMSG, "too short",
	  PUT(buffer[0], 6 + 8 + 9 + 4, 3, 4), NAMES(buffer[0], 6) },
	{ "2^32 CPUs", V7, -EBADMSG, "too short",
	  PUT(buffer[0], 6 + 8 + 9 + 4, UINT32_MAX, 4), NAMES(buffer[0], 6) },
	{ "pages of 0 bytes in a buffer", V7, -EBADMSG, "page size: 0",
	  PUT(buffer[0], 6 + 8 + 9, 0, 4), NAMES(buffer[0], 6) },
	{ "pages of 513 bytes", V7, -EBADMSG, "page size: 513",
	  PUT(buffer[0], 6 + 8 + 9, 513, 4), NAMES(buffer[0], 6) },
	{ "pages of 2 GiB", V7, -EBADMSG, "page size: 2147483648",
	  PUT(buffer[0], 6 + 8 + 9, 1U << 31, 4), NAMES(buffer[0], 6) },
	{ "data beyond the file", V7, -EBADMSG, "before all of CPU 1",
	  PUT(cpu[1], 8, 8192, 8), NAMES(pages[1], 0) },
	{ "data of 2^64 bytes", V7, -EBADMSG, "before all of CPU 1",
	  PUT(cpu[1], 8, UINT64_MAX - 100, 8), NAMES(pages[1], 0) },
	{ "data of a CPU that no machine has", V7, -EBADMSG, "CPU number: 16384",
	  PUT(cpu[1], -4, 16384, 4), NAMES(pages[1], 0) },
	{ "a CPU twice", V7, -EBADMSG, "CPU 0 is there twice", PUT(cpu[1], -4, 0, 4),
	  NAMES(pages[1], 0) },
	{ "CPUs share data", V7, -EBADMSG, "more data than the file", BY(cpus_share_data) },
	{ "CPUs share data, version 6", V6, -EBADMSG, "more data than the file",
	  BY(cpus_share_data) },
	{ "half a page", V7, -EBADMSG, "incomplete page", BY(half_a_page) },
	{ "half a page, version 6", V6, -EBADMSG, "incomplete page", BY(half_a_page) },

	/* Event formats */
	{ "formats elsewhere", V7, -EBADMSG, "section 16 where 18", BY(formats_elsewhere) },
	{ "formats beyond the file", V7, -EBADMSG, "the file ends before",
	  PUT(options, 16 + 14 + 6, 1 << 20, 8) },
	{ "formats cut off", V7, -EBADMSG, "cut off", BY(formats_cut_off) },
	/* The format is found before the end of the section */
	{ "4 Gi systems", V7, NOTHING, "", BY(more_systems) },
	{ "4 Gi events", V7, NOTHING, "", BY(more_events) },
	{ "other formats cut off", V7, -EBADMSG, "cut off", BY(other_formats_cut_off) },
	{ "damaged section", ZLIB, -EBADMSG, "decompressed", BY(section_damaged) },
	{ "damaged section, zstd", ZSTD, -EBADMSG, "decompressed", BY(section_damaged) },
	{ "section of 1 GiB", ZSTD, -EBADMSG, "section too large", BY(section_claims_1_gib) },

	/* Pages */
	{ "commit beyond the page", V7, -EBADMSG, "page of CPU 0", BY(commit_beyond_page) },
	{ "event longer than the page", V7, -EBADMSG, "event of CPU 0",
	  BY(event_longer_than_page) },
	{ "sized event of nothing", V7, -EBADMSG, "event of CPU 0", BY(sized_event_of_nothing) },
	{ "sized event of 3 bytes", V7, -EBADMSG, "event of CPU 0", BY(sized_event_of_3_bytes) },
	{ "sized event of 4 GiB", V6, -EBADMSG, "event of CPU 0", BY(sized_event_of_4_gib) },
	{ "padding longer than the page", V6, -EBADMSG, "event of CPU 0",
	  BY(padding_longer_than_page) },
	{ "half a time extend", V6, -EBADMSG, "event of CPU 0", BY(half_a_time_extend) },

	/* Compressed pages */
	{ "chunk beyond the data", ZSTD, -EBADMSG, "invalid chunk", BY(chunk_beyond_data) },
	{ "chunk cut off", ZLIB, -EBADMSG, "decompressed", BY(chunk_cut_off) },
	{ "chunk cut off, zstd", ZSTD, -EBADMSG, "decompressed", BY(chunk_cut_off) },
	{ "chunk is larger", ZLIB, -EBADMSG, "decompressed", BY(chunk_is_larger) },
	{ "chunk is larger, zstd", ZSTD, -EBADMSG, "decompressed", BY(chunk_is_larger) },
	{ "chunk is smaller", ZLIB, -EBADMSG, "decompressed", BY(chunk_is_smaller) },
	{ "chunk is smaller, zstd", ZSTD, -EBADMSG, "decompressed", BY(chunk_is_smaller) },
	{ "chunk of a part of a page", ZSTD, -EBADMSG, "invalid chunk", BY(chunk_of_part_of_a_page) },
	{ "chunk of 4 GiB", ZSTD, -EBADMSG, "invalid chunk", BY(chunk_of_4_gib) },
	{ "chunk damaged", ZLIB, -EBADMSG, "decompressed", BY(chunk_damaged) },
	{ "chunk damaged, zstd", ZSTD, -EBADMSG, "decompressed", BY(chunk_damaged) },
	{ "chunk outside of the data", ZSTD, -EBADMSG, "a chunk is missing", BY(chunk_outside) },
	{ "chunk missing", ZSTD, -EBADMSG, "a chunk", BY(chunk_missing) },
	{ "a few bytes become 80 MiB of formats", ZSTD, -EBADMSG, "section too large", BY(formats_bomb) },
	{ "a few bytes become 80 MiB of header", ZSTD, -EBADMSG, "section too large", BY(header_bomb) },
	{ "5000 times 15 MiB of header", ZSTD, NOTHING, "", BY(many_headers_bomb) },
	{ "CPUs want 256 MiB", ZSTD, -EBADMSG, "need more than 256 MiB", BY(chunks_of_256_mib) },
	{ "a few bytes become 30 MiB of CPUs", ZSTD, -EBADMSG, "expands to more than 16 MiB", BY(chunks_of_few_bytes) },
	{ "a few bytes become 17 pages", ZSTD, -EBADMSG, "invalid chunk", BY(pages_bomb) },
	{ "a few bytes become 5 pages of 8 MiB", ZSTD, -EBADMSG, "invalid chunk", BY(large_pages_bomb) },
	{ "a million options", V7, -EBADMSG, "more than", BY(too_many_options) },
	{ "258 buffers", V7, -EBADMSG, "more than 256 buffers", BY(too_many_buffers) },
	{ "16385 CPUs, version 6", V6, -EBADMSG, "CPUs: 16385", BY(too_many_cpus_6) },
	{ "16385 CPUs", V7, -EBADMSG, "CPUs: 16385", BY(too_many_cpus) },
	{ "instances share a table", V6, -EBADMSG, "more buffers than", BY(instances_share_a_table) },
	{ "page in a chunk", ZSTD, -EBADMSG, "page of CPU 0", BY(page_in_chunk) },
};

static bool names(const struct outcome *outcome, size_t place)
{
	unsigned long long named;

	return sscanf(outcome->text, "at offset %llx: ", &named) == 1 &&
		(place == ANYWHERE || named == place);
}

static void test_damaged(void **state)
{
	bool failed = false;

	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		const struct damage *damage = &damages[i];
		struct outcome outcome;
		struct dat_file file;
		size_t place;

		dat_file_build(&file, damage->kind.version, damage->kind.compression);
		if (damage->damage) {
			place = damage->damage(&file);
		} else {
			size_t at;

			memcpy(&at, (char *)&file + damage->field, sizeof(at));
			dat_set(&file, at + damage->beyond, damage->number, damage->size);
			place = ANYWHERE;
			if (damage->named_field) {
				memcpy(&place, (char *)&file + damage->named_field, sizeof(place));
				place += damage->named_beyond;
			}
		}
		use_bytes(&file, file.size, &outcome);
		if (outcome.error != damage->error ||
		    (damage->error && (!strstr(outcome.text, damage->says) || !names(&outcome, place)))) {
			print_error("%s: error %d, not %d; \"%s\" and not \"%s\" at %#zx\n", damage->name,
				    outcome.error, damage->error, outcome.text, damage->says, place);
			failed = true;
		}
		dat_file_release(&file);
	}
	assert_false(failed);
}

/* All truncations of each kind of file */
static void test_truncated(void **state)
{
	int fd = memory_file();

	for (size_t i = 0; i < NR_KINDS; i++) {
		struct dat_file file;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		put(fd, &file, file.size);
		for (size_t size = file.size; size--;) {
			struct outcome outcome;

			assert_int_equal(ftruncate(fd, size), 0);
			use(fd, &outcome);
			if (outcome.error != -EBADMSG || !names(&outcome, ANYWHERE))
				fail_msg("%zu of %zu bytes of version %d: error %d (%s)", size, file.size,
					 kinds[i].version, outcome.error, outcome.text);
		}
		dat_file_release(&file);
	}
	close(fd);
}

/* Change some bytes of a valid file: the result is success or a proper error */
static void use_damaged(int fd, const struct dat_file *file, size_t at, uint64_t number, size_t size,
			const char *what)
{
	struct outcome outcome;

	assert_int_equal(pwrite(fd, &number, size, at), size);
	use(fd, &outcome);
	assert_int_equal(pwrite(fd, file->data + at, size, at), size);
	if (outcome.error && (!names(&outcome, ANYWHERE) ||
			      (outcome.error != -EBADMSG && outcome.error != -ENOTSUP)))
		fail_msg("%s at %zu: error %d (%s)", what, at, outcome.error, outcome.text);
}

static void test_other_bytes(void **state)
{
	static const uint8_t others[] = { 0x00, 0x01, 0x80, 0xff };
	int fd = memory_file();

	for (size_t i = 0; i < NR_KINDS; i++) {
		struct dat_file file;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		put(fd, &file, file.size);
		for (size_t at = 0; at < file.size; at++) {
			for (size_t o = 0; o < sizeof(others); o++)
				use_damaged(fd, &file, at, others[o], 1, "another byte");
		}
		dat_file_release(&file);
	}
	close(fd);
}

/* Numbers everywhere that are slightly too large, much too large, or wrap around */
static void test_other_numbers(void **state)
{
	static const uint64_t others[] = {
		0x7fffffff, 0xfffffff0, 1ULL << 63, UINT64_MAX - 16,
	};
	int fd = memory_file();

	for (size_t i = 0; i < NR_KINDS; i++) {
		struct dat_file file;

		dat_file_build(&file, kinds[i].version, kinds[i].compression);
		put(fd, &file, file.size);
		for (size_t at = 0; at + 8 <= file.size; at++) {
			for (size_t o = 0; o < sizeof(others) / sizeof(*others); o++)
				use_damaged(fd, &file, at, others[o], others[o] >> 32 ? 8 : 4,
					    "another number");
		}
		dat_file_release(&file);
	}
	close(fd);
}

static void load(struct dat_file *file, const char *name)
{
	char path[512];
	struct stat stat;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", getenv("TEST_DATA"), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &stat), 0);
	*file = (struct dat_file) { 0 };
	dat_append(file, NULL, stat.st_size);
	assert_int_equal(read(fd, file->data, file->size), file->size);
	close(fd);
}

/* Real recordings with changed bytes */
static void test_damaged_recordings(void **state)
{
	static const char *const recordings[] = { "agent-still/guest.dat", "agent-moved/host.dat" };
	int fd = memory_file();
	uint64_t seed = 5;

	if (!getenv("TEST_DATA"))
		skip();
	for (size_t i = 0; i < sizeof(recordings) / sizeof(*recordings); i++) {
		struct outcome outcome;
		struct dat_file file;

		load(&file, recordings[i]);
		put(fd, &file, file.size);
		use(fd, &outcome);
		assert_int_equal(outcome.error, 0);
		assert_true(outcome.events > 1000);
		for (int round = 0; round < 200; round++) {
			/* The header and the options are near the ends of the file; the area of kallsyms is not read */
			size_t span = round & 1 ? file.size : 4096, at = prng_range(&seed, 0, span - 8);

			if (round & 2)
				at = file.size - 8 - at;
			use_damaged(fd, &file, at, prng_any(&seed), 1 << prng_range(&seed, 0, 3),
				    recordings[i]);
		}
		for (int round = 0; round < 50; round++) {
			size_t size = prng_range(&seed, 0, file.size - 1);

			put(fd, &file, size);
			use(fd, &outcome);
			if (outcome.error != -EBADMSG || !names(&outcome, ANYWHERE))
				fail_msg("%s, %zu bytes: error %d (%s)", recordings[i], size, outcome.error,
					 outcome.text);
		}
		dat_file_release(&file);
	}
	close(fd);
}

static void test_no_file(void **state)
{
	char directory[] = "/tmp/test_trace_dat.XXXXXX", path[64], line[128];
	struct trace_dat dat;

	assert_int_equal(trace_dat_open(&dat, "/nonexistent/trace.dat", &error), -ENOENT);
	assert_string_equal(error_line(&error, line, sizeof(line)), "/nonexistent/trace.dat: No such file or directory");
	trace_dat_close(&dat);

	assert_non_null(mkdtemp(directory));
	assert_int_equal(trace_dat_open(&dat, directory, &error), -EINVAL);
	assert_string_equal(error.text, "not a regular file");
	trace_dat_close(&dat);

	/* No program writes into the pipe: opening it must not block */
	snprintf(path, sizeof(path), "%s/pipe", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(trace_dat_open(&dat, path, &error), -EINVAL);
	assert_string_equal(error.text, "not a regular file");
	trace_dat_close(&dat);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_equal_times),
		cmocka_unit_test(test_lost_since),
		cmocka_unit_test(test_end_after_error),
		cmocka_unit_test(test_last_page),
		cmocka_unit_test(test_empty_cpu),
		cmocka_unit_test(test_shorter_meanwhile),
		cmocka_unit_test(test_clock_texts),
		cmocka_unit_test(test_last_option_counts),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_unusual),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_other_bytes),
		cmocka_unit_test(test_other_numbers),
		cmocka_unit_test(test_damaged_recordings),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
