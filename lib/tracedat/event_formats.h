/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The formats of all events in a trace.dat, as libtraceevent gets them: each number once, in an order that is fast,
 * and not more than it can take up in bounded time and memory.
 */
#ifndef TSC_OFFSET_EVENT_FORMATS_H
#define TSC_OFFSET_EVENT_FORMATS_H

#include <stddef.h>

struct tep_event;
struct tep_handle;
struct print_fmt_check;
struct trace_dat;

/**
 * struct event_formats - what became of a file's formats
 * @bounds: of each event what it takes to print it; owned
 * @nr: how many events there are
 * @nr_fatal: events that are printed by their fields as libtraceevent does not survive their formats
 * @nr_excess: events that are printed by their fields as their print formats, or all of them together, are too much
 */
struct event_formats {
	struct print_fmt_check	*bounds;
	size_t			nr;
	size_t			nr_fatal;
	size_t			nr_excess;
};

int event_formats_read(struct event_formats *formats, struct tep_handle *tep, struct trace_dat *dat);
const struct print_fmt_check *event_formats_bounds(const struct tep_event *event);
void event_formats_release(struct event_formats *formats);

#endif /* TSC_OFFSET_EVENT_FORMATS_H */
