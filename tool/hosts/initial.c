// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "initial.h"
#include "number.h"

/**
 * initial_value - find a vCPU's value
 * @initial: the values
 * @vcpu_id: KVM's vcpu_id
 *
 * Returns: the value or NULL.
 */
const struct initial_value *initial_value(const struct initial_values *initial, uint32_t vcpu_id)
{
	for (size_t i = 0; i < initial->nr; i++) {
		if (initial->values[i].vcpu_id == vcpu_id)
			return &initial->values[i];
	}
	return NULL;
}

/**
 * initial_values_add - add a vCPU's value
 * @initial: the values
 * @value: the value
 *
 * Returns: 0, -EEXIST if there is one already, or -ENOMEM.
 */
int initial_values_add(struct initial_values *initial, const struct initial_value *value)
{
	struct initial_value *values;

	if (initial_value(initial, value->vcpu_id))
		return -EEXIST;
	values = reallocarray(initial->values, initial->nr + 1, sizeof(*values));
	if (!values)
		return -ENOMEM;
	values[initial->nr++] = *value;
	initial->values = values;
	return 0;
}

/**
 * initial_values_parse - read "VCPU=OFFSET[,VCPU=OFFSET...]"
 * @initial: the values, to which these are added
 * @list: vcpu_ids and signed offsets in cycles, decimal or with 0x
 *
 * Returns: 0, -EINVAL if it is no such list, -EEXIST if it names a vCPU twice, or -ENOMEM.
 */
int initial_values_parse(struct initial_values *initial, const char *list)
{
	for (;;) {
		struct initial_value value = { 0 };
		uint64_t vcpu_id;
		char *end;
		int ret;

		if (!number_take(&list, &vcpu_id) || vcpu_id > UINT32_MAX || *list++ != '=')
			return -EINVAL;
		value.vcpu_id = (uint32_t)vcpu_id;
		errno = 0;
		value.map.offset = strtoll(list, &end, 0);
		if (errno || end == list || (*end && *end != ','))
			return -EINVAL;
		ret = initial_values_add(initial, &value);
		if (ret || !*end)
			return ret;
		list = end + 1;
	}
}

/**
 * initial_values_release - free the values
 * @initial: none afterwards
 */
void initial_values_release(struct initial_values *initial)
{
	free(initial->values);
	*initial = (struct initial_values) { 0 };
}
