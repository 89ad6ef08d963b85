// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "clock_rows.h"
#include "late_reads.h"
#include "order.h"
#include "packet.h"
#include "packet_file.h"
#include "wire_reader.h"

/* Perfetto takes one every ten seconds: this is a week */
#define MAX_ROWS	65536

static ORDER_BY(compare_rows, struct clock_row, values[CLOCK_ID_BOOTTIME])

static int read_clock(struct cursor bytes, struct clock_reading *reading)
{
	struct wire_field field;
	int ret;

	*reading = (struct clock_reading) { .unit = 1 };
	while ((ret = wire_take_field(&bytes, &field)) > 0) {
		if (field.type != WIRE_NUMBER)
			continue;
		if (field.number == CLOCK_ID)
			reading->id = field.value;
		else if (field.number == CLOCK_TIMESTAMP)
			reading->value = field.value;
		else if (field.number == CLOCK_INCREMENTAL)
			reading->incremental = field.value;
		else if (field.number == CLOCK_UNIT && field.value)
			reading->unit = field.value;
	}
	return ret;
}

/**
 * clock_reading_take - read the next clock of a snapshot
 * @snapshot: the rest of the message; advanced past the clock
 * @reading: result
 * @trace_clock: set if the snapshot has the clock of the whole trace
 *
 * Returns: 1, 0 at the end of the snapshot, or -EBADMSG.
 */
int clock_reading_take(struct cursor *snapshot, struct clock_reading *reading, uint64_t *trace_clock)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_take_field(snapshot, &field)) > 0) {
		if (field.number == SNAPSHOT_CLOCKS && field.type == WIRE_BYTES)
			return read_clock(field.bytes, reading) ? -EBADMSG : 1;
		if (field.number == SNAPSHOT_TRACE_CLOCK && field.type == WIRE_NUMBER)
			*trace_clock = field.value;
	}
	return ret;
}

static int add_row(struct clock_rows *rows, struct packet_file *file, struct cursor snapshot)
{
	const uint32_t needed = 1U << CLOCK_ID_BOOTTIME | 1U << CLOCK_ID_TSC;
	struct clock_reading reading;
	struct clock_row row = { 0 };
	uint64_t trace_clock = 0;
	int ret;

	while ((ret = clock_reading_take(&snapshot, &reading, &trace_clock)) > 0) {
		if (reading.id >= CLOCKS || reading.unit != 1 || reading.incremental ||
		    (reading.id != CLOCK_ID_TSC && reading.value > INT64_MAX >> 1))
			continue;
		row.has |= 1U << reading.id;
		row.values[reading.id] = reading.value;
	}
	if (ret)
		return packet_file_fail(file, ret, "an invalid snapshot of clocks");
	if (trace_clock && trace_clock != CLOCK_ID_BOOTTIME)
		rows->trace_clock = trace_clock;
	if ((row.has & needed) != needed) {
		/* Snapshots of programs have only their own clocks */
		rows->without_tsc += !!(row.has & 1U << CLOCK_ID_BOOTTIME);
		return 0;
	}
	if (rows->nr == MAX_ROWS)
		return packet_file_fail(file, -EFBIG, "too many snapshots of clocks");
	if (array_reserve(rows->rows, rows->nr, rows->capacity))
		return packet_file_fail(file, -ENOMEM, "no memory");
	rows->rows[rows->nr++] = row;
	return 0;
}

static int read_packet(struct clock_rows *rows, struct packet_file *file, struct cursor packet)
{
	struct cursor snapshot = { 0 };
	struct wire_field field;
	bool has_snapshot = false;
	uint64_t machine = 0;
	int ret;

	while ((ret = wire_take_field(&packet, &field)) > 0) {
		if (field.number == PACKET_CLOCK_SNAPSHOT && field.type == WIRE_BYTES) {
			snapshot = field.bytes;
			has_snapshot = true;
		} else if (field.number == PACKET_MACHINE_ID && field.type == WIRE_NUMBER) {
			machine = field.value;
		} else if (field.number == PACKET_COMPRESSED || field.number == PACKET_ZSTD) {
			return packet_file_fail(file, -EOPNOTSUPP,
						"its packets are compressed; use the output of 'traceconv decompress_packets'");
		}
	}
	if (ret)
		return packet_file_fail(file, ret, "an invalid packet");
	if (machine > UINT32_MAX)
		return packet_file_fail(file, -EBADMSG, "an invalid machine");
	if (machine) {
		rows->machines = true;
		if (machine > rows->highest_machine)
			rows->highest_machine = (uint32_t)machine;
	}
	return has_snapshot && !machine ? add_row(rows, file, snapshot) : 0;
}

/**
 * clock_rows_read - read all snapshots of the machine that recorded a trace
 * @rows: result, empty at first; must be released in any case
 * @file: the trace, at its first packet; read to the end
 *
 * Returns: 0 or a negative errno, with the reason in the file's error.
 */
int clock_rows_read(struct clock_rows *rows, struct packet_file *file)
{
	struct cursor packet;
	size_t kept = 0;
	int ret;

	while ((ret = packet_file_next(file, &packet)) > 0) {
		ret = read_packet(rows, file, packet);
		if (ret)
			break;
	}
	if (ret)
		return ret;
	array_sort(rows->rows, rows->nr, compare_rows);
	for (size_t i = 0; i < rows->nr; i++) {
		if (!kept || rows->rows[i].values[CLOCK_ID_BOOTTIME] != rows->rows[kept - 1].values[CLOCK_ID_BOOTTIME])
			rows->rows[kept++] = rows->rows[i];
	}
	rows->nr = kept;
	return 0;
}

/**
 * clock_rows_correct - correct late readings of the TSC
 * @rows: rows of a machine whose TSC does not jump; updated
 *
 * Returns: the largest delay, in cycles; 0 if nothing was changed.
 */
uint64_t clock_rows_correct(struct clock_rows *rows)
{
	struct late_read *reads = calloc(rows->nr + 1, sizeof(*reads));
	uint64_t latest = 0;

	for (size_t i = 0; reads && i < rows->nr; i++) {
		const struct clock_row *row = &rows->rows[i];

		/* Without it, the time is unknown: 0 is not later than the time before */
		reads[i].raw = clock_row_has(row, CLOCK_ID_MONOTONIC_RAW) ? row->values[CLOCK_ID_MONOTONIC_RAW] : 0;
		reads[i].tsc = row->values[CLOCK_ID_TSC] <= INT64_MAX >> 1 ? row->values[CLOCK_ID_TSC] : 0;
	}
	if (reads && late_reads_correct(reads, rows->nr, LATE_READ_MOST, &latest)) {
		for (size_t i = 0; i < rows->nr; i++)
			rows->rows[i].values[CLOCK_ID_TSC] = reads[i].tsc;
	}
	free(reads);
	return latest;
}

/**
 * clock_rows_release - free the rows
 * @rows: the rows, also after a failed read
 */
void clock_rows_release(struct clock_rows *rows)
{
	free(rows->rows);
	*rows = (struct clock_rows) { 0 };
}
