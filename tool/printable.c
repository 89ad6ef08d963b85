// SPDX-License-Identifier: GPL-2.0
/*
 * Names that others chose, of files and of guests, as they may be shown: a terminal obeys control characters,
 * and JSON is UTF-8.
 */
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "printable.h"

static bool is_utf8(const char *text)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL), before;
	bool valid;

	if (!utf8)
		return false;
	before = uselocale(utf8);
	valid = mbstowcs(NULL, text, 0) != (size_t)-1;
	uselocale(before);
	freelocale(utf8);
	return valid;
}

/**
 * printable - a copy of a text with a question mark for each byte that cannot be shown
 * @text: any text
 *
 * Returns: the copy, to be freed, or NULL without memory.
 */
char *printable(const char *text)
{
	bool utf8 = is_utf8(text);
	char *copy = strdup(text);

	for (char *at = copy; at && *at; at++) {
		unsigned char byte = *at;

		if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
			*at = '?';
		/* U+0080 to U+009F are control characters as well */
		if (utf8 && byte == 0xc2 && (unsigned char)at[1] < 0xa0)
			at[0] = at[1] = '?';
	}
	return copy;
}
