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
 * @path: the file that it is about, or NULL
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
 * @path: the file that it is about, or NULL
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
 * error_set_code - set an error that its errno describes
 * @error: replaced
 * @code: a negative errno
 * @path: the file that it is about, or NULL
 *
 * Returns: @code
 */
int error_set_code(struct error *error, int code, const char *path)
{
	*error = (struct error) { .code = code, .path = path };
	return code;
}

/**
 * error_set_offset - say where in its file an error is
 * @error: set
 * @offset: the place, in bytes
 */
void error_set_offset(struct error *error, uint64_t offset)
{
	error->has_offset = true;
	error->offset = offset;
}

/**
 * error_keep - set an error unless what failed has set one
 * @error: set if it is not set yet
 * @code: 0 or a negative errno; with 0 nothing is set
 * @path: the file that it is about, or NULL
 *
 * For the end of a function that calls others which only return an errno.
 *
 * Returns: @code
 */
int error_keep(struct error *error, int code, const char *path)
{
	return code && !error->code ? error_set_code(error, code, path) : code;
}

/**
 * error_line - an error as one line
 * @error: set
 * @line: result: "FILE: at offset 0x10: what is wrong"; names in it are as they are in the file
 * @size: room at @line, in bytes; what does not fit is cut
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
