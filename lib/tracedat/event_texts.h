/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the events of a trace.dat are called and what they say, as trace-cmd report -N prints it: by libtraceevent,
 * with the file's own formats and names. Plugins are left out: a file says the same on each machine.
 *
 * Records are held against their formats before the library sees them, which believes every offset in them.
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
 * @formats: what became of the formats; owned
 * @symbols: the kernel's functions; owned
 * @conversions: what a line of trace_printk() converts at most
 * @steps: what all texts took
 * @allowed: what they may have taken, by what they were of
 * @nr_untold: result: how many events are without a text as it would have taken more, or been too long a line
 * @line: the text of the event that was read last; owned
 * @record: a copy of its bytes, with zeros behind them; owned
 * @capacity: room at @record
 * @type, @pid: the common fields by which the library finds every record's number and thread: those of the event with
 *	the lowest number, whichever a record is of
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
 * struct event_text - what an event says; valid until the next is read
 * @system: the event's system
 * @name: its name
 * @pid: the thread that it is of, -1 if that is not known
 * @comm: what that thread is called
 * @text: what it says, without the line's end
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
