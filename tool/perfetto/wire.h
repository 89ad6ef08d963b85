/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Writes protobuf messages field by field, for what is written with each event: in one pass and without an object in
 * memory. protobuf-c writes all other messages.
 */
#ifndef TSC_OFFSET_WIRE_H
#define TSC_OFFSET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Size of the longest number, and of the longest key of a field with a number */
#define WIRE_NUMBER_SIZE	10
#define WIRE_KEY_SIZE		5

/**
 * struct wire - bytes being written
 * @bytes: the bytes; owned
 * @size: number of @bytes
 * @capacity: bytes allocated at @bytes
 * @failed: memory ran out
 */
struct wire {
	uint8_t	*bytes;
	size_t	size;
	size_t	capacity;
	bool	failed;
};

bool wire_reserve(struct wire *wire, size_t size);
void wire_end(struct wire *wire, size_t begin, size_t rest);
void wire_text(struct wire *wire, uint32_t field, const char *text, size_t size);
void wire_put_number(struct wire *wire, uint64_t value);
void wire_put_field(struct wire *wire, uint32_t field, uint64_t value);
void wire_put_bytes(struct wire *wire, const void *bytes, size_t size);
size_t wire_put_begin(struct wire *wire, uint32_t field);
void wire_put_end(struct wire *wire, size_t begin);
void wire_release(struct wire *wire);

/* The functions below need space reserved by wire_reserve() */

static inline void wire_varint(struct wire *wire, uint64_t value)
{
	/* A pointer to bytes may alias anything, so @wire itself is written only once */
	uint8_t *at = wire->bytes + wire->size;

	while (value >= 0x80) {
		*at++ = (uint8_t)value | 0x80;
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	wire->size = (size_t)(at - wire->bytes);
}

/* A field with a number; a negative one is written as its 64 bits */
static inline void wire_number(struct wire *wire, uint32_t field, uint64_t value)
{
	wire_varint(wire, field << 3);
	wire_varint(wire, value);
}

/**
 * wire_begin - begin a field that is a message
 * @wire: with reserved space
 * @field: number of the field
 *
 * Returns: its begin, for wire_end(). Most messages are short: their length takes one byte.
 */
static inline size_t wire_begin(struct wire *wire, uint32_t field)
{
	wire_varint(wire, field << 3 | 2);
	return ++wire->size;
}

#endif /* TSC_OFFSET_WIRE_H */
