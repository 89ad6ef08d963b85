/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The reason for a failure, passed from where it occurs up to the verb that prints it. */
#ifndef TSC_OFFSET_ERROR_H
#define TSC_OFFSET_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERROR_TEXT_SIZE 1024

/**
 * struct error - the reason for a failure
 * @code: a negative errno; 0 without an error
 * @path: the file concerned, or NULL; not owned, valid while that file is open
 * @has_offset: @offset is valid
 * @offset: the place in the file, in bytes
 * @text: what is wrong, without the file's name; "" if @code says it all
 */
struct error {
	int		code;
	const char	*path;
	bool		has_offset;
	uint64_t	offset;
	char		text[ERROR_TEXT_SIZE];
};

int error_set(struct error *error, int code, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int error_set_v(struct error *error, int code, const char *path, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));
int error_set_code(struct error *error, int code, const char *path);
void error_set_offset(struct error *error, uint64_t offset);
int error_keep(struct error *error, int code, const char *path);
char *error_line(const struct error *error, char *line, size_t size);

#endif /* TSC_OFFSET_ERROR_H */
