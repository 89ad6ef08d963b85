/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The events of a rewritten file (rewritten_mark.h) that have no exact times, with the bounds of their errors. An
 * option VERSION before the one with the mark lists them: readers show only the last VERSION and ignore the others.
 *
 *	tsc-offset inexact 1
 *	BUFFER CPU EVENTS HOST_TSC EARLIER LATER
 *	more N
 *
 * The first line has the version of this format. One line for each place follows, with decimal numbers and exactly one
 * blank between them. The last line exists only if the list is incomplete, and has the number of missing places.
 */
#ifndef TSC_OFFSET_INEXACT_TIMES_H
#define TSC_OFFSET_INEXACT_TIMES_H

#include <stddef.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_edit;

/* Most places in the list */
#define INEXACT_TIMES_MAX 1024

/**
 * struct inexact_time - consecutive events that may be earlier or later together
 * @buffer: number of the buffer in the file
 * @cpu: the guest's number of the CPU
 * @nr_events: number of events
 * @host_tsc: time of the first event, in host cycles
 * @earlier, @later: by how many host cycles they may be earlier and later at most
 */
struct inexact_time {
	uint64_t	buffer;
	uint64_t	cpu;
	uint64_t	nr_events;
	uint64_t	host_tsc;
	uint64_t	earlier;
	uint64_t	later;
};

/**
 * struct inexact_times - all such events of a file
 * @list: the places; owned
 * @nr: number of places in @list
 * @more: number of places that are not in @list
 */
struct inexact_times {
	struct inexact_time	*list;
	size_t			nr;
	uint64_t		more;
};

int inexact_times_append(struct inexact_times *times, const struct inexact_time *time);
int inexact_times_add(struct trace_dat_edit *edit, const struct inexact_times *times);
int inexact_times_read(struct inexact_times *times, const struct trace_dat *dat);
void inexact_times_release(struct inexact_times *times);

#endif /* TSC_OFFSET_INEXACT_TIMES_H */
