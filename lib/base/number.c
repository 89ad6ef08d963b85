// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "number.h"

/**
 * number_take - read the number at the beginning of a text
 * @text: the text; on success advanced past the number
 * @number: result
 *
 * Returns: false if the text does not begin with a digit, or if the number has more than 64 bits.
 */
bool number_take(const char **text, uint64_t *number)
{
	const char *at = *text;

	for (*number = 0; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*at - '0'), number))
			return false;
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}

/**
 * number_parse - read a number that is the whole text
 * @text: the number
 * @number: result
 *
 * Returns: false for any other text.
 */
bool number_parse(const char *text, uint64_t *number)
{
	return number_take(&text, number) && !*text;
}

/**
 * number_grouped - format a number with commas
 * @number: the number
 * @text: room for the result
 *
 * Returns: @text, such as "45,758".
 */
const char *number_grouped(uint64_t number, char text[NUMBER_GROUPED_SIZE])
{
	char digits[NUMBER_GROUPED_SIZE];
	size_t nr = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number), at = 0;

	for (size_t i = 0; i < nr; i++) {
		if (i && !((nr - i) % 3))
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = '\0';
	return text;
}
