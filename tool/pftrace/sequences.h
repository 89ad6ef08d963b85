/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Clocks that belong to one sequence of packets, as Perfetto's library for programs uses them. Such a clock is known
 * only by the sequence's own snapshots, and its times can be differences.
 */
#ifndef TSC_OFFSET_SEQUENCES_H
#define TSC_OFFSET_SEQUENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

/**
 * struct sequence_clock - a clock of a sequence
 * @id: number of the clock
 * @unit: its unit in nanoseconds
 * @incremental: times are differences
 * @last: the last time, in nanoseconds
 * @at: its value in its last snapshot, in nanoseconds
 * @clock: a clock of the machine in the same snapshot
 * @clock_at: the value of @clock in it
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
 * @valid: packets that need the state of the sequence are usable
 * @default_clock: the clock of packets that name none, 0 for the trace's clock
 * @clocks: its clocks; owned
 * @nr: number of @clocks
 * @capacity: number of clocks that fit without growing
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
 * struct sequences - all sequences of a trace; all zeros at first
 * @sequences: sequences in the order of their numbers; owned
 * @nr: number of @sequences
 * @capacity: number of sequences that fit without growing
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
