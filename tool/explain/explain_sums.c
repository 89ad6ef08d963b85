// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "explain_sums.h"
#include "number.h"
#include "order.h"

static int init_worst(struct worst_list *list, size_t size, size_t max)
{
	*list = (struct worst_list) {
		.items = calloc(max + 1, size), .lengths = calloc(max + 1, sizeof(*list->lengths)), .size = size,
		.max = max,
	};
	return list->items && list->lengths ? 0 : -ENOMEM;
}

static void add_worst(struct worst_list *list, const void *item, uint64_t length)
{
	size_t at = first_where(i, list->nr, list->lengths[i] < length);
	char *place = (char *)list->items + at * list->size;

	if (at >= list->max)
		return;
	/* There is space for one more than is kept */
	memmove(place + list->size, place, (list->nr - at) * list->size);
	memmove(list->lengths + at + 1, list->lengths + at, (list->nr - at) * sizeof(*list->lengths));
	memcpy(place, item, list->size);
	list->lengths[at] = length;
	if (list->nr < list->max)
		list->nr++;
}

/**
 * explain_sums_init - begin with empty sums
 * @sums: result; must be released in any case
 * @filter: selects results; not owned
 * @wanted: for each vCPU: it is selected; not owned
 * @nr_vcpus: number of @wanted
 * @max_keys: number of keys in each table
 *
 * Returns: 0 or -ENOMEM.
 */
int explain_sums_init(struct explain_sums *sums, const struct explain_filter *filter, const bool *wanted,
		      size_t nr_vcpus, size_t max_keys)
{
	size_t worst = filter->worst < EXPLAIN_MAX_WORST ? filter->worst : EXPLAIN_MAX_WORST;

	*sums = (struct explain_sums) { .filter = filter, .wanted = wanted };
	return sum_table_init(&sums->exits, nr_vcpus, max_keys) || sum_table_init(&sums->steals, nr_vcpus, max_keys) ||
		sum_table_init(&sums->wakeups, nr_vcpus, max_keys) ||
		sum_table_init(&sums->times, nr_vcpus, max_keys) ||
		sum_table_init(&sums->unknown, nr_vcpus, max_keys) ||
		sum_table_init(&sums->tasks, nr_vcpus, max_keys) ||
		init_worst(&sums->worst_exits, sizeof(struct exit_cost), worst) ||
		init_worst(&sums->worst_steals, sizeof(struct stretch), worst) ||
		init_worst(&sums->worst_wakeups, sizeof(struct wakeup), worst) ? -ENOMEM : 0;
}

static bool is_named(const char *wanted, const struct task *task)
{
	uint64_t pid;

	if (number_parse(wanted, &pid) && pid == (uint64_t)task->pid)
		return true;
	return strnlen(wanted, TASK_COMM_SIZE + 1) <= TASK_COMM_SIZE && !strncmp(wanted, task->comm, TASK_COMM_SIZE);
}

static bool wants(struct explain_sums *sums, uint32_t vcpu, const struct task *task)
{
	const char *wanted = sums->filter->task;

	if (!sums->wanted[vcpu])
		return false;
	if (!wanted)
		return true;
	if (task->unknown || !is_named(wanted, task))
		return false;
	sums->found_task = true;
	return true;
}

static struct sum_key key_of(uint32_t vcpu, const struct task *task)
{
	return (struct sum_key) { .vcpu = vcpu, .task = task->unknown ? 0 : task->pid, .task_unknown = task->unknown };
}

static struct sum_row *find_row(struct explain_sums *sums, struct sum_table *table, const struct sum_key *key,
				const struct task *task)
{
	struct sum_row *row = sum_table_row(table, key);

	if (!row)
		sums->error = -ENOMEM;
	else if (!row->others)
		memcpy(row->task, task->comm, sizeof(row->task));
	return row;
}

static void add(struct explain_sums *sums, struct sum_table *table, const struct sum_key *key, const struct task *task,
		const uint64_t ns[NR_VCPU_STATES], uint64_t length)
{
	struct sum_row *row = find_row(sums, table, key, task);

	if (row)
		sum_row_add(row, ns, length);
}

static void add_steal(struct explain_sums *sums, const struct stretch *stretch, const uint64_t ns[NR_VCPU_STATES],
		      uint64_t length)
{
	struct sum_key key = key_of(stretch->vcpu, &stretch->task);
	struct sum_row *row;

	key.what = stretch->state;
	if (stretch->state == VCPU_STOLEN) {
		key.preemptor = stretch->preemptor.pid;
		key.preemptor_unknown = stretch->preemptor.unknown;
		key.preemptor_vcpu = stretch->preemptor_vcpu;
		key.preemptor_task = stretch->preemptor_task.pid;
		add_worst(&sums->worst_steals, stretch, length);
	}
	row = find_row(sums, &sums->steals, &key, &stretch->task);
	if (!row)
		return;
	if (!row->others) {
		memcpy(row->preemptor, stretch->preemptor.comm, sizeof(row->preemptor));
		memcpy(row->preemptor_task, stretch->preemptor_task.comm, sizeof(row->preemptor_task));
	}
	sum_row_add(row, ns, length);
}

/**
 * explain_sums_stretch - add a stretch
 * @sums: the sums
 * @stretch: the stretch
 */
void explain_sums_stretch(struct explain_sums *sums, const struct stretch *stretch)
{
	uint64_t length = stretch->to.ns - stretch->from.ns, ns[NR_VCPU_STATES] = { 0 };
	struct sum_key key = key_of(stretch->vcpu, &stretch->task);

	ns[stretch->state] = length;
	if (wants(sums, stretch->vcpu, &stretch->task)) {
		add(sums, &sums->times, &key, &stretch->task, ns, length);
		if (stretch->state != VCPU_GUEST && stretch->state != VCPU_UNKNOWN)
			add_steal(sums, stretch, ns, length);
	}
	/* To say which there are if it is none of them */
	if (sums->filter->task && !sums->found_task && sums->wanted[stretch->vcpu] && !stretch->task.unknown)
		add(sums, &sums->tasks, &key, &stretch->task, ns, length);
	if (stretch->state == VCPU_UNKNOWN && sums->wanted[stretch->vcpu]) {
		static const struct task none;

		key = key_of(stretch->vcpu, &none);
		key.what = stretch->unknown;
		add(sums, &sums->unknown, &key, &none, ns, length);
	}
}

/**
 * explain_sums_exit - add an exit
 * @sums: the sums
 * @exit: a finished exit
 */
void explain_sums_exit(struct explain_sums *sums, const struct exit_cost *exit)
{
	uint64_t length = exit->to.ns - exit->from.ns;
	struct sum_key key = key_of(exit->vcpu, &exit->task);
	struct sum_row *row;

	if (!wants(sums, exit->vcpu, &exit->task))
		return;
	key.what = exit->open;
	key.reason = exit->reason.known ? exit->reason.code : 0;
	key.reason_known = exit->reason.known;
	row = find_row(sums, &sums->exits, &key, &exit->task);
	if (row && !row->others)
		row->isa = exit->reason.isa;
	if (row)
		sum_row_add(row, exit->ns, length);
	add_worst(&sums->worst_exits, exit, length);
}

/**
 * explain_sums_wakeup - add a wake-up
 * @sums: the sums
 * @wakeup: a finished wake-up
 */
void explain_sums_wakeup(struct explain_sums *sums, const struct wakeup *wakeup)
{
	uint64_t length = wakeup->to.ns - wakeup->from.ns;
	struct sum_key key = key_of(wakeup->vcpu, &wakeup->task);

	if (!wants(sums, wakeup->vcpu, &wakeup->task))
		return;
	add(sums, &sums->wakeups, &key, &wakeup->task, wakeup->ns, length);
	add_worst(&sums->worst_wakeups, wakeup, length);
}

static void release_worst(struct worst_list *list)
{
	free(list->items);
	free(list->lengths);
}

/**
 * explain_sums_release - free the sums
 * @sums: the sums, also after a failed init
 */
void explain_sums_release(struct explain_sums *sums)
{
	sum_table_release(&sums->exits);
	sum_table_release(&sums->steals);
	sum_table_release(&sums->wakeups);
	sum_table_release(&sums->times);
	sum_table_release(&sums->unknown);
	sum_table_release(&sums->tasks);
	release_worst(&sums->worst_exits);
	release_worst(&sums->worst_steals);
	release_worst(&sums->worst_wakeups);
}
