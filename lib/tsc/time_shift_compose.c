// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "order.h"
#include "time_shift.h"
#include "time_shift_compose.h"
#include "time_shift_reader.h"

#define MAX_POINTS	(TIME_SHIFT_MAX_SIZE / (4 * sizeof(int64_t)))
/* Limit of additional sync points between two; a straight line needs fewer */
#define MORE_POINTS	128

typedef unsigned __int128 u128;

/* The sync points of a CPU being made */
struct row {
	const struct time_shift_reader	*after;
	const struct time_shift_point	*points;		/* into the host's own time */
	size_t				nr_points;
	size_t				at;		/* the pair for the next time */
	struct time_shift_point		*result;
	size_t				nr;
	size_t				capacity;
	size_t				limit;
};

/* The host's own time of a guest time, by the pair of sync points @at, as readers compute it */
static uint64_t host_time(const struct row *row, size_t at, uint64_t guest_tsc)
{
	const struct time_shift_point *low = &row->points[at], *high = low + 1;
	int64_t length = (int64_t)((uint64_t)high->guest_tsc - (uint64_t)low->guest_tsc);
	__int128 product =
		(__int128)(int64_t)(guest_tsc - (uint64_t)low->guest_tsc) * (high->correction - low->correction);

	return guest_tsc + (uint64_t)low->correction + (uint64_t)(int64_t)((product + length / 2) / length);
}

static uint64_t shown_time(const struct row *row, size_t at, uint64_t guest_tsc)
{
	return time_shift_apply(row->after, 0, host_time(row, at, guest_tsc));
}

static int put(struct row *row, size_t at, uint64_t guest_tsc)
{
	if (row->nr == row->limit)
		return -E2BIG;
	if (array_reserve(row->result, row->nr, row->capacity))
		return -ENOMEM;
	row->result[row->nr++] = (struct time_shift_point) {
		.guest_tsc = (int64_t)guest_tsc, .correction = (int64_t)(shown_time(row, at, guest_tsc) - guest_tsc),
	};
	return 0;
}

/* The product that readers compute between the last sync point and this one, divided by their limit; 0 for a step */
static u128 product_to(const struct row *row, size_t at, uint64_t guest_tsc)
{
	const struct time_shift_point *last = &row->result[row->nr - 1];
	uint64_t length = guest_tsc - (uint64_t)last->guest_tsc;
	uint64_t rise = shown_time(row, at, guest_tsc) - guest_tsc - (uint64_t)last->correction;

	if (rise > INT64_MAX)
		rise = -rise;
	return length <= 1 ? 0 : (u128)length * rise >> TIME_SHIFT_PRODUCT_BITS;
}

/*
 * Add a sync point, and before it as many as readers need to interpolate: @n of them divide the product by the square
 * of @n. More are needed only if the shown times wrap around.
 */
static int add(struct row *row, size_t at, uint64_t guest_tsc)
{
	uint64_t step = UINT64_MAX;
	u128 product;
	int ret = 0;

	if (row->nr && (uint64_t)row->result[row->nr - 1].guest_tsc >= guest_tsc)
		return 0;
	product = row->nr ? product_to(row, at, guest_tsc) : 0;
	if (product > (u128)row->limit * row->limit)
		return -E2BIG;
	for (u128 nr = 0; !ret && row->nr && product_to(row, at, guest_tsc); nr++) {
		uint64_t from = (uint64_t)row->result[row->nr - 1].guest_tsc, left = guest_tsc - from;

		if (nr > MORE_POINTS && nr * nr > 16 * product)
			return -ERANGE;
		/* About as far as the last time */
		for (step = step > left / 2 ? left : 2 * step; product_to(row, at, from + step); step /= 2)
			;
		ret = put(row, at, from + step);
	}
	return ret ? ret : put(row, at, guest_tsc);
}

/*
 * If the other correction bends between two sync points, so does the guest's. Add a pair of sync points, because the
 * bend may be a step
 */
static int add_bends(struct row *row, size_t at, uint64_t from, uint64_t to)
{
	const struct time_shift_sample *samples = row->after->samples[0];
	size_t nr = row->after->nr_samples[0];
	uint64_t host_from = host_time(row, at, from), host_to = host_time(row, at, to);
	size_t begin = first_where(i, nr, (uint64_t)samples[i].ts >= host_from);
	int ret = 0;

	for (size_t i = begin; i < nr && (uint64_t)samples[i].ts <= host_to && !ret; i++) {
		/* The first guest time that is not before it */
		uint64_t first = from + first_where(n, to - from,
						    host_time(row, at, from + n) >= (uint64_t)samples[i].ts);

		if (first > from)
			ret = add(row, at, first - 1);
		if (!ret)
			ret = add(row, at, first);
	}
	return ret;
}

static int compose_row(struct row *row)
{
	uint64_t first = (uint64_t)row->points[0].guest_tsc, last = (uint64_t)row->points[row->nr_points - 1].guest_tsc;
	/* Readers extend the first and the last pair: neither may be a step */
	int ret = first < 2 || last > (uint64_t)INT64_MAX - 2 ? -ERANGE : add(row, 0, first - 2);

	for (size_t at = 0; at + 1 < row->nr_points && !ret; at++) {
		uint64_t from = (uint64_t)row->points[at].guest_tsc, to = (uint64_t)row->points[at + 1].guest_tsc;

		ret = add(row, at, from);
		/* A step has no time between its ends */
		if (!ret && to - from > 1)
			ret = add_bends(row, at, from, to);
		if (!ret)
			ret = add(row, at, to);
	}
	return ret ? ret : add(row, row->nr_points - 2, last + 2);
}

/* All CPUs must have the same number: extend the last line */
static int fill_up(struct row *row, size_t nr)
{
	int ret = 0;

	while (!ret && row->nr < nr)
		ret = put(row, row->nr_points - 2, (uint64_t)row->result[row->nr - 1].guest_tsc + 1);
	return ret;
}

/**
 * time_shift_compose - map a guest's times to the times that readers show of its host
 * @shift: maps the guest's time to its host's; replaced
 * @after: maps that time to the time that readers show, by the corrections of CPU 0
 *
 * Returns: 0, -E2BIG if an option cannot have that many sync points, -ERANGE if a time is too close to the limits of 63
 * bits or shown times wrap around, or -ENOMEM. After an error @shift is unchanged.
 */
int time_shift_compose(struct time_shift *shift, const struct time_shift_reader *after)
{
	struct row *rows = calloc(shift->nr_vcpus, sizeof(*rows));
	struct time_shift composed = { .nr_vcpus = shift->nr_vcpus };
	int ret = rows ? 0 : -ENOMEM;

	for (size_t i = 0; i < shift->nr_vcpus && !ret; i++) {
		rows[i] = (struct row) {
			.after = after, .points = time_shift_vcpu(shift, i), .nr_points = shift->nr_points,
			.limit = MAX_POINTS / shift->nr_vcpus,
		};
		ret = compose_row(&rows[i]);
		if (rows[i].nr > composed.nr_points)
			composed.nr_points = rows[i].nr;
	}
	for (size_t i = 0; i < shift->nr_vcpus && !ret; i++)
		ret = fill_up(&rows[i], composed.nr_points);
	if (!ret) {
		composed.points = calloc(composed.nr_vcpus * composed.nr_points, sizeof(*composed.points));
		ret = composed.points ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < shift->nr_vcpus && !ret; i++)
		memcpy(&composed.points[i * composed.nr_points], rows[i].result,
		       composed.nr_points * sizeof(*composed.points));
	for (size_t i = 0; rows && i < shift->nr_vcpus; i++)
		free(rows[i].result);
	free(rows);
	if (ret)
		return ret;
	time_shift_release(shift);
	*shift = composed;
	return 0;
}
