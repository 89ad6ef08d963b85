// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Makes names from files and guests safe to show: a terminal interprets control characters, and JSON is UTF-8.
 */
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#include "sanitize.h"

/* Excludes control characters, those of ASCII only below @first, and surrogates */
static bool is_shown(wchar_t sign, wchar_t first)
{
	return sign >= first && !(sign >= 0x7f && sign < 0xa0) && !(sign >= 0xd800 && sign < 0xe000) &&
	       sign <= 0x10ffff;
}

/* Length of the first character of a text, and whether it is shown; an invalid one is one byte */
static size_t first_sign(const char *text, bool utf8, wchar_t first, bool *shown)
{
	size_t max = strnlen(text, MB_LEN_MAX), len = 1;
	mbstate_t state = { 0 };
	wchar_t sign = (unsigned char)*text;

	*shown = false;
	if (*text & 0x80)
		len = utf8 ? mbrtowc(&sign, text, max, &state) : (size_t)-1;
	if (len > max)
		return 1;
	*shown = is_shown(sign, first);
	return len;
}

static void replace(char *text, wchar_t first)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	locale_t before = utf8 ? uselocale(utf8) : NULL;

	while (*text) {
		bool shown;
		size_t len = first_sign(text, utf8, first, &shown);

		if (!shown)
			memset(text, '?', len);
		text += len;
	}
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
}

/**
 * sanitize - replace each byte of a text that cannot be shown by a question mark
 * @text: any text; afterwards UTF-8 without control characters
 */
void sanitize(char *text)
{
	replace(text, ' ');
}

/**
 * sanitized - copy a text, with a question mark for each byte that cannot be shown
 * @text: any text
 *
 * Returns: the copy, to be freed, or NULL without memory.
 */
char *sanitized(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		sanitize(copy);
	return copy;
}

/**
 * sanitized_json - the same for JSON, which escapes ASCII control characters except DEL
 * @text: any text
 *
 * Returns: the copy, to be freed, or NULL without memory.
 */
char *sanitized_json(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		replace(copy, '\x01');
	return copy;
}
