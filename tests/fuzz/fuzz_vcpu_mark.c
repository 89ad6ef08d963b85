// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Arbitrary text in trace_marker: a text that is accepted as a mark is one, and printing it gives the same line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vcpu_mark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[VCPU_MARK_SIZE], again[VCPU_MARK_SIZE];
	struct vcpu_mark mark, read;

	if (vcpu_mark_parse(&mark, (const char *)data, size) != 1)
		return 0;
	if (!mark.map.ratio || mark.from > mark.until || mark.map.frac_bits > TSC_MAX_FRAC_BITS)
		abort();
	if (vcpu_mark_parse(&read, line, vcpu_mark_print(line, &mark)) != 1)
		abort();
	vcpu_mark_print(again, &read);
	if (strcmp(line, again))
		abort();
	return 0;
}
