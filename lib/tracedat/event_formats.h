/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The formats of all events of a trace.dat, as libtraceevent is given them: each event number once, in an order that is
 * fast to parse, and no more than it can parse in bounded time and memory.
 */
#ifndef TSC_OFFSET_EVENT_FORMATS_H
#define TSC_OFFSET_EVENT_FORMATS_H

#include <stddef.h>

struct tep_event;
struct tep_handle;
struct print_fmt_check;
struct trace_dat;

/**
 * struct event_formats - the result of loading a file's formats
 * @bounds: the cost of printing each event; owned
 * @nr: number of events
 * @nr_fatal: events printed field by field because their formats crash libtraceevent
 * @nr_excess: events printed field by field because their print formats, or all formats together, are too large
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
