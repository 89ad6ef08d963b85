// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "initial_offsets.h"
#include "number.h"

/**
 * initial_offsets_find - find the initial offset of a vCPU
 * @initial: the offsets
 * @vcpu_id: KVM's vcpu_id
 *
 * Returns: the offset or NULL.
 */
const struct initial_offset *initial_offsets_find(const struct initial_offsets *initial, uint32_t vcpu_id)
{
	for (size_t i = 0; i < initial->nr; i++) {
		if (initial->offsets[i].vcpu_id == vcpu_id)
			return &initial->offsets[i];
	}
	return NULL;
}

/**
 * initial_offsets_add - add the initial offset of a vCPU
 * @initial: the offsets
 * @offset: the offset
 *
 * Returns: 0, -EEXIST if the vCPU has one already, or -ENOMEM.
 */
int initial_offsets_add(struct initial_offsets *initial, const struct initial_offset *offset)
{
	struct initial_offset *offsets;

	if (initial_offsets_find(initial, offset->vcpu_id))
		return -EEXIST;
	offsets = reallocarray(initial->offsets, initial->nr + 1, sizeof(*offsets));
	if (!offsets)
		return -ENOMEM;
	offsets[initial->nr++] = *offset;
	initial->offsets = offsets;
	return 0;
}

/**
 * initial_offsets_parse - parse "VCPU=OFFSET[,VCPU=OFFSET...]"
 * @initial: the list to which the offsets are added
 * @list: vcpu_ids and signed offsets in cycles, decimal or with 0x
 *
 * Returns: 0, -EINVAL if it is malformed, -EEXIST if it has a vCPU twice, or -ENOMEM.
 */
int initial_offsets_parse(struct initial_offsets *initial, const char *list)
{
	for (;;) {
		struct initial_offset offset = { 0 };
		uint64_t vcpu_id;
		char *end;
		int ret;

		if (!number_take(&list, &vcpu_id) || vcpu_id > UINT32_MAX || *list++ != '=')
			return -EINVAL;
		offset.vcpu_id = (uint32_t)vcpu_id;
		errno = 0;
		offset.map.offset = strtoll(list, &end, 0);
		if (errno || end == list || (*end && *end != ','))
			return -EINVAL;
		ret = initial_offsets_add(initial, &offset);
		if (ret || !*end)
			return ret;
		list = end + 1;
	}
}

/**
 * initial_offsets_release - free the offsets
 * @initial: empty afterwards
 */
void initial_offsets_release(struct initial_offsets *initial)
{
	free(initial->offsets);
	*initial = (struct initial_offsets) { 0 };
}
