/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The values of a machine's clocks at the moments at which Perfetto read all of them: its ClockSnapshots. */
#ifndef TSC_OFFSET_CLOCK_ROWS_H
#define TSC_OFFSET_CLOCK_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"

struct packet_file;

/* Perfetto's clocks (BuiltinClock); values are kept for those below CLOCKS */
enum {
	CLOCK_ID_REALTIME	= 1,
	CLOCK_ID_MONOTONIC_RAW	= 5,
	CLOCK_ID_BOOTTIME	= 6,
	CLOCK_ID_TSC		= 9,
	CLOCKS			= 12,
};

/* Clocks between these two belong to one writer of packets each */
enum { CLOCK_ID_SEQUENCE = 64, CLOCK_ID_SEQUENCE_LAST = 127 };

/**
 * struct clock_reading - the value of one clock in a snapshot
 * @id: number of the clock
 * @value: its value, in its own unit
 * @unit: that unit in nanoseconds as in the file; 1 by default
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
 * @has: a bit for each clock of the snapshot, by id
 * @values: their values: nanoseconds, for the TSC cycles
 */
struct clock_row {
	uint32_t	has;
	uint64_t	values[CLOCKS];
};

/**
 * struct clock_rows - the snapshots of a trace
 * @rows: rows in the order of CLOCK_ID_BOOTTIME, no two equal; owned
 * @nr: number of @rows
 * @capacity: number of rows that fit without growing
 * @without_tsc: number of further snapshots without a TSC
 * @machines: a packet belongs to another machine than the one that recorded it
 * @highest_machine: the highest number of such a machine
 * @trace_clock: the clock of the whole trace if it is not CLOCK_ID_BOOTTIME, else 0
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

/* Reads one snapshot clock by clock; returns the result of wire_take_field() */
int clock_reading_take(struct cursor *snapshot, struct clock_reading *reading, uint64_t *trace_clock);

int clock_rows_read(struct clock_rows *rows, struct packet_file *file);
uint64_t clock_rows_correct(struct clock_rows *rows);
void clock_rows_release(struct clock_rows *rows);

static inline bool clock_row_has(const struct clock_row *row, unsigned int clock)
{
	return row->has & 1U << clock;
}

#endif /* TSC_OFFSET_CLOCK_ROWS_H */
