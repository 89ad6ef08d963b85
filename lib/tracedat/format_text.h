/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Checks the text of an event's format before libtraceevent parses it. The library appends each word to the one before,
 * searches all fields for each name, and does not check where a bracket closes. This check finds each part that does
 * not have the form in which kernels write fields, or that is larger than in any kernel.
 *
 * libtraceevent interprets the format.
 */
#ifndef TSC_OFFSET_FORMAT_TEXT_H
#define TSC_OFFSET_FORMAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* An event's number has 16 bits */
#define FORMAT_TEXT_MAX_ID	0xffff

/**
 * struct format_text - the text of a format with well-formed fields
 * @text: the text, not NUL-terminated; not owned
 * @id: the event's number
 * @name: the event's name, inside @text
 * @name_length: length of @name
 * @fields_size: bytes of @text up to the end of the last field
 * @nr_fields: number of fields, including the common ones
 * @size: length of @text
 * @nr_words: words, strings and signs in the print format
 * @nr_names: fields that the print format names
 * @printed: the print format is well-formed
 */
struct format_text {
	const char	*text;
	int		id;
	const char	*name;
	size_t		name_length;
	size_t		fields_size;
	size_t		nr_fields;
	size_t		size;
	size_t		nr_words;
	size_t		nr_names;
	bool		printed;
};

bool format_text_scan(struct format_text *format, const char *text, size_t size);
char *format_text_copy(const struct format_text *format, bool printed, size_t *size);

#endif /* TSC_OFFSET_FORMAT_TEXT_H */
