// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock_rows.h"
#include "order.h"
#include "sequences.h"

/* Each recording thread has one */
#define MAX_SEQUENCES	65536

/**
 * sequences_get - get a sequence, begun if missing
 * @sequences: the sequences
 * @id: its number
 * @sequence: result; valid until the next call
 *
 * Returns: 0, -E2BIG if there are too many, or -ENOMEM.
 */
int sequences_get(struct sequences *sequences, uint64_t id, struct sequence **sequence)
{
	size_t i = first_where(j, sequences->nr, sequences->sequences[j].id >= id);

	if (i == sequences->nr || sequences->sequences[i].id != id) {
		if (sequences->nr == MAX_SEQUENCES)
			return -E2BIG;
		if (array_reserve(sequences->sequences, sequences->nr, sequences->capacity))
			return -ENOMEM;
		memmove(&sequences->sequences[i + 1], &sequences->sequences[i],
			(sequences->nr - i) * sizeof(*sequences->sequences));
		sequences->sequences[i] = (struct sequence) { .id = id };
		sequences->nr++;
	}
	*sequence = &sequences->sequences[i];
	return 0;
}

static struct sequence_clock *find_clock(struct sequence *sequence, uint64_t id)
{
	for (size_t i = 0; i < sequence->nr; i++) {
		if (sequence->clocks[i].id == id)
			return &sequence->clocks[i];
	}
	return NULL;
}

static bool multiply(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product) && *product <= INT64_MAX;
}

static int set_clock(struct sequence *sequence, const struct clock_reading *reading,
		     const struct clock_reading *reference)
{
	struct sequence_clock *clock = find_clock(sequence, reading->id);
	uint64_t ns;

	if (!multiply(reading->value, reading->unit, &ns))
		return -EBADMSG;
	if (!clock) {
		if (array_reserve(sequence->clocks, sequence->nr, sequence->capacity))
			return -ENOMEM;
		clock = &sequence->clocks[sequence->nr++];
	}
	*clock = (struct sequence_clock) {
		.id = reading->id, .unit = reading->unit, .incremental = reading->incremental, .last = ns, .at = ns,
		.clock = reference->id, .clock_at = reference->value,
	};
	return 0;
}

/**
 * sequence_take_snapshot - update the clocks of a sequence by one of its snapshots
 * @sequence: the sequence
 * @snapshot: the message
 *
 * Returns: 0, -EBADMSG or -ENOMEM.
 */
int sequence_take_snapshot(struct sequence *sequence, struct cursor snapshot)
{
	struct clock_reading reading, reference = { 0 };
	struct cursor again = snapshot;
	uint64_t trace_clock;
	int ret;

	while ((ret = clock_reading_take(&snapshot, &reading, &trace_clock)) > 0) {
		if (reading.id && reading.id < CLOCKS && reading.id != CLOCK_ID_TSC && reading.unit == 1 &&
		    !reading.incremental && (!reference.id || reading.id == CLOCK_ID_BOOTTIME))
			reference = reading;
	}
	if (ret || !reference.id)
		return ret;
	while (!ret && (ret = clock_reading_take(&again, &reading, &trace_clock)) > 0)
		ret = reading.id >= CLOCK_ID_SEQUENCE && reading.id <= CLOCK_ID_SEQUENCE_LAST ?
			set_clock(sequence, &reading, &reference) : 0;
	return ret;
}

/**
 * sequence_time - convert a time of a sequence's own clock into one of a clock of the machine
 * @sequence: the sequence
 * @clock: the clock; updated
 * @ns: the time, in the clock's unit; converted into nanoseconds
 *
 * Returns: false if it is unknown.
 */
bool sequence_time(struct sequence *sequence, uint64_t *clock, uint64_t *ns)
{
	struct sequence_clock *own;
	uint64_t time;

	if (*clock < CLOCK_ID_SEQUENCE)
		return true;
	own = *clock <= CLOCK_ID_SEQUENCE_LAST ? find_clock(sequence, *clock) : NULL;
	if (!own || !multiply(*ns, own->unit, &time))
		return false;
	if (own->incremental)
		time += own->last;
	if (time > INT64_MAX || time < own->at)
		return false;
	own->last = time;
	*clock = own->clock;
	*ns = own->clock_at + (time - own->at);
	return true;
}

/**
 * sequences_release - free all sequences
 * @sequences: the sequences, in any state
 */
void sequences_release(struct sequences *sequences)
{
	for (size_t i = 0; i < sequences->nr; i++)
		free(sequences->sequences[i].clocks);
	free(sequences->sequences);
	*sequences = (struct sequences) { 0 };
}
