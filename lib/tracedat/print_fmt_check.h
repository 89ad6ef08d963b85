/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Whether libtraceevent stays inside a record while it prints an event as the event's format wants it, and how much
 * it has to do for that. The format is of the file, and may want lengths, indices and divisors of the record's bytes,
 * which the library believes.
 */
#ifndef TSC_OFFSET_PRINT_FMT_CHECK_H
#define TSC_OFFSET_PRINT_FMT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct tep_event;

/* What of an event is printed */
enum print_way {
	PRINT_FIELDS,		/* its fields, and nothing of its print format */
	PRINT_CONVERTED,	/* its fields, each as the print format converts it */
	PRINT_FORMAT,		/* what its print format says */
};

/**
 * struct print_fmt_check - what it takes to print an event
 * @way: the most that the library can do inside the records
 * @steps: how many fields, operations and names it goes over
 * @length: bytes of the line at most, but for those that are copied of the record
 * @copies: how often the record's bytes may be in it, four bytes for each
 */
struct print_fmt_check {
	enum print_way	way;
	size_t		steps;
	size_t		length;
	size_t		copies;
};

/**
 * struct print_text - what a printf() format has
 * @bound: no width is taken from the record, or is out of proportion
 * @conversions: at most as many
 * @width: bytes of all widths and precisions
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
