/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Converts ftrace records into Perfetto's messages. Each event has a plan, made with its first record, which has the
 * place and the conversion of each field. Perfetto's own message for an event is used if it has all of the event's
 * fields, or if Perfetto builds its tables from it. For any other event the trace describes a message with the names
 * and types of the event's format.
 *
 * Formats and records are not trusted: a field that is not inside its record is omitted.
 */
#ifndef TSC_OFFSET_FTRACE_RECORDS_H
#define TSC_OFFSET_FTRACE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct event_texts;
struct ring_event;
struct tep_handle;

/* Numbers of messages that a trace describes: Perfetto keeps these free */
#define FTRACE_FIRST_DESCRIBED	65536U
#define FTRACE_LAST_DESCRIBED	131072U

/**
 * struct ftrace_records - the conversion of a file's events
 * @tep: its formats; not owned
 * @plans: plans by event number, with one for unknown events at the end; owned
 * @marks: number of the trace_marker event, -1 if the file does not have it
 * @slices: converts its records that begin and end slices; owned
 * @next: number of the next described message; shared by all files
 * @pid: offset of the thread in all records, 0 if the formats do not have it
 * @body: the record being written; owned
 * @nr_cut: result: number of records with a field outside of the record, or a truncated text
 */
struct ftrace_records {
	struct tep_handle	*tep;
	struct ftrace_plan	**plans;
	int			marks;
	struct ftrace_plan	*slices;
	uint32_t		*next;
	size_t			pid;
	struct wire		body;
	uint64_t		nr_cut;
};

int ftrace_records_init(struct ftrace_records *records, struct tep_handle *tep, uint32_t *next);
int ftrace_records_write(struct ftrace_records *records, struct event_texts *texts, const struct ring_event *event,
			 unsigned int cpu, uint64_t ns, uint32_t field, struct wire *wire, struct wire *description);
void ftrace_records_release(struct ftrace_records *records);

#endif /* TSC_OFFSET_FTRACE_RECORDS_H */
