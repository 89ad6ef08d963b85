/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What is known of offsets that held before a recording began, from elsewhere than from its events. */
#ifndef TSC_OFFSET_INITIAL_H
#define TSC_OFFSET_INITIAL_H

#include <stddef.h>
#include <stdint.h>

#include "estimate_bound.h"
#include "mapping.h"

/**
 * struct initial_value - of one vCPU
 * @vcpu_id: KVM's vcpu_id
 * @map: what held
 * @bound: how far it may be wrong
 */
struct initial_value {
	uint32_t		vcpu_id;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/**
 * struct initial_values - of a VM's vCPUs; all zero for none
 * @values: owned
 * @nr: how many
 */
struct initial_values {
	struct initial_value	*values;
	size_t			nr;
};

int initial_values_add(struct initial_values *initial, const struct initial_value *value);
int initial_values_parse(struct initial_values *initial, const char *list);
const struct initial_value *initial_value(const struct initial_values *initial, uint32_t vcpu_id);
void initial_values_release(struct initial_values *initial);

#endif /* TSC_OFFSET_INITIAL_H */
