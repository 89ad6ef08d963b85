/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The answers of tsc-offset explain, as sums of stretches, exits and wake-ups, and the longest of these. */
#ifndef TSC_OFFSET_EXPLAIN_SUMS_H
#define TSC_OFFSET_EXPLAIN_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sum_table.h"
#include "vcpu_states.h"
#include "wakeups.h"

/* No list of the longest is longer */
#define EXPLAIN_MAX_WORST	1000

/**
 * struct explain_filter - of what there are answers
 * @task: comm or number of a guest's task, NULL for all
 * @worst: how many of the longest are listed
 */
struct explain_filter {
	const char	*task;
	size_t		worst;
};

/**
 * struct worst_list - the longest of a kind, the longest first, of equal ones the earliest first
 * @items: struct exit_cost, struct stretch or struct wakeup; owned
 * @lengths: how long they are, in ns; owned
 * @size: bytes of one
 * @nr: how many
 * @max: how many at most
 */
struct worst_list {
	void		*items;
	uint64_t	*lengths;
	size_t		size;
	size_t		nr;
	size_t		max;
};

/**
 * struct explain_sums - the answers
 * @filter: of what
 * @wanted: for each vCPU: there are answers of it; the caller's
 * @exits: by reason and task
 * @steals: stretches without guest mode, by state, preemptor and task
 * @wakeups: by task
 * @times: by task
 * @unknown: what is not known, by cause
 * @tasks: with a filter of tasks: all of these vCPUs, by task
 * @found_task: with a filter of tasks: there was one that it lets through
 * @worst_exits, @worst_steals, @worst_wakeups: the longest
 * @error: 0 or -ENOMEM: the sums are not whole
 */
struct explain_sums {
	const struct explain_filter	*filter;
	const bool			*wanted;
	struct sum_table		exits;
	struct sum_table		steals;
	struct sum_table		wakeups;
	struct sum_table		times;
	struct sum_table		unknown;
	struct sum_table		tasks;
	bool				found_task;
	struct worst_list		worst_exits;
	struct worst_list		worst_steals;
	struct worst_list		worst_wakeups;
	int				error;
};

int explain_sums_init(struct explain_sums *sums, const struct explain_filter *filter, const bool *wanted,
		      size_t nr_vcpus, size_t max_keys);
void explain_sums_stretch(struct explain_sums *sums, const struct stretch *stretch);
void explain_sums_exit(struct explain_sums *sums, const struct exit_cost *exit);
void explain_sums_wakeup(struct explain_sums *sums, const struct wakeup *wakeup);
void explain_sums_release(struct explain_sums *sums);

#endif /* TSC_OFFSET_EXPLAIN_SUMS_H */
