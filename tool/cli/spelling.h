/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which word a misspelt one was meant to be. */
#ifndef TSC_OFFSET_SPELLING_H
#define TSC_OFFSET_SPELLING_H

#include <stddef.h>

#define SPELLING_HINT_SIZE 64

/**
 * struct spelling - the search for the right word
 * @word: as it was written
 * @nearest: the first of those words with the fewest errors, NULL if none is near
 * @errors: how many that are
 */
struct spelling {
	const char	*word;
	const char	*nearest;
	size_t		errors;
};

void spelling_try(struct spelling *spelling, const char *right);
const char *spelling_hint(const struct spelling *spelling, const char *dashes, char *hint);

#endif /* TSC_OFFSET_SPELLING_H */
