/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether libtraceevent stays inside a record while it prints an event as the event's format wants it. The format is
 * of the file, and may want lengths, indices and divisors of the record's bytes, which the library believes.
 */
#ifndef TSC_OFFSET_PRINT_BOUNDS_H
#define TSC_OFFSET_PRINT_BOUNDS_H

#include <stdbool.h>

struct tep_event;

bool print_bounds_text(const char *text);
bool print_bounds_event(struct tep_event *event);

#endif /* TSC_OFFSET_PRINT_BOUNDS_H */
