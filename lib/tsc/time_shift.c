// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "history.h"
#include "time_shift.h"

typedef unsigned __int128 u128;

/* Greatest distance of sync points of a scaled guest, in guest cycles: some minutes */
#define MAX_STEP	(1ULL << 40)
/* A sync point consists of four numbers */
#define POINT_SIZE	(4 * sizeof(int64_t))
#define VCPU_SIZE	sizeof(uint32_t)
#define HEAD_SIZE	16
/* Readers sort times as signed and search them as unsigned numbers: both agree within one half of 64 bits */
#define HALF		(1ULL << 63)

/* The sync points of one vCPU being laid */
struct point_list {
	struct time_shift_point	*points;
	size_t			nr;
	size_t			capacity;
	size_t			limit;
	struct tsc_mapping	last;	/* the mapping at the end */
};

static int add_point(struct point_list *list, const struct tsc_mapping *map, uint64_t guest_tsc)
{
	uint64_t host_tsc;
	int ret = tsc_host_from_guest(map, guest_tsc, &host_tsc);

	if (ret)
		return ret;
	if (list->nr == list->limit)
		return -E2BIG;
	if (array_reserve(list->points, list->nr, list->capacity))
		return -ENOMEM;
	list->points[list->nr++] = (struct time_shift_point) {
		.guest_tsc	= (int64_t)guest_tsc,
		.correction	= (int64_t)(host_tsc - guest_tsc),
	};
	return 0;
}

/* Greatest distance of two sync points of a scaled vCPU, in guest cycles */
static uint64_t point_step(const struct tsc_mapping *map)
{
	uint64_t step;

	for (step = MAX_STEP; step > 1; step /= 2) {
		u128 host = ((u128)step << map->frac_bits) / map->ratio;
		u128 slope = host > step ? host - step : step - host;

		if (slope < (1ULL << TIME_SHIFT_PRODUCT_BITS) / step)
			break;
	}
	return step;
}

/* Add sync points from @from to @to, both included, close enough for a reader to interpolate */
static int add_line(struct point_list *list, const struct tsc_mapping *map, uint64_t from, uint64_t to)
{
	uint64_t step = tsc_mapping_scaled(map) ? point_step(map) : UINT64_MAX;
	int ret;

	if ((to - from) / step > list->limit)
		return -E2BIG;
	ret = add_point(list, map, from);
	while (!ret && to - from > step) {
		from += step;
		ret = add_point(list, map, from);
	}
	if (!ret && from < to)
		ret = add_point(list, map, to);
	return ret;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int lay_points(struct point_list *list, const struct vcpu_history *vcpu, uint64_t host_from,
		     uint64_t host_to)
{
	const struct tsc_segment *segments = vcpu->segments;
	uint64_t start, end, half;
	struct tsc_mapping map;
	bool first = true;
	size_t i = 0;
	int ret;

	host_from = max_u64(host_from, vcpu->begins);
	while (i < vcpu->nr_segments && segments[i].host_tsc <= host_from)
		i++;
	if (!vcpu_history_before(vcpu, i, &map))
		return -ENODATA;
	start = tsc_guest_from_host(&map, host_from);
	half = start & HALF;

	for (; i < vcpu->nr_segments && segments[i].host_tsc <= host_to; i++) {
		uint64_t host_tsc = segments[i].host_tsc;
		uint64_t old = tsc_guest_from_host(&map, host_tsc);
		uint64_t new = tsc_guest_from_host(&segments[i].map, host_tsc);
		uint64_t next;

		if (tsc_mapping_equal(&segments[i].map, &map))
			continue;
		/* Replaced before the vCPU ran */
		if (i + 1 < vcpu->nr_segments && segments[i + 1].host_tsc == host_tsc)
			continue;
		/*
		 * If the vCPU's TSC jumps forward, the new line begins with its own first correction. If it jumps
		 * backward, times up to the jump stay on the old line, unless the guest's events show which belong to
		 * the new one. The times that the new line repeats are lost: vcpu_history_backward() returns that
		 * range.
		 */
		next = segments[i].guest_from ? segments[i].guest_from : max_u64(old, new);
		if ((old & HALF) != half || (new & HALF) != half || (next & HALF) != half)
			return -ERANGE;
		if (first) {
			/* The reader extends the first pair, so it must not be the step */
			next = max_u64(next, half + 2);
			if (start > next - 2)
				start = next - 2;
		}
		/* The whole old line may lie in the range that an earlier jump lost */
		if (next > start) {
			ret = add_line(list, &map, start, next - 1);
			if (ret)
				return ret;
			start = next;
			first = false;
		}
		map = segments[i].map;
	}

	/* The reader also extends the last pair */
	end = tsc_guest_from_host(&map, host_to);
	if ((end & HALF) != half)
		return -ERANGE;
	end = max_u64(end, start + 1);
	if (end <= start || (end & HALF) != half)
		return -ERANGE;
	list->last = map;
	return add_line(list, &map, start, end);
}

/* Extend the last line up to @nr sync points: all vCPUs must have the same number */
static int pad(struct point_list *list, size_t nr)
{
	uint64_t step = tsc_mapping_scaled(&list->last) ? point_step(&list->last) : 1;
	uint64_t half = list->points[0].guest_tsc & HALF;
	int ret = 0;

	while (!ret && list->nr < nr) {
		uint64_t next = (uint64_t)list->points[list->nr - 1].guest_tsc + step;

		ret = (next & HALF) == half ? add_point(list, &list->last, next) : -ERANGE;
	}
	return ret;
}

/**
 * time_shift_build - convert histories into sync points
 * @shift: result; release with time_shift_release()
 * @vcpus: one history for each CPU of the guest, in the guest's order of CPUs
 * @nr_vcpus: number of @vcpus, at least one
 * @host_from: host TSC, in cycles, at or before the first event of the guest's recording
 * @host_to: host TSC, in cycles, at or after the last event; later changes are ignored
 *
 * Returns: 0 or
 * -EINVAL without a vCPU,
 * -ENODATA if a vCPU has neither an event nor an initial offset,
 * -ERANGE if a guest time cannot be expressed: it crosses 2^63, or has no host time,
 * -E2BIG if the option would be larger than TIME_SHIFT_MAX_SIZE,
 * -ENOMEM.
 */
int time_shift_build(struct time_shift *shift, const struct vcpu_history *const *vcpus,
		     size_t nr_vcpus, uint64_t host_from, uint64_t host_to)
{
	struct point_list *lists;
	size_t nr_points = 0, limit, i;
	int ret = 0;

	*shift = (struct time_shift) { 0 };
	if (!nr_vcpus)
		return -EINVAL;
	limit = (TIME_SHIFT_MAX_SIZE - HEAD_SIZE) / nr_vcpus;
	if (limit < VCPU_SIZE + 2 * POINT_SIZE)
		return -E2BIG;
	lists = calloc(nr_vcpus, sizeof(*lists));
	if (!lists)
		return -ENOMEM;
	for (i = 0; i < nr_vcpus && !ret; i++) {
		lists[i].limit = (limit - VCPU_SIZE) / POINT_SIZE;
		ret = lay_points(&lists[i], vcpus[i], host_from, host_to);
		nr_points = max_u64(nr_points, lists[i].nr);
	}
	for (i = 0; i < nr_vcpus && !ret; i++)
		ret = pad(&lists[i], nr_points);
	if (!ret) {
		shift->points = calloc(nr_vcpus * nr_points, sizeof(*shift->points));
		ret = shift->points ? 0 : -ENOMEM;
	}
	if (!ret) {
		shift->nr_vcpus = nr_vcpus;
		shift->nr_points = nr_points;
		for (i = 0; i < nr_vcpus; i++)
			memcpy(&shift->points[i * nr_points], lists[i].points,
			       nr_points * sizeof(*shift->points));
	}
	for (i = 0; i < nr_vcpus; i++)
		free(lists[i].points);
	free(lists);
	return ret;
}

/**
 * time_shift_vcpu - get the sync points of one vCPU
 * @shift: a time shift
 * @vcpu: number of the CPU in the guest
 *
 * Returns: @shift->nr_points sync points, owned by @shift.
 */
const struct time_shift_point *time_shift_vcpu(const struct time_shift *shift, size_t vcpu)
{
	return &shift->points[vcpu * shift->nr_points];
}

/**
 * time_shift_release - free a time shift
 * @shift: a time shift, or empty
 */
void time_shift_release(struct time_shift *shift)
{
	free(shift->points);
	*shift = (struct time_shift) { 0 };
}

static void *put(void *to, const void *from, size_t size)
{
	return (char *)memcpy(to, from, size) + size;
}

static void *put_u64(void *to, uint64_t value)
{
	return put(to, &value, sizeof(value));
}

static void *put_u32(void *to, uint32_t value)
{
	return put(to, &value, sizeof(value));
}

/**
 * time_shift_encode - make the TIME_SHIFT option
 * @shift: a time shift
 * @host_trace_id: TRACEID of the host's file
 * @option: result: the option's payload, to be freed with free()
 * @size: result: bytes at @option
 *
 * The layout is that of trace-cmd.dat.v7(5), in the byte order of this machine: u64 trace id; u32 flags;
 * u32 vCPUs; for each vCPU u32 n, s64 time[n], s64 correction[n], s64 scaling[n]; then for each vCPU
 * s64 fraction_bits[n].
 *
 * Returns: 0 or -ENOMEM.
 */
int time_shift_encode(const struct time_shift *shift, uint64_t host_trace_id,
		      void **option, size_t *size)
{
	size_t points = shift->nr_points;
	void *p;

	*size = HEAD_SIZE + shift->nr_vcpus * (VCPU_SIZE + points * POINT_SIZE);
	*option = p = malloc(*size);
	if (!p)
		return -ENOMEM;

	p = put_u64(p, host_trace_id);
	p = put_u32(p, TIME_SHIFT_INTERPOLATE);
	p = put_u32(p, shift->nr_vcpus);
	for (size_t vcpu = 0; vcpu < shift->nr_vcpus; vcpu++) {
		const struct time_shift_point *point = time_shift_vcpu(shift, vcpu);

		p = put_u32(p, points);
		for (size_t i = 0; i < points; i++)
			p = put_u64(p, point[i].guest_tsc);
		for (size_t i = 0; i < points; i++)
			p = put_u64(p, point[i].correction);
		for (size_t i = 0; i < points; i++)
			p = put_u64(p, TIME_SHIFT_SCALING);
	}
	for (size_t i = 0; i < shift->nr_vcpus * points; i++)
		p = put_u64(p, TIME_SHIFT_FRACTION);
	return 0;
}
