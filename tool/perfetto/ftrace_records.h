/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Records of ftrace as Perfetto's messages of them. For each event of a file a plan says where in a record which field
 * is, and what becomes of it; it is made when the first record is seen. An event that Perfetto has a message for is
 * that message, if all its fields have a place there or Perfetto builds its tables from it; any other has a message
 * that the trace describes itself, with the names and types of the event's format.
 *
 * Nothing in formats and records is trusted: a field that is not inside its record is left out.
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

/* Numbers of messages that a trace describes itself: Perfetto keeps these free */
#define FTRACE_FIRST_DESCRIBED	65536U
#define FTRACE_LAST_DESCRIBED	131072U

/**
 * struct ftrace_records - the events of a file
 * @tep: its formats; the caller's
 * @plans: by the numbers of the events, the last of all without a format; owned
 * @marks: number of the event of trace_marker, -1 if the file does not have it
 * @slices: what becomes of its records that say where slices begin and end; owned
 * @next: number of the next message that is described; all files share it
 * @pid: where all records have their thread, 0 if the formats do not say
 * @body: of the record that is written; owned
 * @nr_cut: result: records with a field that is not inside, or a text that was cut
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
