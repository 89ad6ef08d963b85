// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "array.h"
#include "cleanup.h"
#include "cursor.h"
#include "event_formats.h"
#include "format_parse.h"
#include "format_text.h"
#include "format_trial.h"
#include "order.h"
#include "trace_dat.h"

/*
 * A distribution's kernel has 2323 events, with 24,000 fields and 200,000 words in their print formats; a file has only
 * those that were recorded. libtraceevent needs up to 160 bytes of memory for a word, and moves all formats for each.
 */
#define MAX_FORMATS	(1U << 14)
#define MAX_FIELDS	(1U << 18)
#define MAX_WORDS	(1U << 20)
/* Each name is searched in all fields: 145,000 comparisons for a distribution's kernel */
#define MAX_COMPARISONS	(1U << 26)

/* A format, and the system of its event */
struct collected_format {
	struct format_text	text;
	const char		*system;
};

/* The formats of a file before parsing */
struct collection {
	struct collected_format	*formats;
	size_t			nr;
	size_t			capacity;
	size_t			nr_fields;
	uint8_t			seen[(FORMAT_TEXT_MAX_ID + 8) / 8];
	bool			has_bprint;
};

static int add(struct collection *all, const struct format_text *text, const char *system)
{
	if (all->nr == MAX_FORMATS || text->nr_fields > MAX_FIELDS - all->nr_fields)
		return -E2BIG;
	if (array_reserve(all->formats, all->nr, all->capacity))
		return -ENOMEM;
	all->formats[all->nr++] = (struct collected_format) { *text, system };
	all->nr_fields += text->nr_fields;
	return 0;
}

/* Each number is taken once: the first of several formats */
static int collect(struct collection *all, const char *format, size_t size, const char *system)
{
	struct format_text text;
	bool bprint;

	if (!format_text_scan(&text, format, size))
		return 0;
	bprint = !strcmp(system, "ftrace") && text.name_length == strlen("bprint") &&
		 !memcmp(text.name, "bprint", text.name_length);
	/* libtraceevent would use the fields of the first bprint for all of them */
	if (all->seen[text.id / 8] & 1 << text.id % 8 || (bprint && all->has_bprint))
		return 0;
	all->seen[text.id / 8] |= 1 << text.id % 8;
	all->has_bprint |= bprint;
	return add(all, &text, system);
}

static int collect_formats(struct collection *all, struct cursor *cursor, const char *system)
{
	uint32_t nr;
	int ret = 0;

	if (!cursor_take(cursor, &nr, sizeof(nr)))
		return -EBADMSG;
	for (; nr && !ret; nr--) {
		const char *format;
		uint64_t size;

		if (!cursor_take(cursor, &size, sizeof(size)))
			return -EBADMSG;
		format = (const char *)cursor->at;
		ret = cursor_skip(cursor, size) ? collect(all, format, size, system) : -EBADMSG;
	}
	return ret;
}

static int collect_systems(struct collection *all, struct cursor *cursor)
{
	uint32_t nr;
	int ret = 0;

	if (!cursor_take(cursor, &nr, sizeof(nr)))
		return -EBADMSG;
	for (; nr && !ret; nr--) {
		const char *system = cursor_take_string(cursor);

		ret = system ? collect_formats(all, cursor, system) : -EBADMSG;
	}
	return ret;
}

/* @bytes: result: the memory of the formats; to be freed */
static int collect_part(struct collection *all, struct trace_dat *dat, enum trace_dat_option_id id, uint8_t **bytes)
{
	struct cursor cursor;
	int ret;

	ret = trace_dat_part(dat, id, bytes, &cursor.left);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	cursor.at = *bytes;
	ret = id == TRACE_DAT_FTRACE_FORMATS ? collect_formats(all, &cursor, "ftrace") :
		collect_systems(all, &cursor);
	if (ret == -E2BIG)
		return trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id),
				      "more than %u formats of events, or %u fields in them", MAX_FORMATS,
				      MAX_FIELDS);
	return ret ? trace_dat_fail(dat, ret, trace_dat_part_offset(dat, id),
				    "the formats of events are cut off") : 0;
}

/* In descending order: libtraceevent keeps events sorted by number, and searches from the front */
static int compare_formats(const void *a, const void *b)
{
	const struct event_format *x = a, *y = b;

	return (x->text->id < y->text->id) - (x->text->id > y->text->id);
}

/* Each event is to be printed by its format, as long as the limits permit */
static void set_ways(struct event_formats *formats, struct event_format *tried)
{
	size_t words = 0, comparisons = 0;

	for (size_t i = formats->nr; i--;) {
		const struct format_text *text = tried[i].text;

		tried[i].way = PRINT_FIELDS;
		if (!text->printed) {
			formats->nr_excess += text->fields_size < text->size;
			continue;
		}
		if (text->nr_words > MAX_WORDS - words ||
		    text->nr_names * text->nr_fields > MAX_COMPARISONS - comparisons) {
			formats->nr_excess++;
			continue;
		}
		words += text->nr_words;
		comparisons += text->nr_names * text->nr_fields;
		tried[i].way = PRINT_FORMAT;
	}
}

static int set_bounds(struct event_formats *formats, struct tep_handle *tep, const struct event_format *tried)
{
	formats->bounds = calloc(formats->nr + 1, sizeof(*formats->bounds));
	if (!formats->bounds)
		return -ENOMEM;
	for (size_t i = 0; i < formats->nr; i++) {
		struct tep_event *event = tep_find_event(tep, tried[i].text->id);

		if (!event)
			continue;
		formats->bounds[i] = print_fmt_check_event(event, tried[i].way);
		/* There are no handlers of events here, which would use the context */
		event->context = &formats->bounds[i];
	}
	return 0;
}

static int parse(struct event_formats *formats, struct tep_handle *tep, const struct collection *all)
{
	_cleanup_(freep) struct event_format *tried = calloc(all->nr + 1, sizeof(*tried));
	int ret;

	if (!tried)
		return -ENOMEM;
	formats->nr = all->nr;
	for (size_t i = 0; i < all->nr; i++)
		tried[i] = (struct event_format) {
			.text = &all->formats[i].text, .system = all->formats[i].system
		};
	array_sort(tried, all->nr, compare_formats);
	set_ways(formats, tried);
	ret = format_trial(tep, tried, all->nr, &formats->nr_fatal);
	return ret ? ret : set_bounds(formats, tep, tried);
}

/**
 * event_formats_read - parse a file's formats with libtraceevent
 * @formats: result; must be released in any case, after @tep is freed
 * @tep: receives the formats; empty at first
 * @dat: the open file; not needed afterwards
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int event_formats_read(struct event_formats *formats, struct tep_handle *tep, struct trace_dat *dat)
{
	_cleanup_(freep) uint8_t *ftrace = NULL, *others = NULL;
	struct collection all = { .nr = 0 };
	int ret;

	*formats = (struct event_formats) { 0 };
	ret = collect_part(&all, dat, TRACE_DAT_FTRACE_FORMATS, &ftrace);
	if (!ret)
		ret = collect_part(&all, dat, TRACE_DAT_EVENT_FORMATS, &others);
	if (!ret) {
		ret = parse(formats, tep, &all);
		if (ret)
			trace_dat_refuse(dat, ret, "its formats cannot be parsed: %s", strerror(-ret));
	}
	free(all.formats);
	return ret;
}

/**
 * event_formats_bounds - get the way and the cost of printing an event
 * @event: an event of a file whose formats were read
 *
 * Returns: the bounds, owned by the formats.
 */
const struct print_fmt_check *event_formats_bounds(const struct tep_event *event)
{
	return event->context;
}

/**
 * event_formats_release - free the formats
 * @formats: the formats, also after a failed read
 */
void event_formats_release(struct event_formats *formats)
{
	free(formats->bounds);
	*formats = (struct event_formats) { 0 };
}
