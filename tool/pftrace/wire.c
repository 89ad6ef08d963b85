// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* Protobuf's own limit of the number of a field */
#define MAX_FIELD	((1U << 29) - 1)

#define FIRST_CAPACITY	4096

/* A length that is written before it is known: always of as many bytes, which all readers take, Perfetto's first */
#define LENGTH_BYTES	5

/**
 * wire_take_number - read a number of a variable length
 * @bytes: where it begins; moves behind it
 * @value: result
 *
 * Returns: true, or false if it does not end or has more than 64 bits.
 */
bool wire_take_number(struct cursor *bytes, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 7 * WIRE_NUMBER_MAX; shift += 7) {
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
	/* Groups are not in Perfetto's schema */
	return false;
}

/**
 * wire_take_field - read the next field of a message
 * @message: what is left of it; moves behind the field
 * @field: result
 *
 * Returns: 1, 0 at the end of the message, or -EBADMSG if this is not a message.
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

static uint8_t *reserve(struct wire_buffer *buffer, size_t size)
{
	size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
	uint8_t *grown;

	if (buffer->failed)
		return NULL;
	while (capacity - buffer->size < size)
		capacity *= 2;
	if (capacity != buffer->capacity) {
		grown = realloc(buffer->bytes, capacity);
		buffer->failed = !grown;
		if (!grown)
			return NULL;
		buffer->bytes = grown;
		buffer->capacity = capacity;
	}
	return buffer->bytes + buffer->size;
}

/**
 * wire_put_number - write a number of a variable length
 * @buffer: the message
 * @value: the number
 */
void wire_put_number(struct wire_buffer *buffer, uint64_t value)
{
	uint8_t *at = reserve(buffer, WIRE_NUMBER_MAX), *begin = at;

	if (!at)
		return;
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	buffer->size += (size_t)(at - begin);
}

/**
 * wire_put_field - write a field that is a number
 * @buffer: the message
 * @number: which field
 * @value: its value
 */
void wire_put_field(struct wire_buffer *buffer, uint32_t number, uint64_t value)
{
	wire_put_number(buffer, (uint64_t)number << 3 | WIRE_NUMBER);
	wire_put_number(buffer, value);
}

/**
 * wire_put_whole - write a field as it was read
 * @buffer: the message
 * @field: the field, of any type
 */
void wire_put_whole(struct wire_buffer *buffer, const struct wire_field *field)
{
	uint8_t *at = reserve(buffer, field->whole.left);

	if (!at)
		return;
	memcpy(at, field->whole.at, field->whole.left);
	buffer->size += field->whole.left;
}

/**
 * wire_begin - begin a field that is a message or packed numbers
 * @buffer: the message that it is a part of; what is written until wire_end() is in the field
 * @number: which field
 *
 * Returns: what wire_end() needs. Until then, setting the size of @buffer to what it was before takes it all back.
 */
size_t wire_begin(struct wire_buffer *buffer, uint32_t number)
{
	wire_put_number(buffer, (uint64_t)number << 3 | WIRE_BYTES);
	if (reserve(buffer, LENGTH_BYTES))
		buffer->size += LENGTH_BYTES;
	return buffer->size;
}

/**
 * wire_end - end what wire_begin() began
 * @buffer: the message
 * @begin: what wire_begin() returned
 */
void wire_end(struct wire_buffer *buffer, size_t begin)
{
	size_t length = buffer->size - begin;

	if (buffer->failed)
		return;
	for (size_t i = 0; i < LENGTH_BYTES; i++, length >>= 7)
		buffer->bytes[begin - LENGTH_BYTES + i] =
			(uint8_t)((length & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

/**
 * wire_buffer_release - free what a buffer owns
 * @buffer: in any state; empty then
 */
void wire_buffer_release(struct wire_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct wire_buffer) { 0 };
}
