// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "fit_path.h"
#include "fit_ratio.h"
#include "history.h"
#include "order.h"
#include "vcpu_modes.h"

typedef unsigned __int128 u128;

/* Limit of ranges: a recording with more spans has more events than are needed */
#define MAX_RANGES	(1UL << 22)
/* A vCPU that changes its offset more often is not scaled as a whole */
#define MAX_SEGMENTS	256
/* Events tried of each CPU: each excludes some of the ratios */
#define MAX_EVENTS	512UL
/* A prime: its multiples have every remainder modulo a smaller number, in a scattered order */
#define COPRIME		2654435761UL

struct range {
	uint64_t	low;
	uint64_t	high;
};

struct ranges {
	struct range	*ranges;
	size_t		nr;
	size_t		capacity;
};

static int add_range(struct ranges *list, uint64_t low, uint64_t high)
{
	if (list->nr == MAX_RANGES)
		return -E2BIG;
	if (array_reserve(list->ranges, list->nr, list->capacity))
		return -ENOMEM;
	list->ranges[list->nr++] = (struct range) { low, high };
	return 0;
}

static ORDER_BY(compare_ranges, struct range, low)

/* Sorts the ranges, and joins those that touch */
static void join_ranges(struct ranges *list)
{
	size_t nr = 0;

	array_sort(list->ranges, list->nr, compare_ranges);
	for (size_t i = 0; i < list->nr; i++) {
		struct range *last = nr ? &list->ranges[nr - 1] : NULL;

		if (last && list->ranges[i].low <= last->high + 1) {
			if (list->ranges[i].high > last->high)
				last->high = list->ranges[i].high;
		} else {
			list->ranges[nr++] = list->ranges[i];
		}
	}
	list->nr = nr;
}

/* @cycles of the guest over @host cycles, with FIT_RATIO_BITS; bounded */
static uint64_t divide(u128 cycles, uint64_t host)
{
	u128 ratio = (cycles << FIT_RATIO_BITS) / (host ? host : 1);

	return ratio > FIT_RATIO_MAX ? FIT_RATIO_MAX : (uint64_t)ratio;
}

/* The host time at which the guest has counted this many cycles; bounded */
static uint64_t host_time(u128 cycles, uint64_t ratio)
{
	u128 time = (cycles << FIT_RATIO_BITS) / ratio;

	return time > UINT64_MAX ? UINT64_MAX : (uint64_t)time;
}

/*
 * Keep the ratios with which an event is where the vCPU may have been in guest mode while an offset applied. @cycles:
 * the event's guest time without the offset; @from, @to: the span of the offset.
 */
static int narrow_range(struct ranges *left, const struct vcpu_modes *modes, const struct range *range,
			uint64_t cycles, uint64_t from, uint64_t to)
{
	/* Guest times are rounded down: the true time is less than one cycle later */
	u128 end_cycles = (u128)cycles + 1;
	uint64_t first = host_time(cycles, range->high), last = host_time(end_cycles, range->low);
	size_t i;
	int ret = 0;

	/* One more on both sides, because the ratios are rounded too */
	first = first > from ? first - (first > 0) : from;
	last = last < to ? last + (last < UINT64_MAX) : to;
	if (first > last)
		return 0;
	i = vcpu_modes_find(modes, first, 0);
	do {
		/* Before the first span the mode is unknown */
		uint64_t begin = i != MODE_SPAN_NONE && vcpu_modes_from(modes, i) > first ?
			vcpu_modes_from(modes, i) : first;
		uint64_t end = i + 1 < modes->nr && vcpu_modes_from(modes, i + 1) - 1 < last ?
			vcpu_modes_from(modes, i + 1) - 1 : last;
		uint64_t low = divide(cycles, end < UINT64_MAX ? end + 1 : end);
		uint64_t high = divide(end_cycles, begin ? begin - 1 : 0) + 1;

		low = low > range->low ? low : range->low;
		high = high < range->high ? high : range->high;
		if (low <= high && vcpu_modes_at(modes, i) != MODE_HOST)
			ret = add_range(left, low, high);
		/* The span after MODE_SPAN_NONE is number 0 */
		i++;
	} while (!ret && i < modes->nr && vcpu_modes_from(modes, i) <= last);
	return ret;
}

static int narrow(struct ranges *left, const struct ranges *ranges, const struct fit_host *host,
		  const struct fit_vcpu *vcpu, uint64_t guest_tsc)
{
	const struct vcpu_history *history = vcpu->history;
	int ret = 0;

	left->nr = 0;
	for (size_t i = 0; i <= history->nr_segments && !ret; i++) {
		uint64_t from = i ? history->segments[i - 1].host_tsc : 0;
		uint64_t to = i < history->nr_segments ? history->segments[i].host_tsc - 1 : UINT64_MAX;
		struct tsc_mapping map;

		if ((!i && vcpu_history_begins_with_creation(history)) || !vcpu_history_before(history, i, &map))
			continue;
		from = from > host->begin ? from : host->begin;
		to = to < host->end ? to : host->end;
		for (size_t j = 0; j < ranges->nr && !ret && from <= to; j++)
			ret = narrow_range(left, vcpu->modes, &ranges->ranges[j], guest_tsc - (uint64_t)map.offset,
					   from, to);
	}
	join_ranges(left);
	return ret;
}

static void take(struct ranges *to, struct ranges *from)
{
	struct ranges before = *to;

	*to = *from;
	*from = before;
}

/**
 * fit_ratios_begin - begin with all ratios
 * @ratios: result; must be released in any case
 *
 * Returns: 0 or -ENOMEM.
 */
int fit_ratios_begin(struct fit_ratios *ratios)
{
	*ratios = (struct fit_ratios) { malloc(sizeof(*ratios->low)), malloc(sizeof(*ratios->high)), 0 };
	if (!ratios->low || !ratios->high)
		return -ENOMEM;
	ratios->low[0] = FIT_RATIO_MIN;
	ratios->high[0] = FIT_RATIO_MAX;
	ratios->nr = 1;
	return 0;
}

static int set_ratios(struct fit_ratios *ratios, const struct ranges *ranges)
{
	uint64_t *low = reallocarray(ratios->low, ranges->nr + 1, sizeof(*low)), *high;

	if (!low)
		return -ENOMEM;
	ratios->low = low;
	high = reallocarray(ratios->high, ranges->nr + 1, sizeof(*high));
	if (!high)
		return -ENOMEM;
	ratios->high = high;
	ratios->nr = ranges->nr;
	for (size_t i = 0; i < ranges->nr; i++) {
		low[i] = ranges->ranges[i].low;
		high[i] = ranges->ranges[i].high;
	}
	return 0;
}

/**
 * fit_ratios_narrow - keep the ratios with which events of a CPU lie in guest mode
 * @ratios: the ratios so far
 * @host: the host; times before and after its recording do not count
 * @vcpu: index of the CPU's vCPU
 * @times: guest times of events, in cycles
 * @nr_times: number of @times; some of them are tried
 *
 * Returns: 0, also if no ratio remains, -E2BIG if there are too many ranges, or -ENOMEM.
 */
int fit_ratios_narrow(struct fit_ratios *ratios, const struct fit_host *host, size_t vcpu, const uint64_t *times,
		      size_t nr_times)
{
	const struct fit_vcpu *on = &host->vcpus[vcpu];
	size_t tried = nr_times < MAX_EVENTS ? nr_times : MAX_EVENTS;
	struct ranges ranges = { 0 }, left = { 0 };
	int ret = on->history->nr_segments > MAX_SEGMENTS ? -E2BIG : 0;

	for (size_t i = 0; i < ratios->nr && !ret; i++)
		ret = add_range(&ranges, ratios->low[i], ratios->high[i]);
	for (size_t i = 0; i < tried && !ret && ranges.nr; i++) {
		/* In a scattered order: neighbouring events permit almost the same ratios */
		size_t which = (size_t)((u128)(i * COPRIME % tried) * nr_times / tried);

		ret = narrow(&left, &ranges, host, on, times[which]);
		take(&ranges, &left);
	}
	if (!ret)
		ret = set_ratios(ratios, &ranges);
	free(ranges.ranges);
	free(left.ranges);
	return ret;
}

/**
 * fit_ratios_release - free the ratios
 * @ratios: the ratios, also after a failure, or all zeros
 */
void fit_ratios_release(struct fit_ratios *ratios)
{
	free(ratios->low);
	free(ratios->high);
	*ratios = (struct fit_ratios) { 0 };
}
