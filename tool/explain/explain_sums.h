/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The results of tsc-offset explain: sums of stretches, exits and wake-ups, and the longest of them. */
#ifndef TSC_OFFSET_EXPLAIN_SUMS_H
#define TSC_OFFSET_EXPLAIN_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sum_table.h"
#include "vcpu_states.h"
#include "wakeups.h"

/* Limit of the lists of the longest */
#define EXPLAIN_MAX_WORST	1000

/**
 * struct explain_filter - selects results
 * @task: comm or pid of a guest's task, NULL for all
 * @worst: length of the lists of the longest
 */
struct explain_filter {
	const char	*task;
	size_t		worst;
};

/**
 * struct worst_list - the longest items of a kind, longest first; of equal ones the earliest first
 * @items: struct exit_cost, struct stretch or struct wakeup; owned
 * @lengths: their durations, in ns; owned
 * @size: size of an item in bytes
 * @nr: number of items
 * @max: greatest number of items
 */
struct worst_list {
	void		*items;
	uint64_t	*lengths;
	size_t		size;
	size_t		nr;
	size_t		max;
};

/**
 * struct explain_sums - the results
 * @filter: selects them
 * @wanted: for each vCPU: it is selected; not owned
 * @exits: exits by reason and task
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
