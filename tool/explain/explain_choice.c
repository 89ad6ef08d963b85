// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "explain_choice.h"
#include "explain_words.h"
#include "explanation.h"
#include "guest_file.h"
#include "host_vcpus.h"
#include "merged_recording.h"
#include "order.h"

/* So many are named, and how many more there are is said */
#define MOST_NAMED	10
#define LIST_SIZE	512

static int refuse(const struct explanation *explanation, const char *what, const char *wanted, size_t nr,
		  const char *list, size_t nr_named)
{
	char more[64] = "";

	if (nr > nr_named)
		snprintf(more, sizeof(more), " and %zu more", nr - nr_named);
	return error_set(&explanation->recording->error, -ENOENT, explanation->recording->host.dat.path,
			 "no %s %s is in these recordings; there are: %s%s", what, wanted, nr ? list : "none", more);
}

static ORDER_NUMBERS(compare_ids, uint32_t)

/* As without --vcpu; each number once, several VMs have the same ones */
static uint32_t *list_vcpus(const struct explanation *explanation, size_t *nr)
{
	uint32_t *ids = calloc(explanation->nr_vcpus + 1, sizeof(*ids));
	size_t kept = 0;

	*nr = 0;
	for (size_t i = 0; ids && i < explanation->nr_vcpus; i++) {
		if (explained_vcpu_counts(explanation, &explanation->vcpus[i]))
			ids[(*nr)++] = explanation->vcpus[i].vcpu->vcpu_id;
	}
	if (!ids)
		return NULL;
	array_sort(ids, *nr, compare_ids);
	for (size_t i = 0; i < *nr; i++) {
		if (!kept || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	}
	*nr = kept;
	return ids;
}

static int check_vcpu(const struct explanation *explanation)
{
	_cleanup_(freep) uint32_t *ids = NULL;
	char wanted[16], list[LIST_SIZE] = "";
	size_t nr, used = 0, named;

	if (explanation->request->any_vcpu || any_of(i, explanation->nr_vcpus, explanation->wanted[i]))
		return 0;
	ids = list_vcpus(explanation, &nr);
	if (!ids)
		return -ENOMEM;
	for (named = 0; named < nr && named < MOST_NAMED; named++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%" PRIu32, named ? ", " : "", ids[named]);
	snprintf(wanted, sizeof(wanted), "%" PRIu32, explanation->request->vcpu);
	return refuse(explanation, "vCPU", wanted, nr, list, named);
}

static int compare_tasks(const void *a, const void *b)
{
	const struct sum_row *x = a, *y = b;

	return order_of(x->key.task, y->key.task) ?: memcmp(x->task, y->task, sizeof(x->task));
}

static int compare_totals(const void *a, const void *b)
{
	const struct sum_row *x = a, *y = b;
	uint64_t total_x = sum_row_total(x), total_y = sum_row_total(y);

	return order_of(total_y, total_x) ?: compare_tasks(a, b);
}

/* Those of all vCPUs, each once, those with most time first */
static struct sum_row *list_tasks(const struct sum_table *table, size_t *nr)
{
	struct sum_row *rows = calloc(table->nr + 1, sizeof(*rows));
	size_t kept = 0;

	if (!rows)
		return NULL;
	if (table->nr)
		memcpy(rows, table->rows, table->nr * sizeof(*rows));
	array_sort(rows, table->nr, compare_tasks);
	for (size_t i = 0; i < table->nr; i++) {
		if (kept && !compare_tasks(&rows[kept - 1], &rows[i])) {
			for (size_t j = 0; j < NR_VCPU_STATES; j++)
				rows[kept - 1].ns[j] += rows[i].ns[j];
			continue;
		}
		rows[kept++] = rows[i];
	}
	array_sort(rows, kept, compare_totals);
	*nr = kept;
	return rows;
}

static int check_task(const struct explanation *explanation)
{
	const struct explain_sums *sums = &explanation->sums;
	_cleanup_(freep) struct sum_row *tasks = NULL;
	char wanted[64], list[LIST_SIZE] = "";
	size_t nr, used = 0, named;

	if (!sums->filter->task || sums->found_task)
		return 0;
	tasks = list_tasks(&sums->tasks, &nr);
	if (!tasks)
		return -ENOMEM;
	for (named = 0; named < nr && named < MOST_NAMED; named++) {
		char comm[COMM_TEXT_SIZE];

		explain_comm(comm, tasks[named].task);
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s (%d)", named ? ", " : "", comm,
					 tasks[named].key.task);
	}
	snprintf(wanted, sizeof(wanted), "\"%.40s\"", sums->filter->task);
	return refuse(explanation, "task", wanted, nr, list, named);
}

/**
 * explain_choice_check - are there a vCPU and a task as the user says?
 * @explanation: made
 *
 * Returns: 0 if so, or if the user says nothing; -ENOENT with the reason in the error of the files; or -ENOMEM.
 */
int explain_choice_check(const struct explanation *explanation)
{
	int ret = check_vcpu(explanation);

	return ret ? ret : check_task(explanation);
}
