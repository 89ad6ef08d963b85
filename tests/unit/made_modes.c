// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_modes.h"

/**
 * made_modes - make the spans of a vCPU
 * @letters: one letter for each 10 cycles from host TSC 0: G is guest mode, H is host mode, others are unknown
 *
 * Returns: the spans, with an unknown span after the last letter; the caller releases them.
 */
struct vcpu_modes made_modes(const char *letters)
{
	struct vcpu_modes spans = { 0 };
	size_t i;

	for (i = 0; letters[i]; i++)
		assert_int_equal(vcpu_modes_add(&spans, 10 * i, 10 * i + 9, letters[i] == 'G' ? MODE_GUEST :
						letters[i] == 'H' ? MODE_HOST : MODE_UNKNOWN), 0);
	assert_int_equal(vcpu_modes_add(&spans, 10 * i, UINT64_MAX, MODE_UNKNOWN), 0);
	return spans;
}
