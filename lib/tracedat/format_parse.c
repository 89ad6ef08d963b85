// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stddef.h>

#include <event-parse.h>

#include "cleanup.h"
#include "format_parse.h"
#include "format_text.h"

/**
 * format_parse - parse a format with libtraceevent
 * @tep: receives the event; has no event of this number
 * @format: the format
 *
 * Returns: the event, or NULL if its fields cannot be parsed, or without memory.
 */
struct tep_event *format_parse(struct tep_handle *tep, const struct event_format *format)
{
	_cleanup_(freep) char *text = NULL;
	struct tep_event *event;
	size_t size;

	text = format_text_copy(format->text, format->way != PRINT_FIELDS, &size);
	if (!text)
		return NULL;
	tep_parse_event(tep, text, size, format->system);
	event = tep_find_event(tep, format->text->id);
	if (event && format->way != PRINT_FORMAT)
		event->flags |= TEP_EVENT_FL_PRINTRAW;
	return event;
}

/**
 * format_parse_way - parse a format with libtraceevent, and find how the event can be printed
 * @tep: receives the event; has no event of this number
 * @format: the format
 *
 * Returns: the way, at most the requested one.
 */
enum print_way format_parse_way(struct tep_handle *tep, const struct event_format *format)
{
	struct tep_event *event = format_parse(tep, format);

	return event ? print_fmt_check_event(event, format->way).way : PRINT_FIELDS;
}
