/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Parses a format into an event of libtraceevent, with only as much of its text as is needed. */
#ifndef TSC_OFFSET_FORMAT_PARSE_H
#define TSC_OFFSET_FORMAT_PARSE_H

#include "print_fmt_check.h"

struct format_text;
struct tep_event;
struct tep_handle;

/**
 * struct event_format - a format to parse
 * @text: the text
 * @system: the event's system
 * @way: how the event is printed; only field by field if the print format is malformed
 */
struct event_format {
	const struct format_text	*text;
	const char			*system;
	enum print_way			way;
};

struct tep_event *format_parse(struct tep_handle *tep, const struct event_format *format);
enum print_way format_parse_way(struct tep_handle *tep, const struct event_format *format);

#endif /* TSC_OFFSET_FORMAT_PARSE_H */
