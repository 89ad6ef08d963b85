// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "spelling.h"

/* No verb or option is longer */
#define MAX_LENGTH	32
/* More errors than these make another word; in a short one a single error is as much as may be */
#define MAX_ERRORS	2
#define LONG_WORD	5

static char lower(char c)
{
	return (char)tolower((unsigned char)c);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/*
 * Letters that are missing, too many, wrong, or in the place of their neighbour (optimal string alignment). Upper and
 * lower case are one. @errors[i][j] are those of the first i letters of @a and the first j of @b.
 */
static size_t count_errors(const char *a, const char *b)
{
	size_t errors[MAX_LENGTH + 1][MAX_LENGTH + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	for (size_t i = 0; i <= a_length; i++) {
		for (size_t j = 0; j <= b_length; j++) {
			size_t *here = &errors[i][j];
			size_t wrong;

			if (!i || !j) {
				*here = i + j;
				continue;
			}
			wrong = lower(a[i - 1]) != lower(b[j - 1]);
			*here = smallest(errors[i - 1][j] + 1, errors[i][j - 1] + 1, errors[i - 1][j - 1] + wrong);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				*here = smallest(*here, errors[i - 2][j - 2] + 1, *here);
		}
	}
	return errors[a_length][b_length];
}

/**
 * spelling_try - may a word be the one that was meant?
 * @spelling: with @spelling->word, all else zeros at first
 * @right: a word that there is
 */
void spelling_try(struct spelling *spelling, const char *right)
{
	size_t length = strlen(right), errors;

	if (length > MAX_LENGTH || strlen(spelling->word) > MAX_LENGTH)
		return;
	errors = count_errors(spelling->word, right);
	if (errors > (length < LONG_WORD ? 1 : MAX_ERRORS) || (spelling->nearest && errors >= spelling->errors))
		return;
	spelling->nearest = right;
	spelling->errors = errors;
}

/**
 * spelling_hint - say which word may have been meant
 * @spelling: all words were tried
 * @dashes: what is before the word, "--" for an option
 * @hint: SPELLING_HINT_SIZE bytes
 *
 * Returns: @hint, to follow a message of the wrong word; "" if no word is near.
 */
const char *spelling_hint(const struct spelling *spelling, const char *dashes, char *hint)
{
	*hint = '\0';
	if (spelling->nearest)
		snprintf(hint, SPELLING_HINT_SIZE, " (did you mean '%s%s'?)", dashes, spelling->nearest);
	return hint;
}
