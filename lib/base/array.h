/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Arrays that grow at their end. */
#ifndef TSC_OFFSET_ARRAY_H
#define TSC_OFFSET_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* Elements of the first allocation: few, because a host can have many VMs */
#define ARRAY_FIRST	4

static inline void *array_grow(void *array, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? 2 * *capacity : ARRAY_FIRST;
	void *grown = reallocarray(array, wanted, size);

	if (grown)
		*capacity = wanted;
	return grown;
}

/**
 * array_reserve - make room for one more element
 * @array: pointer to the first element, NULL for an empty array; updated
 * @nr: number of elements
 * @capacity: a size_t, number of elements that fit, 0 at first; updated
 *
 * Returns: 0, or -ENOMEM; then the array is unchanged.
 */
#define array_reserve(array, nr, capacity)						\
	({										\
		__typeof__(array) grown_ = (nr) < (capacity) ? (array) :		\
			array_grow(array, &(capacity), sizeof(*(array)));		\
											\
		if (grown_)								\
			(array) = grown_;						\
		grown_ ? 0 : -ENOMEM;							\
	})

#endif /* TSC_OFFSET_ARRAY_H */
