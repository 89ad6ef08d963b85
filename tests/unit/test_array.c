// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "array.h"

void *__real_reallocarray(void *array, size_t nr, size_t size);
void *__wrap_reallocarray(void *array, size_t nr, size_t size);

static size_t nr_calls;
static bool without_memory;

void *__wrap_reallocarray(void *array, size_t nr, size_t size)
{
	nr_calls++;
	return without_memory ? NULL : __real_reallocarray(array, nr, size);
}

static void test_reserve(void **state)
{
	struct { uint64_t *numbers; size_t nr, capacity; } list = { 0 };
	size_t capacity;

	for (; list.nr < 1000; list.nr++) {
		assert_int_equal(array_reserve(list.numbers, list.nr, list.capacity), 0);
		assert_true(list.capacity > list.nr);
		list.numbers[list.nr] = list.nr;
	}
	/* 4, 8, ... 1024 */
	assert_int_equal(nr_calls, 9);
	for (size_t i = 0; i < list.nr; i++)
		assert_int_equal(list.numbers[i], i);
	/* If memory runs out, nothing changes */
	without_memory = true;
	list.nr = capacity = list.capacity;
	assert_int_equal(array_reserve(list.numbers, list.nr, list.capacity), -ENOMEM);
	assert_int_equal(list.capacity, capacity);
	assert_int_equal(list.numbers[999], 999);
	list.nr--;
	assert_int_equal(array_reserve(list.numbers, list.nr, list.capacity), 0);
	free(list.numbers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
