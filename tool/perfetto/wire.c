// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/**
 * wire_reserve - reserve space
 * @wire: all zeros at first
 * @size: number of bytes to write next
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
 * @wire: with space for WIRE_KEY_SIZE
 * @begin: what wire_begin() returned
 * @rest: number of bytes of the message that follow later
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

/* Length of a UTF-8 character that is not ASCII; 0 if it is invalid */
static size_t character(const uint8_t *text, size_t left)
{
	size_t size = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf5 ? 4 : 0;

	if (size > left)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong, a surrogate, or out of range */
	if ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f) ||
	    (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f))
		return 0;
	return size;
}

/**
 * wire_text - write a field that is a string
 * @wire: with space for @size and WIRE_KEY_SIZE + WIRE_NUMBER_SIZE more bytes
 * @field: number of the field
 * @text: any bytes; those that are not UTF-8 become question marks
 * @size: length of @text
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
 * wire_put_number - write a number of variable length, with reservation
 * @wire: the message
 * @value: the number
 */
void wire_put_number(struct wire *wire, uint64_t value)
{
	if (wire_reserve(wire, WIRE_NUMBER_SIZE))
		wire_varint(wire, value);
}

/**
 * wire_put_field - write a field with a number, with reservation
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
 * wire_put_bytes - write bytes unchanged, with reservation
 * @wire: the message
 * @bytes: one or more complete fields
 * @size: number of @bytes
 */
void wire_put_bytes(struct wire *wire, const void *bytes, size_t size)
{
	if (!wire_reserve(wire, size))
		return;
	memcpy(wire->bytes + wire->size, bytes, size);
	wire->size += size;
}

/**
 * wire_put_begin - begin a field with a message or packed numbers, with reservation
 * @wire: the enclosing message; everything until wire_put_end() is in the field
 * @field: number of the field
 *
 * Returns: a value for wire_put_end(). Until then, restoring the old @wire->size undoes everything.
 */
size_t wire_put_begin(struct wire *wire, uint32_t field)
{
	return wire_reserve(wire, WIRE_KEY_SIZE + 1) ? wire_begin(wire, field) : 0;
}

/**
 * wire_put_end - end the field of wire_put_begin()
 * @wire: the message
 * @begin: result of wire_put_begin()
 */
void wire_put_end(struct wire *wire, size_t begin)
{
	if (!wire->failed && wire_reserve(wire, WIRE_KEY_SIZE))
		wire_end(wire, begin, 0);
}

/**
 * wire_release - free the bytes
 * @wire: the bytes, in any state
 */
void wire_release(struct wire *wire)
{
	free(wire->bytes);
	*wire = (struct wire) { 0 };
}
