/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Clocks that are of one sequence of packets, as Perfetto's library for programs has them: such a clock is known by the
 * sequence's own snapshots, and its times may be differences.
 */
#ifndef TSC_OFFSET_SEQUENCES_H
#define TSC_OFFSET_SEQUENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

/**
 * struct sequence_clock - a clock of a sequence
 * @id: which
 * @unit: nanoseconds of its unit
 * @incremental: times are differences
 * @last: the last time, in nanoseconds
 * @at: what it was at its last snapshot, likewise
 * @clock: a clock of the machine that is in the same snapshot
 * @clock_at: what that was
 */
struct sequence_clock {
	uint64_t	id;
	uint64_t	unit;
	bool		incremental;
	uint64_t	last;
	uint64_t	at;
	uint64_t	clock;
	uint64_t	clock_at;
};

/**
 * struct sequence - a sequence of packets
 * @id: its number
 * @valid: packets that need the state of the sequence can be used
 * @default_clock: the clock of packets that name none, 0 for the trace's
 * @clocks: owned
 * @nr: how many
 * @capacity: room there
 */
struct sequence {
	uint64_t		id;
	bool			valid;
	uint64_t		default_clock;
	struct sequence_clock	*clocks;
	size_t			nr;
	size_t			capacity;
};

/**
 * struct sequences - all of a trace; all zeros at first
 * @sequences: in the order of their numbers; owned
 * @nr: how many
 * @capacity: room there
 */
struct sequences {
	struct sequence	*sequences;
	size_t		nr;
	size_t		capacity;
};

int sequences_get(struct sequences *sequences, uint64_t id, struct sequence **sequence);
int sequence_take_snapshot(struct sequence *sequence, struct cursor snapshot);
bool sequence_time(struct sequence *sequence, uint64_t *clock, uint64_t *ns);
void sequences_release(struct sequences *sequences);

#endif /* TSC_OFFSET_SEQUENCES_H */
