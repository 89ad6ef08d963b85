/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Include this before a source of the plugin: the plugin then reads the TSC of fake_kvmhost. */
#ifndef TEST_FAKE_TSC_H
#define TEST_FAKE_TSC_H

#include <stdint.h>
#include <x86intrin.h>

uint64_t fake_tsc(void);

#undef __rdtsc
#define __rdtsc() fake_tsc()

#endif /* TEST_FAKE_TSC_H */
