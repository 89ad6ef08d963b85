/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Reads protobuf's wire format, field by field, for messages with any fields. It does not know the meaning of fields,
 * and does not trust the input.
 */
#ifndef TSC_OFFSET_WIRE_READER_H
#define TSC_OFFSET_WIRE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "wire.h"

/**
 * enum wire_type - the encoding of a field, with protobuf's values
 * @WIRE_NUMBER: a number of up to 64 bits
 * @WIRE_64: eight bytes
 * @WIRE_BYTES: bytes with a length: a message, a string, or packed numbers
 * @WIRE_32: four bytes
 */
enum wire_type {
	WIRE_NUMBER = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5,
};

/**
 * struct wire_field - a field of a message
 * @number: its number
 * @type: its encoding
 * @value: for WIRE_NUMBER
 * @bytes: for WIRE_BYTES; inside the message
 * @whole: the field with its tag, for copying; inside the message
 */
struct wire_field {
	uint32_t	number;
	enum wire_type	type;
	uint64_t	value;
	struct cursor	bytes;
	struct cursor	whole;
};

bool wire_take_number(struct cursor *bytes, uint64_t *value);
int wire_take_field(struct cursor *message, struct wire_field *field);

#endif /* TSC_OFFSET_WIRE_READER_H */
