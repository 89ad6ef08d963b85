/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Protobuf's wire format: messages are read field by field, whatever fields they have, and written anew. Nothing here
 * knows what a field means. What is read is not trusted.
 */
#ifndef TSC_OFFSET_WIRE_H
#define TSC_OFFSET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

/* Bytes of the longest number */
#define WIRE_NUMBER_MAX		10

/**
 * enum wire_type - how a field is written; the values are protobuf's
 * @WIRE_NUMBER: a number of up to 64 bits
 * @WIRE_64: eight bytes
 * @WIRE_BYTES: bytes with their length: a message, a string, or packed numbers
 * @WIRE_32: four bytes
 */
enum wire_type {
	WIRE_NUMBER = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5,
};

/**
 * struct wire_field - a field of a message
 * @number: which
 * @type: how it is written
 * @value: of a WIRE_NUMBER
 * @bytes: of a WIRE_BYTES; a part of the message
 * @whole: the field with its tag, to copy it; a part of the message
 */
struct wire_field {
	uint32_t	number;
	enum wire_type	type;
	uint64_t	value;
	struct cursor	bytes;
	struct cursor	whole;
};

/**
 * struct wire_buffer - a message while it is written; all zeros is an empty one
 * @bytes: owned
 * @size: how many
 * @capacity: room there
 * @failed: there was no memory: what is in it is not whole
 */
struct wire_buffer {
	uint8_t		*bytes;
	size_t		size;
	size_t		capacity;
	bool		failed;
};

bool wire_take_number(struct cursor *bytes, uint64_t *value);
int wire_take_field(struct cursor *message, struct wire_field *field);

void wire_put_number(struct wire_buffer *buffer, uint64_t value);
void wire_put_field(struct wire_buffer *buffer, uint32_t number, uint64_t value);
void wire_put_whole(struct wire_buffer *buffer, const struct wire_field *field);
size_t wire_begin(struct wire_buffer *buffer, uint32_t number);
void wire_end(struct wire_buffer *buffer, size_t begin);
void wire_buffer_release(struct wire_buffer *buffer);

#endif /* TSC_OFFSET_WIRE_H */
