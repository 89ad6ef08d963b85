// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "wire_reader.h"

/* Protobuf's own limit of field numbers */
#define MAX_FIELD	((1U << 29) - 1)

/**
 * wire_take_number - read a number of variable length
 * @bytes: the bytes; advanced past the number
 * @value: result
 *
 * Returns: true, or false if it is truncated or has more than 64 bits.
 */
bool wire_take_number(struct cursor *bytes, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 7 * WIRE_NUMBER_SIZE; shift += 7) {
		uint8_t byte;

		if (!cursor_take(bytes, &byte, 1) || (shift == 63 && byte > 1))
			return false;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool take_value(struct cursor *message, struct wire_field *field)
{
	switch (field->type) {
	case WIRE_NUMBER:
		return wire_take_number(message, &field->value);
	case WIRE_64:
		return cursor_skip(message, 8);
	case WIRE_32:
		return cursor_skip(message, 4);
	case WIRE_BYTES:
		if (!wire_take_number(message, &field->value))
			return false;
		field->bytes = (struct cursor) { message->at, (size_t)field->value };
		return cursor_skip(message, field->value);
	}
	/* Perfetto's schema has no groups */
	return false;
}

/**
 * wire_take_field - read the next field of a message
 * @message: the rest of the message; advanced past the field
 * @field: result
 *
 * Returns: 1, 0 at the end of the message, or -EBADMSG if it is malformed.
 */
int wire_take_field(struct cursor *message, struct wire_field *field)
{
	struct cursor begin = *message;
	uint64_t tag;

	if (!message->left)
		return 0;
	*field = (struct wire_field) { 0 };
	if (!wire_take_number(message, &tag) || !(tag >> 3) || tag >> 3 > MAX_FIELD)
		return -EBADMSG;
	field->number = (uint32_t)(tag >> 3);
	field->type = tag & 7;
	if (!take_value(message, field))
		return -EBADMSG;
	field->whole = (struct cursor) { begin.at, begin.left - message->left };
	return 1;
}
