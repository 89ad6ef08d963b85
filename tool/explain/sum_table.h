/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Sums of times by key, with a limited number of keys. All further keys of a vCPU are summed in one row, so that the
 * sums of each vCPU stay correct.
 */
#ifndef TSC_OFFSET_SUM_TABLE_H
#define TSC_OFFSET_SUM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_states.h"

/* Keys of a table */
#define SUM_TABLE_MAX	(1U << 16)

/**
 * struct sum_key - the key of a sum; unused members are 0
 * @vcpu: index of the vCPU
 * @task, @task_unknown: the guest's task, as in struct task
 * @what: for an exit: enum not_known of its end; for a stretch: enum vcpu_state; for unknown times: enum not_known
 * @reason, @reason_known: for an exit
 * @preemptor, @preemptor_unknown: for a stretch: the thread of the host, as in struct task
 * @preemptor_vcpu, @preemptor_task: what that thread ran
 */
struct sum_key {
	uint32_t	vcpu;
	int32_t		task;
	uint32_t	task_unknown;
	uint32_t	what;
	uint32_t	reason;
	uint32_t	reason_known;
	int32_t		preemptor;
	uint32_t	preemptor_unknown;
	uint32_t	preemptor_vcpu;
	int32_t		preemptor_task;
};

/**
 * struct sum_row - a sum
 * @key: its key
 * @others: it sums all keys of this vCPU that did not fit
 * @task, @preemptor, @preemptor_task: the latest comms
 * @isa: instruction set of an exit's reason
 * @count: number of times
 * @ns: nanoseconds in each state
 * @longest: longest time, in ns
 */
struct sum_row {
	struct sum_key	key;
	bool		others;
	char		task[TASK_COMM_SIZE];
	char		preemptor[TASK_COMM_SIZE];
	char		preemptor_task[TASK_COMM_SIZE];
	uint8_t		isa;
	uint64_t	count;
	uint64_t	ns[NR_VCPU_STATES];
	uint64_t	longest;
};

/**
 * struct sum_table - a table
 * @rows: rows in the order of their first times; owned
 * @nr: number of @rows
 * @capacity: number of rows that fit without growing
 * @max: greatest number of rows
 * @others: for each vCPU the row of the keys that did not fit; owned
 * @nr_vcpus: number of vCPUs
 * @last: for each vCPU the index of the row that was found last; owned
 * @slots: hash table: index of a row plus 1, or 0; owned
 * @nr_slots: size of @slots, a power of 2 or 0
 */
struct sum_table {
	struct sum_row	*rows;
	size_t		nr;
	size_t		capacity;
	size_t		max;
	struct sum_row	*others;
	size_t		nr_vcpus;
	uint32_t	*last;
	uint32_t	*slots;
	size_t		nr_slots;
};

int sum_table_init(struct sum_table *table, size_t nr_vcpus, size_t max);
struct sum_row *sum_table_row(struct sum_table *table, const struct sum_key *key);
void sum_row_add(struct sum_row *row, const uint64_t ns[NR_VCPU_STATES], uint64_t length);
void sum_table_release(struct sum_table *table);

/* Sum of a row's times, in ns */
static inline uint64_t sum_row_total(const struct sum_row *row)
{
	uint64_t total = 0;

	for (size_t i = 0; i < NR_VCPU_STATES; i++)
		total += row->ns[i];
	return total;
}

#endif /* TSC_OFFSET_SUM_TABLE_H */
