// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "inexact_times.h"
#include "number.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

#define TITLE	"tsc-offset inexact 1\n"
#define MORE	"more "

/**
 * inexact_times_append - add a place to a list
 * @times: the list, all zeros at first
 * @time: the place; only counted if the list has INEXACT_TIMES_MAX places
 *
 * Returns: 0 or -ENOMEM.
 */
int inexact_times_append(struct inexact_times *times, const struct inexact_time *time)
{
	if (times->nr == INEXACT_TIMES_MAX) {
		times->more++;
		return 0;
	}
	if (!times->list)
		times->list = calloc(INEXACT_TIMES_MAX, sizeof(*times->list));
	if (!times->list)
		return -ENOMEM;
	times->list[times->nr++] = *time;
	return 0;
}

/**
 * inexact_times_add - write a list into a file
 * @edit: the changes of the file; the mark must be added later
 * @times: the list; an empty one is not written
 *
 * Returns: 0 or -ENOMEM.
 */
int inexact_times_add(struct trace_dat_edit *edit, const struct inexact_times *times)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *stream;

	if (!times->nr)
		return 0;
	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fputs(TITLE, stream);
	for (size_t i = 0; i < times->nr; i++) {
		const struct inexact_time *time = &times->list[i];

		fprintf(stream, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			time->buffer, time->cpu, time->nr_events, time->host_tsc, time->earlier, time->later);
	}
	if (times->more)
		fprintf(stream, MORE "%" PRIu64 "\n", times->more);
	if (fclose(stream))
		return -ENOMEM;
	return trace_dat_edit_add(edit, TRACE_DAT_VERSION, text, size + 1);
}

static bool take_number(const char **at, char end, uint64_t *number)
{
	if (!number_take(at, number) || **at != end)
		return false;
	(*at)++;
	return true;
}

static bool take_place(const char **at, struct inexact_time *time)
{
	return take_number(at, ' ', &time->buffer) && take_number(at, ' ', &time->cpu) &&
	       take_number(at, ' ', &time->nr_events) && take_number(at, ' ', &time->host_tsc) &&
	       take_number(at, ' ', &time->earlier) && take_number(at, '\n', &time->later);
}

/* Returns: 0, -EBADMSG if the text does not have this format, or -ENOMEM */
static int read_text(struct inexact_times *times, const char *at, const struct trace_dat *dat)
{
	while (*at && *at != *MORE) {
		struct inexact_time time;

		if (times->nr == INEXACT_TIMES_MAX || !take_place(&at, &time) || time.buffer >= dat->nr_buffers)
			return -EBADMSG;
		if (inexact_times_append(times, &time))
			return -ENOMEM;
	}
	if (!*at)
		return 0;
	if (strncmp(at, MORE, strlen(MORE)))
		return -EBADMSG;
	at += strlen(MORE);
	return take_number(&at, '\n', &times->more) && !*at ? 0 : -EBADMSG;
}

/**
 * inexact_times_read - read the list of a file
 * @times: result; must be released in any case
 * @dat: the open file
 *
 * This is a claim of the file: any program may have written it.
 *
 * Returns: 0, also without a list; -EBADMSG if a list differs from the format of inexact_times_add(), or -ENOMEM.
 */
int inexact_times_read(struct inexact_times *times, const struct trace_dat *dat)
{
	*times = (struct inexact_times) { 0 };
	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		const char *text = (const char *)option->data;

		if (option->id == TRACE_DAT_VERSION && option->size == strlen(text) + 1 &&
		    !strncmp(text, TITLE, strlen(TITLE)))
			return read_text(times, text + strlen(TITLE), dat);
	}
	return 0;
}

/**
 * inexact_times_release - free a list
 * @times: the list, also after a failed read, or all zeros
 */
void inexact_times_release(struct inexact_times *times)
{
	free(times->list);
	*times = (struct inexact_times) { 0 };
}
