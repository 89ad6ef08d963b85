/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Order: comparison functions for qsort() and tsearch(), and binary search. */
#ifndef TSC_OFFSET_ORDER_H
#define TSC_OFFSET_ORDER_H

#include <stddef.h>
#include <stdlib.h>

/* Less than, equal to or greater than 0. Both have the same type, so that no sign is lost */
#define order_of(a, b)	(((a) > (b)) - ((a) < (b)))

#define ORDER_1_(member)	order_of(x_->member, y_->member)
#define ORDER_2_(member, ...)	(ORDER_1_(member) ?: ORDER_1_(__VA_ARGS__))
#define ORDER_3_(member, ...)	(ORDER_1_(member) ?: ORDER_2_(__VA_ARGS__))
#define ORDER_4_(member, ...)	(ORDER_1_(member) ?: ORDER_3_(__VA_ARGS__))
#define ORDER_5_(member, ...)	(ORDER_1_(member) ?: ORDER_4_(__VA_ARGS__))
#define ORDER_PICK_(_1, _2, _3, _4, _5, order, ...)	order

/**
 * ORDER_BY - define a comparison function for qsort() and tsearch()
 * @name: name of the function
 * @type: type of the elements
 * @...: up to five numeric members; each breaks ties of those before it
 */
#define ORDER_BY(name, type, ...)								\
	int name(const void *a_, const void *b_)						\
	{											\
		const type *x_ = a_, *y_ = b_;							\
												\
		return ORDER_PICK_(__VA_ARGS__, ORDER_5_, ORDER_4_, ORDER_3_, ORDER_2_,		\
				   ORDER_1_)(__VA_ARGS__);					\
	}

/**
 * ORDER_NUMBERS - define a comparison function of numbers for qsort()
 * @name: name of the function
 * @type: type of the numbers
 */
#define ORDER_NUMBERS(name, type)								\
	int name(const void *a_, const void *b_)						\
	{											\
		const type *x_ = a_, *y_ = b_;							\
												\
		return order_of(*x_, *y_);							\
	}

/**
 * array_sort - sort an array
 * @array: pointer to the first element; may be NULL if @nr is 0
 * @nr: number of elements
 * @compare: as for qsort()
 */
#define array_sort(array, nr, compare)								\
	do {											\
		if (nr)										\
			qsort(array, nr, sizeof(*(array)), compare);				\
	} while (0)

/**
 * first_where - the first index for which a condition is true, by binary search
 * @i: name of the index in @condition
 * @nr: number of indices, from 0 on
 * @condition: once true, true for all later indices
 *
 * Returns: the index, or @nr if it is true for none.
 */
#define first_where(i, nr, condition)								\
	({											\
		size_t from_ = 0, to_ = (nr);							\
												\
		while (from_ < to_) {								\
			size_t i = from_ + (to_ - from_) / 2;					\
												\
			if (condition)								\
				to_ = i;							\
			else									\
				from_ = i + 1;							\
		}										\
		from_;										\
	})

#endif /* TSC_OFFSET_ORDER_H */
