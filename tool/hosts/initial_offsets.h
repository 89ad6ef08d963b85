/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What is known of offsets that held before a recording began, from elsewhere than from its events. */
#ifndef TSC_OFFSET_INITIAL_OFFSETS_H
#define TSC_OFFSET_INITIAL_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "estimate_bound.h"
#include "mapping.h"

/**
 * struct initial_offset - of one vCPU
 * @vcpu_id: KVM's vcpu_id
 * @map: what held
 * @bound: how far it may be wrong
 */
struct initial_offset {
	uint32_t		vcpu_id;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/**
 * struct initial_offsets - of a VM's vCPUs; all zero for none
 * @offsets: owned
 * @nr: how many
 */
struct initial_offsets {
	struct initial_offset	*offsets;
	size_t			nr;
};

int initial_offsets_add(struct initial_offsets *initial, const struct initial_offset *offset);
int initial_offsets_parse(struct initial_offsets *initial, const char *list);
const struct initial_offset *initial_offsets_find(const struct initial_offsets *initial, uint32_t vcpu_id);
void initial_offsets_release(struct initial_offsets *initial);

#endif /* TSC_OFFSET_INITIAL_OFFSETS_H */
