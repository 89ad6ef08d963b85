// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Formats of any text: nothing after the text is read. If the fields have the right form, libtraceevent's parser of
 * fields must accept them without harm. The print format is not passed to libtraceevent, whose parser of print
 * formats is known to crash: see format_trial.h.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "format_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const struct format_text *format)
{
	struct tep_handle *tep = tep_alloc();
	struct tep_event *event;
	size_t size;
	char *text = format_text_copy(format, false, &size);

	if (strlen(text) != size)
		abort();
	tep_set_loglevel(TEP_LOG_NONE);
	tep_set_long_size(tep, 8);
	/* Some fields of ftrace's own events are parsed in another way */
	tep_parse_event(tep, text, size, format->id % 2 ? "ftrace" : "test");
	event = tep_find_event(tep, format->id);
	if (event && (strlen(event->name) != format->name_length ||
		      memcmp(event->name, format->name, format->name_length)))
		abort();
	for (int i = 0; event && i < 2; i++) {
		struct tep_format_field *field = i ? event->format.fields : event->format.common_fields;

		for (; field; field = field->next) {
			if (!field->name || !field->type || field->offset < 0 || field->size < 0)
				abort();
		}
	}
	tep_free(tep);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct format_text format;
	char *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	if (format_text_scan(&format, copy, size)) {
		if (format.fields_size > format.size || format.size > size || format.id > FORMAT_TEXT_MAX_ID)
			abort();
		parse(&format);
	}
	free(copy);
	return 0;
}
