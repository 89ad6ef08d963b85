/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Bytes that are read from the front on, as those of a trace.dat's options: numbers are in the byte
 * order of this machine and at any address. Nothing behind the end is read, whatever lengths the
 * bytes claim.
 */
#ifndef TSC_OFFSET_CURSOR_H
#define TSC_OFFSET_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * struct cursor - what of some bytes is still to be read
 * @at: the next byte; the caller's
 * @left: how many there are from it on
 */
struct cursor {
	const uint8_t	*at;
	size_t		left;
};

/**
 * cursor_take - read a number, or anything else of a fixed size
 * @cursor: the bytes; moves behind it
 * @value: result
 * @size: bytes of it
 *
 * Returns: true, or false if there are not that many; then nothing has changed.
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
 * cursor_skip - leave bytes out
 * @cursor: the bytes; moves behind them
 * @size: how many, as a file claims: it need not fit into a size_t
 *
 * Returns: true, or false if there are not that many; then nothing has changed.
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
 * cursor_take_string - read a string with its end
 * @cursor: the bytes; moves behind the end
 *
 * Returns: the string, which is a part of the bytes, or NULL if it does not end; then nothing has
 * changed.
 */
static inline const char *cursor_take_string(struct cursor *cursor)
{
	const char *string = (const char *)cursor->at;
	size_t length = strnlen(string, cursor->left);

	return cursor_skip(cursor, length + 1) ? string : NULL;
}

#endif /* TSC_OFFSET_CURSOR_H */
