// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "message.h"
#include "printable.h"

/**
 * message - print one line on stderr
 * @format: as for printf(), without the newline
 *
 * Names in it may come from files: what a terminal would obey is shown as a question mark.
 *
 * Keeps errno: trace-cmd prints it in messages of its own.
 */
void message(const char *format, ...)
{
	int saved_errno = errno;
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	make_printable(text);
	/* In one go: trace-cmd's processes and threads share stderr */
	dprintf(2, "tsc-offset: %s\n", text);
	errno = saved_errno;
}
