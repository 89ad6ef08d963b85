/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Initial offsets that are known from other sources than the recording's events. */
#ifndef TSC_OFFSET_INITIAL_OFFSETS_H
#define TSC_OFFSET_INITIAL_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "estimate_bound.h"
#include "mapping.h"

/**
 * struct initial_offset - the initial offset of one vCPU
 * @vcpu_id: KVM's vcpu_id
 * @map: offset and scaling
 * @bound: error bound of @map
 */
struct initial_offset {
	uint32_t		vcpu_id;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/**
 * struct initial_offsets - the initial offsets of a VM's vCPUs; all zeros if empty
 * @offsets: the offsets; owned
 * @nr: number of @offsets
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
