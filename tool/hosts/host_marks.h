/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The lines of tsc-offset mark in a host's file. */
#ifndef TSC_OFFSET_HOST_MARKS_H
#define TSC_OFFSET_HOST_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_mark.h"

/* More are ignored. A host with a thousand vCPUs that is marked once a minute has that many in an hour. */
#define HOST_MARKS_MAX	(1U << 16)

/**
 * struct host_mark - of one vCPU
 * @mark: the line; its times are the host's TSC as in the file
 * @from, @until: the same times as the history counts them
 * @epoch: of the host's clock
 * @beside_events: events report changes of this vCPU
 */
struct host_mark {
	struct vcpu_mark	mark;
	uint64_t		from;
	uint64_t		until;
	size_t			epoch;
	bool			beside_events;
};

/**
 * struct host_marks - all of a file
 * @list: owned
 * @nr: how many
 * @capacity: room for this many
 * @nr_bad: lines that begin as one and are not, or whose time is not that of their event
 * @nr_unknown: lines of other versions
 * @nr_excess: lines that were too many
 * @nr_early: vCPUs that only lines from before the recording report
 * @nr_foreign: lines of vCPUs without an event, though those of threads that do not run them may be theirs
 * @nr_unshown: lines of vCPUs of which nothing else in the file shows anything
 * @nr_wrong: lines that do not agree with events
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
