/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * An independent conversion between host TSC and guest TSC, with numbers of any size (GMP). Only KVM's forward
 * formula is written here. The inverse is found by bisection on it, so that a mistake in the product's inverse cannot
 * be repeated here.
 */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "mapping.h"

uint64_t oracle_ratio(uint64_t num, uint64_t den, unsigned int frac_bits);
uint64_t oracle_guest(const struct tsc_mapping *map, uint64_t host);
bool oracle_host(const struct tsc_mapping *map, uint64_t guest, uint64_t *host);

#endif /* TEST_ORACLE_H */
