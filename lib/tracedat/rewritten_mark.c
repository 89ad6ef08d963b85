// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder_version.h"
#include "rewritten_mark.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/* A recorder's version has a few words */
#define MAX_VERSION	256
#define SEPARATOR	"; "
#define BEGIN		"times of "
#define END		" by tsc-offset"
#define DIGITS		16
#define MARK_LENGTH	(sizeof(BEGIN) - 1 + DIGITS + sizeof(END) - 1)
#define MAX_TEXT	(MAX_VERSION + sizeof(SEPARATOR) - 1 + MARK_LENGTH)

/**
 * rewritten_mark_add - mark a file whose pages get host times
 * @edit: the changes of the file
 * @dat: the open file
 * @host_trace_id: TRACEID of the host's file
 *
 * Retires all options VERSION, and adds one with the version and the mark.
 *
 * Returns: 0 or -ENOMEM.
 */
int rewritten_mark_add(struct trace_dat_edit *edit, const struct trace_dat *dat, uint64_t host_trace_id)
{
	const char *version = recorder_version(dat);
	char text[MAX_TEXT + 1];
	int length, ret = 0;

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		if (dat->options[i].id == TRACE_DAT_VERSION)
			ret = trace_dat_edit_retire(edit, dat->options[i].offset);
	}
	if (ret)
		return ret;
	if (strlen(version) > MAX_VERSION)
		version = "";
	length = snprintf(text, sizeof(text), "%s%s" BEGIN "%016" PRIx64 END, version, *version ? SEPARATOR : "",
			  host_trace_id);
	return trace_dat_edit_add(edit, TRACE_DAT_VERSION, text, (size_t)length + 1);
}

static bool read_mark(const char *text, uint64_t *host_trace_id)
{
	size_t length = strlen(text);
	const char *mark, *digits;

	if (length < MARK_LENGTH)
		return false;
	mark = text + length - MARK_LENGTH;
	digits = mark + strlen(BEGIN);
	if (memcmp(mark, BEGIN, strlen(BEGIN)) || memcmp(digits + DIGITS, END, strlen(END)))
		return false;
	if (mark != text && (mark - text < (ptrdiff_t)strlen(SEPARATOR) ||
			     memcmp(mark - strlen(SEPARATOR), SEPARATOR, strlen(SEPARATOR))))
		return false;
	for (size_t i = 0; i < DIGITS; i++) {
		if ((digits[i] < '0' || digits[i] > '9') && (digits[i] < 'a' || digits[i] > 'f'))
			return false;
	}
	*host_trace_id = strtoull(digits, NULL, 16);
	return true;
}

/**
 * rewritten_mark_read - do the pages of a file have host times?
 * @dat: the open file
 * @host_trace_id: result, TRACEID of the host's file; unchanged if it is not rewritten
 *
 * This is a claim of the file: any program may have written it.
 *
 * Returns: true if the version of the recorder has the mark, exactly as rewritten_mark_add() writes it.
 */
bool rewritten_mark_read(const struct trace_dat *dat, uint64_t *host_trace_id)
{
	return read_mark(recorder_version(dat), host_trace_id);
}
