// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>

#include "mapping.h"

typedef unsigned __int128 u128;

/**
 * tsc_mapping_valid - is a mapping valid for computations?
 * @map: the mapping
 *
 * Returns: true if the fraction bits are in range. Files and events are untrusted: check before use.
 */
bool tsc_mapping_valid(const struct tsc_mapping *map)
{
	return !map->ratio || map->frac_bits <= TSC_MAX_FRAC_BITS;
}

/**
 * tsc_mapping_scaled - does the guest's TSC have another frequency than the host's?
 * @map: a valid mapping
 *
 * Returns: true if so.
 */
bool tsc_mapping_scaled(const struct tsc_mapping *map)
{
	return map->ratio && map->ratio != 1ULL << map->frac_bits;
}

/**
 * tsc_mapping_equal - do two mappings give the same guest TSC for every host TSC?
 * @a: a valid mapping
 * @b: another
 *
 * Ratio 0 and a ratio of exactly 1 are the same.
 *
 * Returns: true if they do.
 */
bool tsc_mapping_equal(const struct tsc_mapping *a, const struct tsc_mapping *b)
{
	if (a->offset != b->offset)
		return false;
	if (!tsc_mapping_scaled(a) && !tsc_mapping_scaled(b))
		return true;
	return a->ratio == b->ratio && a->frac_bits == b->frac_bits;
}

/**
 * tsc_guest_from_host - get the result of a vCPU's RDTSC at a host TSC
 * @map: a valid mapping
 * @host_tsc: host TSC in cycles
 *
 * Returns: the guest's TSC in cycles, modulo 2^64 as in KVM.
 */
uint64_t tsc_guest_from_host(const struct tsc_mapping *map, uint64_t host_tsc)
{
	uint64_t scaled = host_tsc;

	if (map->ratio)
		scaled = (uint64_t)(((u128)host_tsc * map->ratio) >> map->frac_bits);
	return scaled + (uint64_t)map->offset;
}

/**
 * tsc_host_from_guest - get the first host TSC at which a vCPU's TSC has a value
 * @map: a valid mapping
 * @guest_tsc: guest TSC in cycles
 * @host_tsc: result, in cycles: the smallest host TSC whose guest TSC is at least @guest_tsc. If the guest's TSC is as
 *	fast as the host's or faster, this is the exact inverse of tsc_guest_from_host().
 *
 * Returns: 0, or -ERANGE if no host TSC of 64 bits gives @guest_tsc.
 */
int tsc_host_from_guest(const struct tsc_mapping *map, uint64_t guest_tsc, uint64_t *host_tsc)
{
	uint64_t scaled = guest_tsc - (uint64_t)map->offset;
	u128 host = scaled;

	if (map->ratio)
		host = (((u128)scaled << map->frac_bits) + map->ratio - 1) / map->ratio;
	if (host > UINT64_MAX)
		return -ERANGE;
	*host_tsc = (uint64_t)host;
	return 0;
}
