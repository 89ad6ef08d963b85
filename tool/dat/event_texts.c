// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "cleanup.h"
#include "cursor.h"
#include "event.h"
#include "event_ids.h"
#include "event_texts.h"
#include "print_bounds.h"
#include "trace_dat.h"

/* Behind a record: what the library reads as a string ends there */
#define PADDING		64
/* No record is longer, whatever a format says */
#define MAX_RECORD	(1UL << 20)
/* A format is a few KiB of text */
#define MAX_FORMAT	(1UL << 20)

static int take_formats(struct event_texts *texts, struct cursor *cursor, const char *system)
{
	uint32_t nr;

	if (!cursor_take(cursor, &nr, sizeof(nr)))
		return -EBADMSG;
	for (; nr; nr--) {
		_cleanup_(freep) char *text = NULL;
		const char *format;
		uint64_t size;

		if (!cursor_take(cursor, &size, sizeof(size)))
			return -EBADMSG;
		format = (const char *)cursor->at;
		if (!cursor_skip(cursor, size))
			return -EBADMSG;
		if (size > MAX_FORMAT)
			continue;
		text = strndup(format, size);
		if (!text)
			return -ENOMEM;
		/* Of what it cannot parse the library prints the fields */
		tep_parse_event(texts->tep, text, strlen(text), system);
	}
	return 0;
}

static int take_systems(struct event_texts *texts, struct cursor *cursor)
{
	uint32_t nr;
	int ret = 0;

	if (!cursor_take(cursor, &nr, sizeof(nr)))
		return -EBADMSG;
	for (; nr && !ret; nr--) {
		const char *system = cursor_take_string(cursor);

		ret = system ? take_formats(texts, cursor, system) : -EBADMSG;
	}
	return ret;
}

/* A text with its size before it, which has so many bits */
static char *take_text(struct cursor *cursor, bool wide)
{
	uint64_t size = 0;
	const char *text;

	if (!cursor_take(cursor, &size, wide ? sizeof(uint64_t) : sizeof(uint32_t)))
		return NULL;
	text = (const char *)cursor->at;
	return cursor_skip(cursor, size) ? strndup(text, size) : NULL;
}

/* What trace_printk() printed by, a line for each */
static void take_printk(struct event_texts *texts, char *text)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* "ADDRESS : "FORMAT"": the address has many digits */
		const char *format = strchr(line, ':');

		if (format && print_bounds_text(format))
			tep_parse_printk_formats(texts->tep, line);
	}
}

static int take_part(struct event_texts *texts, enum trace_dat_option_id id, struct cursor *cursor)
{
	_cleanup_(freep) char *text = NULL;

	if (id == TRACE_DAT_FTRACE_FORMATS)
		return take_formats(texts, cursor, "ftrace");
	if (id == TRACE_DAT_EVENT_FORMATS)
		return take_systems(texts, cursor);
	text = take_text(cursor, id == TRACE_DAT_CMDLINES);
	if (!text)
		return -EBADMSG;
	/* Names that cannot be parsed are not known */
	if (id == TRACE_DAT_KALLSYMS)
		tep_parse_kallsyms(texts->tep, text);
	else if (id == TRACE_DAT_PRINTK)
		take_printk(texts, text);
	else
		tep_parse_saved_cmdlines(texts->tep, text);
	return 0;
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
	return ret ? trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id),
				    "a part that tells of events is cut off") : 0;
}

/* Of what cannot be printed safely as its format wants it the library prints the fields */
static void bound_events(struct event_texts *texts)
{
	struct tep_event *event;

	for (int i = 0; (event = tep_get_event(texts->tep, i)); i++) {
		if (!print_bounds_event(event))
			event->flags |= TEP_EVENT_FL_PRINTRAW;
	}
}

static void find_common(struct event_texts *texts)
{
	struct tep_event *first = tep_get_event(texts->tep, 0);

	texts->type = first ? tep_find_common_field(first, "common_type") : NULL;
	texts->pid = first ? tep_find_common_field(first, "common_pid") : NULL;
}

static void find_switch(struct event_texts *texts)
{
	struct tep_event *event = tep_find_event_by_name(texts->tep, "sched", "sched_switch");

	texts->switch_event = -1;
	texts->next_pid = event ? tep_find_field(event, "next_pid") : NULL;
	texts->next_comm = event ? tep_find_field(event, "next_comm") : NULL;
	if (texts->next_pid && texts->next_comm)
		texts->switch_event = event->id;
}

/**
 * event_texts_open - read what a file tells of its events
 * @texts: result; to be closed in any case
 * @dat: open; it is not needed afterwards
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int event_texts_open(struct event_texts *texts, struct trace_dat *dat)
{
	int ret = 0;

	*texts = (struct event_texts) { .tep = tep_alloc() };
	trace_seq_init(&texts->line);
	if (!texts->tep)
		return trace_dat_fail(dat, -ENOMEM, 0, "no memory");
	tep_set_loglevel(TEP_LOG_NONE);
	tep_set_long_size(texts->tep, dat->long_size);
	tep_set_page_size(texts->tep, dat->page_size);
	tep_set_file_bigendian(texts->tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(texts->tep, TEP_LITTLE_ENDIAN);
	for (int id = TRACE_DAT_FTRACE_FORMATS; id <= TRACE_DAT_CMDLINES && !ret; id++)
		ret = read_part(texts, dat, id);
	bound_events(texts);
	find_common(texts);
	find_switch(texts);
	return ret;
}

static bool fits(const struct tep_format_field *field, size_t size)
{
	return field->offset >= 0 && field->size >= 0 && (size_t)field->offset + (size_t)field->size <= size;
}

/* __data_loc and __rel_loc: two numbers of 16 bits, where the data is, and how much */
static bool dynamic_fits(const struct tep_format_field *field, const struct ring_event *event)
{
	const uint8_t *at = event->data + field->offset;
	size_t offset, size;

	/* An array without a number of elements is the record's rest */
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

/* What the library looks up in every record, and not by the record's own format */
static bool common_fits(const struct event_texts *texts, const struct ring_event *event)
{
	return texts->type && texts->pid && fits(texts->type, event->size) && fits(texts->pid, event->size);
}

/*
 * Some records are shorter than their formats, as those of short stacks: what is not there reads as zeros. What
 * a record points to has to be there.
 *
 * Returns: how many bytes the format's fields take, 0 if the record does not fit it.
 */
static size_t extent(const struct tep_format_field *field, const struct ring_event *event)
{
	size_t extent = event->size;

	for (; field; field = field->next) {
		if (!fits(field, MAX_RECORD) ||
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

/* Fields begin with a blank, some formats end with one or with a line's end */
static const char *without_blanks(struct trace_seq *line)
{
	trace_seq_terminate(line);
	while (line->len && isspace((unsigned char)line->buffer[line->len - 1]))
		line->buffer[--line->len] = '\0';
	return line->buffer + strspn(line->buffer, " ");
}

/**
 * event_texts_read - read what an event says
 * @texts: of its file
 * @event: its record
 * @cpu: the CPU that recorded it
 * @result: what it says
 *
 * An event that the file has no format of, or that does not fit it, has a name and says nothing.
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
	/* It would print by the format of another event, against which the record was not held */
	if (tep_data_type(texts->tep, &record) != format->id)
		return 0;
	result->pid = tep_data_pid(texts->tep, &record);
	if (size) {
		/* What a format says is the rest of a record is none in one that ends before it */
		record.size = (int)size;
		trace_seq_reset(&texts->line);
		tep_print_event(texts->tep, &texts->line, &record, "%s", TEP_PRINT_INFO);
		/* Nobody can go on with a buffer that found no memory */
		if (texts->line.state != TRACE_SEQ__GOOD)
			return -ENOMEM;
		result->text = without_blanks(&texts->line);
	}
	result->comm = tep_data_comm_from_pid(texts->tep, result->pid);
	return 0;
}

/**
 * event_texts_switch - which thread runs from an event on
 * @texts: of its file
 * @event: its record
 * @next_pid: result
 * @next_comm: result: what that thread is called, EVENT_COMM_SIZE bytes
 *
 * Returns: false if it is no sched_switch.
 */
bool event_texts_switch(const struct event_texts *texts, const struct ring_event *event, int *next_pid,
			char *next_comm)
{
	unsigned long long pid;
	size_t size;

	if (texts->switch_event < 0 || ring_event_id(event) != texts->switch_event ||
	    !fits(texts->next_comm, event->size) ||
	    tsc_event_read_field(texts->next_pid, event->data, event->size, &pid))
		return false;
	size = texts->next_comm->size;
	if (size > EVENT_COMM_SIZE - 1)
		size = EVENT_COMM_SIZE - 1;
	memcpy(next_comm, event->data + texts->next_comm->offset, size);
	next_comm[size] = '\0';
	*next_pid = (int)pid;
	return true;
}

/**
 * event_texts_close - free what belongs to the formats
 * @texts: opened, or failed to
 */
void event_texts_close(struct event_texts *texts)
{
	if (texts->tep)
		tep_free(texts->tep);
	if (texts->line.buffer)
		trace_seq_destroy(&texts->line);
	free(texts->record);
	*texts = (struct event_texts) { 0 };
}
