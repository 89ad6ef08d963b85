// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Events with random formats, chosen by a number in the input, and records of any bytes. Texts are read only from the
 * record, and their lengths are limited. libtraceevent's parser survives these formats; this is not tested here,
 * because parsing is not done in a child. Each set of formats is kept, because parsing takes most of the time.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "cursor.h"
#include "event_texts.h"
#include "format_parse.h"
#include "format_text.h"
#include "format_trial.h"
#include "prng.h"
#include "ring_page.h"
#include "trace_dat.h"

#define NR_SETS		2048
#define SET_BYTES	1024
#define MAX_FORMATS	2
#define MAX_FIELDS	5
#define FORMAT_SIZE	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A part of a file, which begins with its size or number */
struct part {
	uint8_t	bytes[4 * FORMAT_SIZE];
	size_t	size;
};

static struct part parts[TRACE_DAT_NR_PARTS];

/* The file consists only of these parts */
int trace_dat_part(struct trace_dat *dat, enum trace_dat_option_id id, uint8_t **bytes, size_t *size)
{
	const struct part *part = &parts[id - TRACE_DAT_FTRACE_FORMATS];

	*size = part->size;
	*bytes = malloc(part->size + 1);
	memcpy(*bytes, part->bytes, part->size);
	(*bytes)[part->size] = '\0';
	return 0;
}

uint64_t trace_dat_part_offset(const struct trace_dat *dat, enum trace_dat_option_id id)
{
	return 0;
}

int trace_dat_fail(struct trace_dat *dat, int error, uint64_t offset, const char *format, ...)
{
	return error;
}

int trace_dat_refuse(struct trace_dat *dat, int error, const char *format, ...)
{
	return error;
}

/* There is no child: another handle parses first what the child would parse */
int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal)
{
	*nr_fatal = 0;
	for (size_t i = 0; i < nr; i++) {
		struct tep_handle *other = tep_alloc();

		tep_set_long_size(other, tep_get_long_size(tep));
		formats[i].way = format_parse_way(other, &formats[i]);
		tep_free(other);
		format_parse(tep, &formats[i]);
	}
	return 0;
}

static uint8_t take(struct cursor *input)
{
	uint8_t byte = 0;

	cursor_take(input, &byte, sizeof(byte));
	return byte;
}

static void add(struct part *part, const void *bytes, size_t size)
{
	if (size > sizeof(part->bytes) - part->size)
		size = sizeof(part->bytes) - part->size;
	memcpy(part->bytes + part->size, bytes, size);
	part->size += size;
}

__attribute__((format(printf, 3, 4)))
static void print(char *text, size_t *used, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text + *used, FORMAT_SIZE - *used, format, args);
	va_end(args);
	*used = *used + (size_t)length < FORMAT_SIZE ? *used + (size_t)length : FORMAT_SIZE - 1;
}

static void add_fields(char *text, size_t *used, struct cursor *input, size_t nr)
{
	static const char *const types[] = {
		"u32 f%zu", "unsigned long f%zu", "char f%zu[8]", "__data_loc char[] f%zu", "int f%zu[4]",
		"const char * f%zu", "__rel_loc char[] f%zu", "u8 f%zu", "unsigned char f%zu[16]", "u64 f%zu[]",
		"__data_loc unsigned long[] f%zu", "s64 f%zu",
	};
	static const int sizes[] = { 0, 1, 2, 3, 4, 6, 8, 16, 20, 28, 32, 64, 4096, 4294967 };

	for (size_t i = 0; i < nr; i++) {
		print(text, used, "\tfield:");
		print(text, used, types[take(input) % (sizeof(types) / sizeof(*types))], i);
		print(text, used, ";\toffset:%u;\tsize:%d;\tsigned:%u;\n", take(input),
		      sizes[take(input) % (sizeof(sizes) / sizeof(*sizes))], take(input) % 2);
	}
}

/* A value of a field, which may not exist */
static void add_argument(char *text, size_t *used, struct cursor *input, size_t nr, int depth)
{
	size_t field = take(input) % (nr + 1), other = take(input) % (nr + 1);
	/* libtraceevent does not check that the field exists whose names it prints */
	size_t named = nr ? field % nr : 0;

	switch (depth < 4 ? take(input) % 22 : take(input) % 2) {
	case 0:
		print(text, used, "REC->f%zu", field);
		return;
	case 1:
		print(text, used, "%u", take(input));
		return;
	case 2:
		print(text, used, "__get_str(f%zu)", field);
		return;
	case 3:
		print(text, used, "__get_bitmask(f%zu)", field);
		return;
	case 4:
	case 5:
		if (nr)
			print(text, used, "__print_%s{ 1, \"one\" }, { %u, \"other\" })",
			      take(input) % 2 ? "symbolic(REC->f0, " : "flags(REC->f0, \"|\", ", take(input));
		else
			print(text, used, "0");
		return;
	case 6:
		print(text, used, "__print_hex(REC->f%zu, REC->f%zu)", field, other);
		return;
	case 7:
		print(text, used, "__print_array(REC->f%zu, REC->f%zu, %u)", field, other, 1 << take(input) % 4);
		return;
	case 8:
		/* An operand of "?:" needs parentheses */
		print(text, used, "(REC->f%zu[%u])", field, take(input));
		return;
	case 9:
		print(text, used, "REC->f%zu / %u", field, take(input) % 3);
		return;
	case 10:
		print(text, used, "REC->f%zu %% REC->f%zu", field, other);
		return;
	case 11:
		print(text, used, "__get_dynamic_array_len(f%zu)", named);
		return;
	case 12:
		print(text, used, "(unsigned long)((_stext) + REC->f%zu)", field);
		return;
	case 13:
		print(text, used, "\"text\"");
		return;
	case 14:
		print(text, used, "word%zu", field);
		return;
	default:
		break;
	}
	switch (take(input) % 4) {
	case 0:
		print(text, used, "(REC->f%zu ? ", field);
		add_argument(text, used, input, nr, depth + 1);
		print(text, used, " : ");
		add_argument(text, used, input, nr, depth + 1);
		print(text, used, ")");
		break;
	case 1:
		print(text, used, "(u%u)(", 8 << take(input) % 4);
		add_argument(text, used, input, nr, depth + 1);
		print(text, used, ")");
		break;
	case 2:
		print(text, used, "(REC->f%zu %c (", field, "+-*&|<>"[take(input) % 7]);
		add_argument(text, used, input, nr, depth + 1);
		print(text, used, "))");
		break;
	default:
		print(text, used, "%c(", "~!-+"[take(input) % 4]);
		add_argument(text, used, input, nr, depth + 1);
		print(text, used, ")");
	}
}

static void add_conversions(char *text, size_t *used, struct cursor *input, size_t nr)
{
	static const char *const conversions[] = {
		"%d", "%s", "%llx", "%ps", "%pS", "%p", "%*d", "%-16s", "%.3s", "%999d",
		"%pI4", "%pI6c", "%pISpc", "%pM", "%pU", "%phC", "%lu", "%hhd", "%%", "%08lx",
		"%*s", "%c", "%1000d", "%pMF", "%zu", "%20ph", "0x%llx", "%.*s",
	};

	for (size_t i = 0; i < nr; i++)
		print(text, used, "%s ", conversions[take(input) % (sizeof(conversions) / sizeof(*conversions))]);
}

static void add_format(struct part *part, struct cursor *input, size_t number)
{
	static const char *const names[] = { "any", "bprint", "print", "sched_switch" };
	size_t nr = take(input) % MAX_FIELDS, used = 0, arguments = take(input) % 6;
	char text[FORMAT_SIZE];
	uint64_t size;

	print(text, &used, "name: %s\nID: %zu\nformat:\n", names[take(input) % 4], number);
	print(text, &used, "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	      "\tfield:int common_pid;\toffset:%u;\tsize:4;\tsigned:1;\n\n", take(input) % 8 ? 4 : take(input));
	/* The fields of bprint and of sched_switch have fixed names */
	if (take(input) % 2)
		print(text, &used, "\tfield:unsigned long ip;\toffset:%u;\tsize:8;\tsigned:0;\n"
		      "\tfield:const char * fmt;\toffset:%u;\tsize:8;\tsigned:0;\n"
		      "\tfield:u32 buf[];\toffset:%u;\tsize:0;\tsigned:0;\n", take(input), take(input), take(input));
	if (take(input) % 4 == 1)
		print(text, &used, "\tfield:char next_comm[16];\toffset:%u;\tsize:16;\tsigned:0;\n"
		      "\tfield:pid_t next_pid;\toffset:%u;\tsize:4;\tsigned:1;\n", take(input), take(input));
	add_fields(text, &used, input, nr);
	print(text, &used, "\nprint fmt: \"");
	add_conversions(text, &used, input, arguments);
	print(text, &used, "\"");
	for (size_t i = 0; i < arguments; i++) {
		print(text, &used, ", ");
		add_argument(text, &used, input, nr, 0);
	}
	print(text, &used, "\n");
	size = used;
	add(part, &size, sizeof(size));
	add(part, text, used);
}

/* Write a part: a size of @width bytes, and a text from the input after the prefix */
static void add_text(struct part *part, struct cursor *input, size_t width, const char *before)
{
	uint64_t length = take(input), size = strlen(before) + (length < input->left ? length : input->left);

	part->size = 0;
	add(part, &size, width);
	add(part, before, strlen(before));
	add(part, input->at, size - strlen(before));
	cursor_skip(input, size - strlen(before));
}

static void make_parts(struct cursor *input)
{
	const uint32_t nr = MAX_FORMATS, systems = 1;

	parts[0].size = parts[1].size = 0;
	add(&parts[0], &nr, sizeof(nr));
	add(&parts[1], &systems, sizeof(systems));
	add(&parts[1], "sched", sizeof("sched"));
	add(&parts[1], &nr, sizeof(nr));
	for (uint32_t i = 0; i < 2 * nr; i++)
		add_format(&parts[i / nr], input, i);
	add_text(&parts[TRACE_DAT_KALLSYMS - TRACE_DAT_FTRACE_FORMATS], input, 4,
		 "ffffffff81000000 T _stext\n0000000000000010 t ten\n0000000000000020 t twenty\t[module]\n");
	add_text(&parts[TRACE_DAT_PRINTK - TRACE_DAT_FTRACE_FORMATS], input, 4,
		 "0x0 : \"no %d %s %p\\n\"\n0x1 : \"%ps: one %lld %s\"\n");
	add_text(&parts[TRACE_DAT_CMDLINES - TRACE_DAT_FTRACE_FORMATS], input, 8, "0 idle\n5 five\n");
}

/* The texts can be read, and have a reasonable length */
static void check(const struct event_text *text)
{
	static volatile size_t length;

	length = strlen(text->system) + strlen(text->name) + strlen(text->comm);
	length = strlen(text->text);
	if (length > 256 << 10)
		abort();
}

static void read_record(struct event_texts *texts, struct cursor *input)
{
	size_t length = take(input), number = take(input) % (2 * MAX_FORMATS + 1);
	struct ring_event event = { .ts = 1 };
	struct event_text text;
	uint8_t *copy;

	if (length > input->left)
		length = input->left;
	copy = malloc(length + 2);
	copy[0] = (uint8_t)number;
	copy[1] = 0;
	memcpy(copy + 2, input->at, length);
	cursor_skip(input, length);
	event.data = copy;
	event.size = length + 2;
	if (!event_texts_read(texts, &event, 0, &text))
		check(&text);
	free(copy);
}

/* The formats with a number, and names of functions and threads */
static struct event_texts *open_set(size_t number)
{
	static struct event_texts *sets[NR_SETS];
	struct trace_dat dat = { .long_size = number % 4 ? 8 : 4, .page_size = 4096 };
	uint64_t seed = number + 1;
	uint8_t bytes[SET_BYTES];
	struct cursor input = { bytes, sizeof(bytes) };

	if (sets[number])
		return sets[number];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(prng(&seed) >> 8);
	make_parts(&input);
	sets[number] = malloc(sizeof(*sets[number]));
	if (event_texts_open(sets[number], &dat))
		abort();
	return sets[number];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor input = { data, size };
	struct event_texts *texts = open_set((take(&input) | take(&input) << 8) % NR_SETS);

	texts->steps = 0;
	for (size_t i = 0; i < 8 && input.left; i++)
		read_record(texts, &input);
	return 0;
}
