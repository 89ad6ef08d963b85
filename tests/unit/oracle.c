// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <gmp.h>

#include "oracle.h"

/* GMP's "unsigned long" interface is used for 64-bit values */
_Static_assert(sizeof(unsigned long) == 8, "the oracle needs a 64-bit long");

/**
 * oracle_ratio - the fixed-point constant that KVM computes from two frequencies
 * @num: the guest's frequency
 * @den: the host's
 * @frac_bits: fraction bits
 */
uint64_t oracle_ratio(uint64_t num, uint64_t den, unsigned int frac_bits)
{
	uint64_t ratio;
	mpz_t z;

	mpz_init_set_ui(z, num);
	mpz_mul_2exp(z, z, frac_bits);
	mpz_fdiv_q_ui(z, z, den);
	ratio = mpz_get_ui(z);
	mpz_clear(z);
	return ratio;
}

/* The scaled host TSC, which may have more than 64 bits */
static void scale(mpz_t scaled, const struct tsc_mapping *map, uint64_t host)
{
	mpz_set_ui(scaled, host);
	if (!map->ratio)
		return;
	mpz_mul_ui(scaled, scaled, map->ratio);
	mpz_fdiv_q_2exp(scaled, scaled, map->frac_bits);
}

/**
 * oracle_guest - the guest's TSC at a host TSC
 * @map: the mapping
 * @host: host TSC
 */
uint64_t oracle_guest(const struct tsc_mapping *map, uint64_t host)
{
	uint64_t guest;
	mpz_t z, offset;

	mpz_init(z);
	mpz_init_set_si(offset, map->offset);
	scale(z, map, host);
	mpz_add(z, z, offset);
	mpz_fdiv_r_2exp(z, z, 64);
	guest = mpz_get_ui(z);
	mpz_clears(z, offset, NULL);
	return guest;
}

/**
 * oracle_host - the first host TSC at which the guest's TSC has reached a value
 * @map: the mapping
 * @guest: guest TSC
 * @host: result
 *
 * Returns: false if no host TSC of 64 bits reaches it.
 */
bool oracle_host(const struct tsc_mapping *map, uint64_t guest, uint64_t *host)
{
	uint64_t low = 0, high = UINT64_MAX;
	mpz_t wanted, z;
	bool found;

	mpz_init(z);
	mpz_init_set_ui(wanted, guest);
	mpz_set_si(z, map->offset);
	mpz_sub(wanted, wanted, z);
	mpz_fdiv_r_2exp(wanted, wanted, 64);

	scale(z, map, high);
	found = mpz_cmp(z, wanted) >= 0;
	while (found && low < high) {
		uint64_t mid = low + (high - low) / 2;

		scale(z, map, mid);
		if (mpz_cmp(z, wanted) >= 0)
			high = mid;
		else
			low = mid + 1;
	}
	*host = low;
	mpz_clears(wanted, z, NULL);
	return found;
}
