/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What the clocks of a machine were, at the moments at which Perfetto read all of them: its ClockSnapshots. */
#ifndef TSC_OFFSET_CLOCK_ROWS_H
#define TSC_OFFSET_CLOCK_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

struct packet_file;

/* Perfetto's clocks (BuiltinClock); of those below CLOCKS are values kept */
enum {
	CLOCK_ID_REALTIME	= 1,
	CLOCK_ID_MONOTONIC_RAW	= 5,
	CLOCK_ID_BOOTTIME	= 6,
	CLOCK_ID_TSC		= 9,
	CLOCKS			= 12,
};

/* Clocks from the first to the last of these are of one writer of packets each */
enum { CLOCK_ID_SEQUENCE = 64, CLOCK_ID_SEQUENCE_LAST = 127 };

/**
 * struct clock_reading - one clock of a snapshot
 * @id: which
 * @value: what it was, in its own unit
 * @unit: nanoseconds of that unit, as the file says; 1 if it says nothing
 * @incremental: times of packets are differences
 */
struct clock_reading {
	uint64_t	id;
	uint64_t	value;
	uint64_t	unit;
	bool		incremental;
};

/**
 * struct clock_row - a snapshot that has CLOCK_ID_BOOTTIME and CLOCK_ID_TSC
 * @has: a bit for each clock that it has, by its id
 * @values: of these: nanoseconds, of the TSC cycles
 */
struct clock_row {
	uint32_t	has;
	uint64_t	values[CLOCKS];
};

/**
 * struct clock_rows - those of a trace
 * @rows: in the order of CLOCK_ID_BOOTTIME, no two equal; owned
 * @nr: how many
 * @capacity: room there
 * @without_tsc: how many more there are that lack a TSC
 * @machines: a packet is of another machine than the one that recorded it
 * @highest_machine: the greatest number of such a machine
 * @trace_clock: a clock other than CLOCK_ID_BOOTTIME that is the time of the whole trace; 0 without
 */
struct clock_rows {
	struct clock_row	*rows;
	size_t			nr;
	size_t			capacity;
	uint64_t		without_tsc;
	bool			machines;
	uint32_t		highest_machine;
	uint64_t		trace_clock;
};

/* Reads one snapshot clock by clock; returns as wire_take_field() */
int clock_reading_take(struct cursor *snapshot, struct clock_reading *reading, uint64_t *trace_clock);

int clock_rows_read(struct clock_rows *rows, struct packet_file *file);
uint64_t clock_rows_correct(struct clock_rows *rows);
void clock_rows_release(struct clock_rows *rows);

static inline bool clock_row_has(const struct clock_row *row, unsigned int clock)
{
	return row->has & 1U << clock;
}

#endif /* TSC_OFFSET_CLOCK_ROWS_H */
