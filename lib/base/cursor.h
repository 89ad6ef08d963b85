/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Reads bytes from front to back, for example the options of a trace.dat. Numbers have the byte order of this machine
 * and need no alignment. Nothing after the end is read, whatever lengths the bytes claim.
 */
#ifndef TSC_OFFSET_CURSOR_H
#define TSC_OFFSET_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * struct cursor - the bytes that remain to be read
 * @at: the next byte; not owned
 * @left: number of bytes from @at on
 */
struct cursor {
	const uint8_t	*at;
	size_t		left;
};

/**
 * cursor_take - read a number, or another object of fixed size
 * @cursor: the bytes; advanced
 * @value: result
 * @size: its size in bytes
 *
 * Returns: true, or false if fewer bytes are left; then nothing has changed.
 */
static inline bool cursor_take(struct cursor *cursor, void *value, size_t size)
{
	if (cursor->left < size)
		return false;
	memcpy(value, cursor->at, size);
	cursor->at += size;
	cursor->left -= size;
	return true;
}

/**
 * cursor_skip - skip bytes
 * @cursor: the bytes; advanced
 * @size: number of bytes. A file's claim may not fit into a size_t
 *
 * Returns: true, or false if fewer bytes are left; then nothing has changed.
 */
static inline bool cursor_skip(struct cursor *cursor, uint64_t size)
{
	if (cursor->left < size)
		return false;
	cursor->at += size;
	cursor->left -= size;
	return true;
}

/**
 * cursor_take_string - read a string with its terminating NUL
 * @cursor: the bytes; advanced past the NUL
 *
 * Returns: the string, which points into the bytes, or NULL if it is not terminated; then nothing has changed.
 */
static inline const char *cursor_take_string(struct cursor *cursor)
{
	const char *string = (const char *)cursor->at;
	size_t length = strnlen(string, cursor->left);

	return cursor_skip(cursor, length + 1) ? string : NULL;
}

#endif /* TSC_OFFSET_CURSOR_H */
