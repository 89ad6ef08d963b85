// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/**
 * error_set_v - set an error
 * @error: replaced
 * @code: a negative errno
 * @path: the file concerned, or NULL
 * @format: what is wrong, as for vprintf(), without the file's name and without a newline
 * @args: for @format
 *
 * Returns: @code
 */
int error_set_v(struct error *error, int code, const char *path, const char *format, va_list args)
{
	*error = (struct error) { .code = code, .path = path };
	vsnprintf(error->text, sizeof(error->text), format, args);
	return code;
}

/**
 * error_set - set an error
 * @error: replaced
 * @code: a negative errno
 * @path: the file concerned, or NULL
 * @format: what is wrong, as for printf(), without the file's name and without a newline
 *
 * Returns: @code
 */
int error_set(struct error *error, int code, const char *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set_v(error, code, path, format, args);
	va_end(args);
	return code;
}

/**
 * error_set_code - set an error that its errno describes completely
 * @error: replaced
 * @code: a negative errno
 * @path: the file concerned, or NULL
 *
 * Returns: @code
 */
int error_set_code(struct error *error, int code, const char *path)
{
	*error = (struct error) { .code = code, .path = path };
	return code;
}

/**
 * error_set_offset - set the place of an error in its file
 * @error: an error that is set
 * @offset: the place, in bytes
 */
void error_set_offset(struct error *error, uint64_t offset)
{
	error->has_offset = true;
	error->offset = offset;
}

/**
 * error_keep - set an error unless it is already set
 * @error: set if it was not
 * @code: 0 or a negative errno; 0 sets nothing
 * @path: the file concerned, or NULL
 *
 * For the end of a function whose callees may return only an errno.
 *
 * Returns: @code
 */
int error_keep(struct error *error, int code, const char *path)
{
	return code && !error->code ? error_set_code(error, code, path) : code;
}

/**
 * error_line - format an error as one line
 * @error: an error that is set
 * @line: result: "FILE: at offset 0x10: what is wrong"; names in it are unchanged
 * @size: size of @line in bytes; longer lines are truncated
 *
 * Returns: @line
 */
char *error_line(const struct error *error, char *line, size_t size)
{
	char offset[32] = "";

	if (error->has_offset)
		snprintf(offset, sizeof(offset), "at offset %#" PRIx64 ": ", error->offset);
	snprintf(line, size, "%s%s%s%s", error->path ? error->path : "", error->path ? ": " : "", offset,
		 *error->text ? error->text : strerror(-error->code));
	return line;
}
