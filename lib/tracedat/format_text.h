/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The text of an event's format, before libtraceevent sees it. Its parser appends word after word to the word before,
 * searches all fields for each name, and does not look where a bracket closes: what does not have the form in which
 * kernels write fields, or has more of anything than any kernel has, is found here, for each part of it.
 *
 * What a format means is libtraceevent's matter.
 */
#ifndef TSC_OFFSET_FORMAT_TEXT_H
#define TSC_OFFSET_FORMAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* An event's number has 16 bits */
#define FORMAT_TEXT_MAX_ID	0xffff

/**
 * struct format_text - the text of a format whose fields have the form
 * @text: the text, not ended by a zero; the caller's
 * @id: the event's number
 * @name: the event's name, a part of @text
 * @name_length: bytes at @name
 * @fields_size: bytes of @text up to the last field
 * @nr_fields: how many there are, the common ones as well
 * @size: bytes at @text
 * @nr_words: words, strings and signs of the print format
 * @nr_names: fields that the print format names
 * @printed: the print format has the form as well
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
