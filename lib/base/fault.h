/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Fault injection, for tests of the hook's error handling. Only the copy of the plugin that the tests build
 * (-DTSC_OFFSET_FAULTS) has it. TSC_OFFSET_FAULT in the environment names the fault to inject.
 */
#ifndef TSC_OFFSET_FAULT_H
#define TSC_OFFSET_FAULT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool fault(const char *name)
{
#ifdef TSC_OFFSET_FAULTS
	const char *wanted = getenv("TSC_OFFSET_FAULT");

	return wanted && !strcmp(wanted, name);
#else
	return false;
#endif
}

#endif /* TSC_OFFSET_FAULT_H */
