// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "sanitize.h"

/**
 * message - print one line on stderr
 * @format: as for printf(), without the newline
 *
 * Names in it may come from files: control characters are printed as question marks.
 *
 * Keeps errno, which trace-cmd prints in its own messages.
 */
void message(const char *format, ...)
{
	int saved_errno = errno;
	char *text = NULL;
	char begin[1024];
	va_list args;

	va_start(args, format);
	/* Without memory, print its beginning */
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text) {
		va_start(args, format);
		vsnprintf(begin, sizeof(begin), format, args);
		va_end(args);
	}
	sanitize(text ? text : begin);
	/* In one write: trace-cmd's processes and threads share stderr */
	dprintf(2, "tsc-offset: %s\n", text ? text : begin);
	free(text);
	errno = saved_errno;
}
