// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "cleanup.h"
#include "cursor.h"
#include "event_ids.h"
#include "event_texts.h"
#include "print_fmt_check.h"
#include "trace_dat.h"

/* Zeros after a record, which end a string that the library reads there */
#define PADDING		64
/* No record is longer, whatever its format says */
#define MAX_RECORD	(1UL << 20)
/* How much shorter than its format a record may be, such as those of short stacks */
#define MAX_MISSING	(4UL << 10)
/* Limit of a line: a record of 64 KiB may have four characters for each byte */
#define MAX_LINE	(256UL << 10)

/* More than any kernel has: names of at most 32768 threads, of 15 bytes, and some hundred formats */
#define MAX_COMMS	(1U << 18)
#define MAX_COMM_LINE	256
#define MAX_PRINTK	(1U << 16)
#define MAX_PRINTK_LINE	1024
#define MAX_CONVERSIONS	64
#define MAX_WIDTH	4096
/* The kernel's form has a quote at the end, and the library reads two bytes further back */
#define MIN_PRINTK	4

/*
 * Limit of steps for texts: each is a field, an operation or a name to compare, or some bytes of a line, and takes 10
 * to 50 ns. Events of real kernels need one to four for each byte of their records.
 */
#define STEPS_FOR_ALL	(1ULL << 25)
#define STEPS_PER_BYTE	8
#define BYTES_PER_STEP	8

/* A text after its size, which has 64 bits if @wide, else 32 */
static char *take_text(struct cursor *cursor, bool wide)
{
	uint64_t size = 0;
	const char *text;

	if (!cursor_take(cursor, &size, wide ? sizeof(uint64_t) : sizeof(uint32_t)))
		return NULL;
	text = (const char *)cursor->at;
	return cursor_skip(cursor, size) ? strndup(text, size) : NULL;
}

/*
 * "0xffffffff82009d12 : "FORMAT"": the format that the library finds at an address. A format that must not be used is
 * left unknown.
 */
static void take_printk(struct event_texts *texts, const char *line)
{
	const char *format = strchr(line, ':');
	struct print_text text;

	if (!format || format[1] != ' ' || format[2] != '"' || strlen(format) > MAX_PRINTK_LINE ||
	    strlen(format + 3) < MIN_PRINTK)
		return;
	text = print_fmt_check_text(format);
	if (!text.bound || text.width > MAX_WIDTH || text.conversions > MAX_CONVERSIONS)
		return;
	if (text.conversions > texts->conversions)
		texts->conversions = text.conversions;
	tep_parse_printk_formats(texts->tep, line);
}

static void take_comm(struct event_texts *texts, const char *line)
{
	if (strlen(line) <= MAX_COMM_LINE)
		tep_parse_saved_cmdlines(texts->tep, line);
}

/* Returns: 0, or -E2BIG for more than @max lines */
static int take_lines(struct event_texts *texts, char *text, size_t max,
		      void (*take)(struct event_texts *, const char *))
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (!max--)
			return -E2BIG;
		take(texts, line);
	}
	return 0;
}

static int take_part(struct event_texts *texts, enum trace_dat_option_id id, struct cursor *cursor)
{
	_cleanup_(freep) char *text = take_text(cursor, id == TRACE_DAT_CMDLINES);

	if (!text)
		return -EBADMSG;
	if (id == TRACE_DAT_KALLSYMS) {
		char *symbols = text;

		text = NULL;
		return kernel_symbols_take(&texts->symbols, texts->tep, symbols);
	}
	return id == TRACE_DAT_PRINTK ? take_lines(texts, text, MAX_PRINTK, take_printk) :
		take_lines(texts, text, MAX_COMMS, take_comm);
}

static int read_part(struct event_texts *texts, struct trace_dat *dat, enum trace_dat_option_id id)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct cursor cursor;
	int ret;

	ret = trace_dat_part(dat, id, &bytes, &cursor.left);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	cursor.at = bytes;
	ret = take_part(texts, id, &cursor);
	if (ret == -E2BIG)
		return trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id), "more %s than any kernel has",
				      id == TRACE_DAT_KALLSYMS ? "symbols" :
				      id == TRACE_DAT_PRINTK ? "formats of trace_printk()" : "names of threads");
	return ret ? trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id),
				    "the texts of events are cut off") : 0;
}

static void find_common(struct event_texts *texts)
{
	struct tep_event *first = tep_get_event(texts->tep, 0);

	texts->type = first ? tep_find_common_field(first, "common_type") : NULL;
	texts->pid = first ? tep_find_common_field(first, "common_pid") : NULL;
}

/**
 * event_texts_open - read a file's formats and names
 * @texts: result; must be closed in any case
 * @dat: the open file; not needed afterwards
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int event_texts_open(struct event_texts *texts, struct trace_dat *dat)
{
	int ret;

	*texts = (struct event_texts) { .tep = tep_alloc(), .allowed = STEPS_FOR_ALL };
	trace_seq_init(&texts->line);
	if (!texts->tep)
		return trace_dat_refuse(dat, -ENOMEM, "no memory");
	tep_set_loglevel(TEP_LOG_NONE);
	tep_set_long_size(texts->tep, dat->long_size);
	tep_set_page_size(texts->tep, dat->page_size);
	tep_set_file_bigendian(texts->tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(texts->tep, TEP_LITTLE_ENDIAN);
	ret = event_formats_read(&texts->formats, texts->tep, dat);
	for (int id = TRACE_DAT_KALLSYMS; id <= TRACE_DAT_CMDLINES && !ret; id++)
		ret = read_part(texts, dat, id);
	find_common(texts);
	return ret;
}

static bool fits(const struct tep_format_field *field, size_t size)
{
	return field->offset >= 0 && field->size >= 0 && (size_t)field->offset + (size_t)field->size <= size;
}

/* __data_loc and __rel_loc: two 16-bit numbers, the place of the data and its size */
static bool dynamic_fits(const struct tep_format_field *field, const struct ring_event *event)
{
	const uint8_t *at = event->data + field->offset;
	size_t offset, size;

	/* An array without a number of elements is the rest of the record */
	if (field->size < 4)
		return !field->size;
	offset = at[0] | at[1] << 8;
	size = at[2] | at[3] << 8;
	if (field->flags & TEP_FIELD_IS_RELATIVE)
		offset += field->offset + field->size;
	return offset + size <= event->size;
}

static bool all_fit(const struct tep_format_field *field, const struct ring_event *event)
{
	for (; field && fits(field, event->size); field = field->next)
		;
	return !field;
}

/* The fields that the library reads in every record, whatever the record's own format */
static bool common_fits(const struct event_texts *texts, const struct ring_event *event)
{
	return texts->type && texts->pid && fits(texts->type, event->size) && fits(texts->pid, event->size);
}

/*
 * Some records are shorter than their formats, such as those of short stacks: missing fields read as zeros. The target
 * of a pointer in a record must exist.
 *
 * Returns: size of the format's fields in bytes, 0 if the record does not fit it.
 */
static size_t extent(const struct tep_format_field *field, const struct ring_event *event)
{
	size_t extent = event->size;

	for (; field; field = field->next) {
		if (!fits(field, event->size + MAX_MISSING) ||
		    (field->flags & TEP_FIELD_IS_DYNAMIC &&
		     (!fits(field, event->size) || !dynamic_fits(field, event))))
			return 0;
		if ((size_t)field->offset + field->size > extent)
			extent = field->offset + field->size;
	}
	return extent;
}

static int copy_record(struct event_texts *texts, const struct ring_event *event, size_t extent)
{
	if (extent + PADDING > texts->capacity) {
		free(texts->record);
		texts->capacity = 2 * (extent + PADDING);
		texts->record = malloc(texts->capacity);
		if (!texts->record) {
			texts->capacity = 0;
			return -ENOMEM;
		}
	}
	memcpy(texts->record, event->data, event->size);
	memset(texts->record + event->size, 0, extent + PADDING - event->size);
	return 0;
}

/* A file decides how much longer its texts are than its records, but only within bounds */
static bool may_print(struct event_texts *texts, const struct print_fmt_check *bounds, size_t size)
{
	size_t length = bounds->length + 4 * size * bounds->copies;

	texts->allowed += STEPS_PER_BYTE * size;
	return length <= MAX_LINE && texts->steps <= texts->allowed;
}

static void count_steps(struct event_texts *texts, const struct tep_event *format)
{
	texts->steps += event_formats_bounds(format)->steps + texts->line.len / BYTES_PER_STEP;
	if (format->flags & TEP_EVENT_FL_ISBPRINT)
		texts->steps += texts->conversions;
}

/* Fields begin with a blank; some formats end with one or with a newline */
static const char *without_blanks(struct trace_seq *line)
{
	trace_seq_terminate(line);
	while (line->len && isspace((unsigned char)line->buffer[line->len - 1]))
		line->buffer[--line->len] = '\0';
	return line->buffer + strspn(line->buffer, " ");
}

/**
 * event_texts_read - get the text of an event
 * @texts: texts of its file
 * @event: its record
 * @cpu: the CPU that recorded it
 * @result: the text
 *
 * An event without a format, or one that does not fit its format, has a name but no text.
 *
 * Returns: 0 or -ENOMEM.
 */
int event_texts_read(struct event_texts *texts, const struct ring_event *event, unsigned int cpu,
		     struct event_text *result)
{
	struct tep_event *format = tep_find_event(texts->tep, ring_event_id(event));
	struct tep_record record = { .ts = event->ts, .size = (int)event->size, .cpu = (int)cpu };
	size_t size;

	*result = (struct event_text) { .system = "unknown", .name = "unknown", .pid = -1, .comm = "", .text = "" };
	if (!format || event->size > MAX_RECORD)
		return 0;
	result->system = format->system;
	result->name = format->name;
	if (!all_fit(format->format.common_fields, event) || !common_fits(texts, event))
		return 0;
	size = extent(format->format.fields, event);
	if (copy_record(texts, event, size ? size : event->size))
		return -ENOMEM;
	record.data = texts->record;
	/* It would be printed with the format of another event, for which the record was not checked */
	if (tep_data_type(texts->tep, &record) != format->id)
		return 0;
	result->pid = tep_data_pid(texts->tep, &record);
	if (size && !may_print(texts, event_formats_bounds(format), size)) {
		texts->nr_untold++;
	} else if (size) {
		/* If a format takes the rest of a record, a record that ends before it has none */
		record.size = (int)size;
		trace_seq_reset(&texts->line);
		tep_print_event(texts->tep, &texts->line, &record, "%s", TEP_PRINT_INFO);
		count_steps(texts, format);
		/* A buffer is unusable after it found no memory */
		if (texts->line.state != TRACE_SEQ__GOOD)
			return -ENOMEM;
		result->text = without_blanks(&texts->line);
	}
	result->comm = tep_data_comm_from_pid(texts->tep, result->pid);
	return 0;
}

/**
 * event_texts_close - free the texts
 * @texts: the texts, also after a failed open
 */
void event_texts_close(struct event_texts *texts)
{
	if (texts->tep)
		tep_free(texts->tep);
	if (texts->line.buffer)
		trace_seq_destroy(&texts->line);
	event_formats_release(&texts->formats);
	kernel_symbols_release(&texts->symbols);
	free(texts->record);
	*texts = (struct event_texts) { 0 };
}
