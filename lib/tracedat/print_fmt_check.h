/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Checks whether libtraceevent reads only inside a record when it prints an event by the event's format, and at what
 * cost. The format is part of the file. It can take lengths, indices and divisors from the record, which the library
 * trusts.
 */
#ifndef TSC_OFFSET_PRINT_FMT_CHECK_H
#define TSC_OFFSET_PRINT_FMT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct tep_event;

/* How much of an event is printed */
enum print_way {
	PRINT_FIELDS,		/* its fields, without its print format */
	PRINT_CONVERTED,	/* its fields, each as the print format converts it */
	PRINT_FORMAT,		/* its print format */
};

/**
 * struct print_fmt_check - the cost of printing an event
 * @way: the most that the library can print without reading outside the records
 * @steps: number of fields, operations and names that it processes
 * @length: length of the line at most, without the parts copied from the record
 * @copies: how often the line may contain the record's bytes, four characters for each
 */
struct print_fmt_check {
	enum print_way	way;
	size_t		steps;
	size_t		length;
	size_t		copies;
};

/**
 * struct print_text - the contents of a printf() format
 * @bound: false if a width comes from the record or is excessive
 * @conversions: number of conversions at most
 * @width: sum of all widths and precisions in bytes
 * @widest: the largest of them
 */
struct print_text {
	bool	bound;
	size_t	conversions;
	size_t	width;
	size_t	widest;
};

struct print_text print_fmt_check_text(const char *text);
struct print_fmt_check print_fmt_check_event(struct tep_event *event, enum print_way way);

#endif /* TSC_OFFSET_PRINT_FMT_CHECK_H */
