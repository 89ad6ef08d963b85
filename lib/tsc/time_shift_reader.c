// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "cursor.h"
#include "order.h"
#include "time_shift.h"
#include "time_shift_reader.h"

#define NUMBER_SIZE sizeof(int64_t)
/* Shifts of 64-bit numbers on x86 use only the lowest bits of the count */
#define SHIFT_MASK 63

/* Reads one of the arrays of a vCPU's samples; @member is that of the first sample. There are enough bytes. */
static void take_numbers(struct cursor *cursor, int64_t *member, size_t nr)
{
	size_t stride = sizeof(struct time_shift_sample) / sizeof(*member);

	for (size_t i = 0; i < nr; i++)
		cursor_take(cursor, &member[i * stride], sizeof(*member));
}

static int take_samples(struct time_shift_reader *reader, size_t vcpu, struct cursor *cursor)
{
	struct time_shift_sample *samples;
	uint32_t nr;

	if (!cursor_take(cursor, &nr, sizeof(nr)) || nr > cursor->left / (3 * NUMBER_SIZE))
		return -EBADMSG;
	/* One more than needed, so that the array is never empty */
	samples = calloc(nr + 1UL, sizeof(*samples));
	if (!samples)
		return -ENOMEM;
	take_numbers(cursor, &samples->ts, nr);
	take_numbers(cursor, &samples->offset, nr);
	take_numbers(cursor, &samples->scaling, nr);
	reader->samples[vcpu] = samples;
	reader->nr_samples[vcpu] = nr;
	return 0;
}

static int take_fractions(struct time_shift_reader *reader, struct cursor *cursor)
{
	/* trace-cmd 2.9 wrote none */
	if (!cursor->left)
		return 0;
	for (size_t i = 0; i < reader->nr_vcpus; i++) {
		if (reader->nr_samples[i] > cursor->left / NUMBER_SIZE)
			return -EBADMSG;
		take_numbers(cursor, &reader->samples[i]->frac, reader->nr_samples[i]);
	}
	return 0;
}

/* Of two samples at the same time, the first in the option comes first and is kept */
static int compare_samples(const void *a, const void *b)
{
	const struct time_shift_sample *x = *(const struct time_shift_sample *const *)a;
	const struct time_shift_sample *y = *(const struct time_shift_sample *const *)b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool in_order(const struct time_shift_sample *samples, size_t nr)
{
	for (size_t i = 1; i < nr; i++) {
		if (samples[i - 1].ts >= samples[i].ts)
			return false;
	}
	return true;
}

static int sort_samples(struct time_shift_reader *reader, size_t vcpu)
{
	struct time_shift_sample *samples = reader->samples[vcpu], *sorted;
	size_t nr = reader->nr_samples[vcpu], kept = 0;
	const struct time_shift_sample **order;

	if (in_order(samples, nr))
		return 0;
	order = calloc(nr, sizeof(*order));
	sorted = calloc(nr + 1, sizeof(*sorted));
	if (!order || !sorted) {
		free(order);
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < nr; i++)
		order[i] = &samples[i];
	array_sort(order, nr, compare_samples);
	for (size_t i = 0; i < nr; i++) {
		if (!kept || sorted[kept - 1].ts != order[i]->ts)
			sorted[kept++] = *order[i];
	}
	free(order);
	free(samples);
	reader->samples[vcpu] = sorted;
	reader->nr_samples[vcpu] = kept;
	return 0;
}

static int decode(struct time_shift_reader *reader, struct cursor *cursor)
{
	uint32_t flags, nr_vcpus;
	int ret = 0;

	if (!cursor_take(cursor, &reader->host_trace_id, sizeof(reader->host_trace_id)) ||
	    !cursor_take(cursor, &flags, sizeof(flags)) ||
	    !cursor_take(cursor, &nr_vcpus, sizeof(nr_vcpus)))
		return -ENODATA;
	reader->interpolate = flags & TIME_SHIFT_INTERPOLATE;
	/* Each vCPU has at least a number of samples */
	if (nr_vcpus > cursor->left / sizeof(uint32_t))
		return -EBADMSG;
	reader->samples = calloc(nr_vcpus + 1UL, sizeof(*reader->samples));
	reader->nr_samples = calloc(nr_vcpus + 1UL, sizeof(*reader->nr_samples));
	reader->recent = calloc(nr_vcpus + 1UL, sizeof(*reader->recent));
	if (!reader->samples || !reader->nr_samples || !reader->recent)
		return -ENOMEM;
	reader->nr_vcpus = nr_vcpus;
	for (size_t i = 0; i < nr_vcpus && !ret; i++)
		ret = take_samples(reader, i, cursor);
	if (!ret)
		ret = take_fractions(reader, cursor);
	for (size_t i = 0; i < nr_vcpus && !ret; i++)
		ret = sort_samples(reader, i);
	return ret;
}

/**
 * time_shift_decode - decode an option
 * @reader: result; must be released in any case. After an error it corrects nothing.
 * @option: the option's payload, in the byte order of this machine
 * @size: bytes at @option
 *
 * Returns: 0 or
 * -ENODATA if the option is so short that readers skip it,
 * -EBADMSG if it is truncated: readers then refuse the whole file,
 * -ENOMEM.
 */
int time_shift_decode(struct time_shift_reader *reader, const void *option, size_t size)
{
	struct cursor cursor = { option, size };
	int ret;

	*reader = (struct time_shift_reader) { 0 };
	ret = decode(reader, &cursor);
	if (ret)
		time_shift_reader_release(reader);
	return ret;
}

/**
 * time_shift_reader_release - free a decoded option
 * @reader: the option, also after a failed decode
 */
void time_shift_reader_release(struct time_shift_reader *reader)
{
	for (size_t i = 0; i < reader->nr_vcpus; i++)
		free(reader->samples[i]);
	free(reader->samples);
	free(reader->nr_samples);
	free(reader->recent);
	*reader = (struct time_shift_reader) { 0 };
}

/**
 * time_shift_corrects - does a reader correct the times of this vCPU?
 * @reader: the option, or all zeros
 * @vcpu: number of the CPU in the guest
 *
 * Returns: true if so; false also if the option does not have the CPU.
 */
bool time_shift_corrects(const struct time_shift_reader *reader, size_t vcpu)
{
	return vcpu < reader->nr_vcpus && reader->nr_samples[vcpu];
}

/* Divides as the processor does, but without a trap if the quotient does not fit */
static int64_t divide(uint64_t dividend, int64_t divisor)
{
	return divisor == -1 ? (int64_t)-dividend : (int64_t)dividend / divisor;
}

static uint64_t correct(const struct time_shift_reader *reader, const struct time_shift_sample *pair,
			uint64_t ts)
{
	const struct time_shift_sample *low = &pair[0], *high = &pair[1];
	uint64_t correction = (uint64_t)low->offset;

	if (reader->interpolate) {
		int64_t length = (int64_t)((uint64_t)high->ts - (uint64_t)low->ts);
		uint64_t rise = (uint64_t)high->offset - (uint64_t)low->offset;
		uint64_t product = (ts - (uint64_t)low->ts) * rise;

		/* Never 0: all samples have distinct times */
		correction += (uint64_t)divide(product + (uint64_t)(length / 2), length);
	}
	return ((ts * (uint64_t)low->scaling) >> (low->frac & SHIFT_MASK)) + correction;
}

/**
 * time_shift_apply - get the host time that a reader shows for a guest time
 * @reader: the option, or all zeros
 * @vcpu: number of the CPU in the guest
 * @guest_tsc: guest time, in cycles
 *
 * Returns: host time, in cycles; @guest_tsc itself for a vCPU that is not corrected.
 */
uint64_t time_shift_apply(const struct time_shift_reader *reader, size_t vcpu, uint64_t guest_tsc)
{
	const struct time_shift_sample *samples;
	size_t nr, *recent;

	if (!time_shift_corrects(reader, vcpu))
		return guest_tsc;
	samples = reader->samples[vcpu];
	nr = reader->nr_samples[vcpu];
	if (nr == 1)
		return guest_tsc + (uint64_t)samples[0].offset;
	if (guest_tsc <= (uint64_t)samples[0].ts)
		return correct(reader, &samples[0], guest_tsc);
	if (guest_tsc >= (uint64_t)samples[nr - 1].ts)
		return correct(reader, &samples[nr - 2], guest_tsc);
	/*
	 * The first sample precedes the last one also as unsigned numbers: all samples lie in the same half of 64 bits,
	 * so both comparisons have the same order.
	 */
	recent = &reader->recent[vcpu];
	if ((uint64_t)samples[*recent].ts > guest_tsc || (uint64_t)samples[*recent + 1].ts <= guest_tsc)
		*recent = first_where(i, nr - 1, (uint64_t)samples[i].ts > guest_tsc) - 1;
	return correct(reader, &samples[*recent], guest_tsc);
}
