/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The lines of tsc-offset mark in a host's file. */
#ifndef TSC_OFFSET_HOST_MARKS_H
#define TSC_OFFSET_HOST_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_mark.h"

/* Limit of lines. A host with a thousand vCPUs that is marked once a minute has that many in an hour */
#define HOST_MARKS_MAX	(1U << 16)

/**
 * struct host_mark - a line about one vCPU
 * @mark: the line, with host TSCs as in the file
 * @from, @until: the same times by the history's time scale
 * @epoch: epoch of the host's clock
 * @beside_events: events also report changes of this vCPU
 */
struct host_mark {
	struct vcpu_mark	mark;
	uint64_t		from;
	uint64_t		until;
	size_t			epoch;
	bool			beside_events;
};

/**
 * struct host_marks - all lines of a file
 * @list: the lines; owned
 * @nr: number of @list
 * @capacity: number of lines that fit without growing
 * @nr_bad: number of malformed lines, or lines whose time differs from their event's
 * @nr_unknown: number of lines of other versions
 * @nr_excess: number of lines above the limit
 * @nr_early: number of vCPUs that appear only in lines from before the recording
 * @nr_foreign: number of lines of vCPUs without events, although events of threads that do not run them may be theirs
 * @nr_unshown: number of lines of vCPUs that appear nowhere else in the file
 * @nr_wrong: number of lines that contradict events
 * @wrong: the first of these
 */
struct host_marks {
	struct host_mark	*list;
	size_t			nr;
	size_t			capacity;
	uint64_t		nr_bad;
	uint64_t		nr_unknown;
	uint64_t		nr_excess;
	uint64_t		nr_early;
	uint64_t		nr_foreign;
	uint64_t		nr_unshown;
	uint64_t		nr_wrong;
	struct vcpu_mark	wrong;
};

int host_marks_take(struct host_marks *marks, const char *text, size_t size, uint64_t time);
int host_marks_move(struct host_marks *to, struct host_marks *from);
void host_marks_release(struct host_marks *marks);

#endif /* TSC_OFFSET_HOST_MARKS_H */
