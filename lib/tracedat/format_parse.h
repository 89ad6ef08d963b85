/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A format of which libtraceevent makes an event, by no more of its text than is wanted. */
#ifndef TSC_OFFSET_FORMAT_PARSE_H
#define TSC_OFFSET_FORMAT_PARSE_H

#include "print_fmt_check.h"

struct format_text;
struct tep_event;
struct tep_handle;

/**
 * struct event_format - a format that is to be parsed
 * @text: the text
 * @system: the event's system
 * @way: how the event is to be printed; nothing but by its fields if the print format does not have the form
 */
struct event_format {
	const struct format_text	*text;
	const char			*system;
	enum print_way			way;
};

struct tep_event *format_parse(struct tep_handle *tep, const struct event_format *format);
enum print_way format_parse_way(struct tep_handle *tep, const struct event_format *format);

#endif /* TSC_OFFSET_FORMAT_PARSE_H */
