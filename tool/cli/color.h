/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Colours of the words that matter, on a terminal and nowhere else (https://no-color.org). */
#ifndef TSC_OFFSET_COLOR_H
#define TSC_OFFSET_COLOR_H

#include <stdio.h>

/**
 * enum color - what a word says
 * @COLOR_GOOD: all is right
 * @COLOR_DOUBT: it is not known whether all is right
 * @COLOR_BAD: something is wrong
 */
enum color { COLOR_GOOD, COLOR_DOUBT, COLOR_BAD };

const char *color_begin(enum color color, FILE *file);
const char *color_end(FILE *file);

#endif /* TSC_OFFSET_COLOR_H */
