// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "color.h"

static bool is_wanted(FILE *file)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

	if (no_color && *no_color)
		return false;
	return terminal && *terminal && strcmp(terminal, "dumb") != 0 && isatty(fileno(file));
}

/**
 * color_begin - what makes a terminal show the words that follow in a colour
 * @color: what they say
 * @file: where they are written to
 *
 * Returns: a sequence for the terminal; "" if @file is none, or if the user wants no colours.
 */
const char *color_begin(enum color color, FILE *file)
{
	static const char *const sequences[] = {
		[COLOR_GOOD]	= "\033[32m",
		[COLOR_DOUBT]	= "\033[33m",
		[COLOR_BAD]	= "\033[31m",
	};

	return is_wanted(file) ? sequences[color] : "";
}

/**
 * color_end - what ends color_begin()
 * @file: where the words were written to
 *
 * Returns: a sequence, or "".
 */
const char *color_end(FILE *file)
{
	return is_wanted(file) ? "\033[m" : "";
}
