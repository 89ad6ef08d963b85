// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "sum_table.h"

#define FIRST_SLOTS	64

/**
 * sum_table_init - begin with an empty table
 * @table: result; must be released in any case
 * @nr_vcpus: number of vCPUs
 * @max: greatest number of keys, at most SUM_TABLE_MAX
 *
 * Returns: 0 or -ENOMEM.
 */
int sum_table_init(struct sum_table *table, size_t nr_vcpus, size_t max)
{
	*table = (struct sum_table) {
		.max = max, .others = calloc(nr_vcpus + 1, sizeof(*table->others)), .nr_vcpus = nr_vcpus,
		.last = calloc(nr_vcpus + 1, sizeof(*table->last)),
		.slots = calloc(FIRST_SLOTS, sizeof(*table->slots)), .nr_slots = FIRST_SLOTS,
	};
	if (!table->others || !table->last || !table->slots)
		return -ENOMEM;
	for (size_t i = 0; i < nr_vcpus; i++) {
		table->others[i].key.vcpu = (uint32_t)i;
		table->others[i].others = true;
	}
	return 0;
}

/* By members, as same_key(): a read of two at once would wait until they are in memory */
static uint64_t mix(uint64_t value, uint32_t a, uint32_t b)
{
	value = (value ^ (a * 0xc2b2ae3d27d4eb4fULL + b)) * 0x9e3779b97f4a7c15ULL;
	return value ^ value >> 32;
}

static uint64_t hash(const struct sum_key *key)
{
	uint64_t value = mix(0, key->vcpu, (uint32_t)key->task);

	value = mix(value, key->task_unknown, key->what);
	value = mix(value, key->reason, key->reason_known);
	value = mix(value, (uint32_t)key->preemptor, key->preemptor_unknown);
	return mix(value, key->preemptor_vcpu, (uint32_t)key->preemptor_task);
}

/* Not memcmp(): it would wait until the members of a new key are in memory */
static bool same_key(const struct sum_key *a, const struct sum_key *b)
{
	return a->vcpu == b->vcpu && a->task == b->task && a->task_unknown == b->task_unknown && a->what == b->what &&
		a->reason == b->reason && a->reason_known == b->reason_known && a->preemptor == b->preemptor &&
		a->preemptor_unknown == b->preemptor_unknown && a->preemptor_vcpu == b->preemptor_vcpu &&
		a->preemptor_task == b->preemptor_task;
}

static size_t find_slot(const struct sum_table *table, const struct sum_key *key)
{
	size_t i = hash(key) & (table->nr_slots - 1);

	while (table->slots[i] && !same_key(&table->rows[table->slots[i] - 1].key, key))
		i = (i + 1) & (table->nr_slots - 1);
	return i;
}

static int grow(struct sum_table *table)
{
	uint32_t *slots = calloc(2 * table->nr_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(table->slots);
	table->slots = slots;
	table->nr_slots *= 2;
	for (size_t i = 0; i < table->nr; i++)
		table->slots[find_slot(table, &table->rows[i].key)] = (uint32_t)i + 1;
	return 0;
}

/**
 * sum_table_row - get the row of a key, created if missing
 * @table: the table
 * @key: the key
 *
 * Returns: the row, or the vCPU's row of other keys, valid until the next one is created; NULL without memory.
 */
struct sum_row *sum_table_row(struct sum_table *table, const struct sum_key *key)
{
	uint32_t *last = &table->last[key->vcpu];
	size_t slot;

	/* A vCPU usually repeats its last key */
	if (*last < table->nr && same_key(&table->rows[*last].key, key))
		return &table->rows[*last];
	slot = find_slot(table, key);
	if (table->slots[slot]) {
		*last = table->slots[slot] - 1;
		return &table->rows[*last];
	}
	if (table->nr >= table->max)
		return &table->others[key->vcpu];
	if (array_reserve(table->rows, table->nr, table->capacity))
		return NULL;
	table->rows[table->nr] = (struct sum_row) { .key = *key };
	table->slots[slot] = (uint32_t)++table->nr;
	if (2 * table->nr > table->nr_slots && grow(table))
		return NULL;
	return &table->rows[table->nr - 1];
}

/**
 * sum_row_add - add a time
 * @row: row of its key
 * @ns: its nanoseconds in each state
 * @length: its whole length
 */
void sum_row_add(struct sum_row *row, const uint64_t ns[NR_VCPU_STATES], uint64_t length)
{
	row->count++;
	for (size_t i = 0; i < NR_VCPU_STATES; i++)
		row->ns[i] += ns[i];
	if (length > row->longest)
		row->longest = length;
}

/**
 * sum_table_release - free a table
 * @table: the table, also after a failed init
 */
void sum_table_release(struct sum_table *table)
{
	free(table->rows);
	free(table->others);
	free(table->last);
	free(table->slots);
	*table = (struct sum_table) { 0 };
}
