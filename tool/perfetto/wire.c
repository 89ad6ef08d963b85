// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/**
 * wire_reserve - make room
 * @wire: all zeros at first
 * @size: bytes that are written next
 *
 * Returns: false without memory; @wire->failed is set then.
 */
bool wire_reserve(struct wire *wire, size_t size)
{
	size_t wanted = wire->size + size;
	uint8_t *grown;

	if (wanted <= wire->capacity)
		return true;
	grown = realloc(wire->bytes, 2 * wanted);
	if (!grown) {
		wire->failed = true;
		return false;
	}
	wire->bytes = grown;
	wire->capacity = 2 * wanted;
	return true;
}

/**
 * wire_end - end a field that is a message
 * @wire: with room for WIRE_KEY_SIZE
 * @begin: what wire_begin() returned
 * @rest: bytes of the message that are not written here, but follow
 */
void wire_end(struct wire *wire, size_t begin, size_t rest)
{
	size_t size = wire->size - begin, more = 0;

	for (size_t left = size + rest; left >= 0x80; left >>= 7)
		more++;
	if (more)
		memmove(wire->bytes + begin + more, wire->bytes + begin, size);
	wire->size = begin - 1;
	wire_varint(wire, size + rest);
	wire->size += size;
}

/* How many bytes a character of UTF-8 takes; 0 if it is none, or a control character that ends a line nowhere */
static size_t character(const uint8_t *text, size_t left)
{
	size_t size = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf5 ? 4 : 0;

	if (size > left)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Too long for what it is, a surrogate, or more than there is */
	if ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f) ||
	    (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f))
		return 0;
	return size;
}

/**
 * wire_text - write a field that is a string
 * @wire: with room for @size and WIRE_KEY_SIZE + WIRE_NUMBER_SIZE bytes more
 * @field: number of the field
 * @text: anything; a byte that is not UTF-8 becomes a question mark
 * @size: bytes of it
 */
void wire_text(struct wire *wire, uint32_t field, const char *text, size_t size)
{
	const uint8_t *from = (const uint8_t *)text;
	uint8_t *to;

	wire_varint(wire, field << 3 | 2);
	wire_varint(wire, size);
	to = wire->bytes + wire->size;
	for (size_t i = 0; i < size;) {
		size_t length;

		if (from[i] < 0x80) {
			to[i] = from[i];
			i++;
			continue;
		}
		length = character(from + i, size - i);

		if (length)
			memcpy(to + i, from + i, length);
		else
			to[i] = '?';
		i += length ? length : 1;
	}
	wire->size += size;
}

/**
 * wire_put_number - make room and write a number of a variable length
 * @wire: the message
 * @value: the number
 */
void wire_put_number(struct wire *wire, uint64_t value)
{
	if (wire_reserve(wire, WIRE_NUMBER_SIZE))
		wire_varint(wire, value);
}

/**
 * wire_put_field - make room and write a field that is a number
 * @wire: the message
 * @field: number of the field
 * @value: its value
 */
void wire_put_field(struct wire *wire, uint32_t field, uint64_t value)
{
	if (wire_reserve(wire, WIRE_KEY_SIZE + WIRE_NUMBER_SIZE))
		wire_number(wire, field, value);
}

/**
 * wire_put_bytes - make room and write bytes as they are
 * @wire: the message
 * @bytes: one or more whole fields
 * @size: how many bytes
 */
void wire_put_bytes(struct wire *wire, const void *bytes, size_t size)
{
	if (!wire_reserve(wire, size))
		return;
	memcpy(wire->bytes + wire->size, bytes, size);
	wire->size += size;
}

/**
 * wire_put_begin - make room and begin a field that is a message or packed numbers
 * @wire: the message that it is a part of; what is written until wire_put_end() is in the field
 * @field: number of the field
 *
 * Returns: what wire_put_end() needs. Until then, setting @wire->size to what it was before takes it all back.
 */
size_t wire_put_begin(struct wire *wire, uint32_t field)
{
	return wire_reserve(wire, WIRE_KEY_SIZE + 1) ? wire_begin(wire, field) : 0;
}

/**
 * wire_put_end - end what wire_put_begin() began
 * @wire: the message
 * @begin: what wire_put_begin() returned
 */
void wire_put_end(struct wire *wire, size_t begin)
{
	if (!wire->failed && wire_reserve(wire, WIRE_KEY_SIZE))
		wire_end(wire, begin, 0);
}

/**
 * wire_release - free what was written
 * @wire: in any state
 */
void wire_release(struct wire *wire)
{
	free(wire->bytes);
	*wire = (struct wire) { 0 };
}
