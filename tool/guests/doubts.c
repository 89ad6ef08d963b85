// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "doubts.h"
#include "message.h"

static void add_line(struct doubts *doubts, char *line)
{
	if (doubts->nr == doubts->capacity) {
		size_t capacity = doubts->capacity ? 2 * doubts->capacity : 8;
		char **lines = reallocarray(doubts->lines, capacity, sizeof(*lines));

		if (!lines) {
			free(line);
			return;
		}
		doubts->lines = lines;
		doubts->capacity = capacity;
	}
	doubts->lines[doubts->nr++] = line;
}

/**
 * doubts_add - add a doubt
 * @doubts: the others
 * @format: its line, as for printf(), without the newline
 */
void doubts_add(struct doubts *doubts, const char *format, ...)
{
	va_list args;
	char *line;
	int ret;

	doubts->nr_found++;
	va_start(args, format);
	ret = vasprintf(&line, format, args);
	va_end(args);
	if (ret >= 0)
		add_line(doubts, line);
}

/**
 * doubts_print - print all lines on stderr
 * @doubts: any
 */
void doubts_print(const struct doubts *doubts)
{
	for (size_t i = 0; i < doubts->nr; i++)
		message("%s", doubts->lines[i]);
}

/**
 * doubts_release - free the lines
 * @doubts: none afterwards
 */
void doubts_release(struct doubts *doubts)
{
	for (size_t i = 0; i < doubts->nr; i++)
		free(doubts->lines[i]);
	free(doubts->lines);
	*doubts = (struct doubts) { 0 };
}
