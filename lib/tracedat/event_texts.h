/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The names and texts of a trace.dat's events, as trace-cmd report -N prints them: by libtraceevent, with the file's
 * own formats and names. Plugins are not used, so that a file has the same texts on every machine.
 *
 * Records are checked against their formats before the library reads them, because it trusts every offset in them.
 */
#ifndef TSC_OFFSET_EVENT_TEXTS_H
#define TSC_OFFSET_EVENT_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trace-seq.h>

#include "event_formats.h"
#include "kernel_symbols.h"

struct ring_event;
struct tep_format_field;
struct tep_handle;
struct trace_dat;

/**
 * struct event_texts - the formats of a file
 * @tep: formats and names; owned
 * @formats: the result of loading the formats; owned
 * @symbols: the kernel's functions; owned
 * @conversions: the most conversions that a line of trace_printk() may have
 * @steps: the cost of all texts so far
 * @allowed: the limit of that cost, by the sizes of the records
 * @nr_untold: result: number of events without a text because its cost or its length was too large
 * @line: the text of the last event; owned
 * @record: a copy of the record, followed by zeros; owned
 * @capacity: bytes allocated at @record
 * @type, @pid: the common fields by which the library finds the event number and thread of any record: those of the
 *	event with the lowest number
 */
struct event_texts {
	struct tep_handle		*tep;
	struct event_formats		formats;
	struct kernel_symbols		symbols;
	size_t				conversions;
	uint64_t			steps;
	uint64_t			allowed;
	uint64_t			nr_untold;
	struct trace_seq		line;
	uint8_t				*record;
	size_t				capacity;
	struct tep_format_field		*type;
	struct tep_format_field		*pid;
};

/**
 * struct event_text - the text of an event; valid until the next is read
 * @system: the event's system
 * @name: its name
 * @pid: the event's thread, -1 if unknown
 * @comm: name of that thread
 * @text: the text, without newline
 */
struct event_text {
	const char	*system;
	const char	*name;
	int		pid;
	const char	*comm;
	const char	*text;
};

int event_texts_open(struct event_texts *texts, struct trace_dat *dat);
int event_texts_read(struct event_texts *texts, const struct ring_event *event, unsigned int cpu,
		     struct event_text *result);
void event_texts_close(struct event_texts *texts);

#endif /* TSC_OFFSET_EVENT_TEXTS_H */
