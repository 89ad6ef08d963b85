// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The arithmetic between host TSC and guest TSC, compared with numbers of any size (oracle.c). */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mapping.h"
#include "oracle.h"
#include "prng.h"

#define DAYS_10_AT_5GHZ 4320000000000000ULL
#define MAX_MAPPINGS 256

/* Guest frequency over host frequency; 0/1 is ratio 0, as kernels without TSC scaling report it */
static const struct { uint64_t num, den; } speeds[] = {
	{ 0, 1 }, { 4, 5 }, { 1, 1 }, { 10001, 10000 }, { 5, 4 },
};

static const int64_t offsets[] = {
	INT64_MIN, INT64_MIN + 1, -20000000000, -1, 0, 1, 20000000000, INT64_MAX - 1, INT64_MAX,
};

static const uint64_t tscs[] = {
	0, 1, 2, 3, 4, 5, 1000, (1ULL << 32) - 1, 1ULL << 32,
	DAYS_10_AT_5GHZ - 1, DAYS_10_AT_5GHZ, DAYS_10_AT_5GHZ + 1,
	(1ULL << 63) - 1, 1ULL << 63, (1ULL << 63) + 1,
	UINT64_MAX - 1, UINT64_MAX,
};

static size_t all_mappings(struct tsc_mapping *maps)
{
	static const unsigned int frac_bits[] = { 32, 48 };
	/* Ratios that no frequency yields, but that a file can have */
	static const struct tsc_mapping odd[] = {
		{ .ratio = 1, .frac_bits = 0 },
		{ .ratio = 3, .frac_bits = 0 },
		{ .ratio = 1, .frac_bits = 63 },
		{ .ratio = UINT64_MAX, .frac_bits = 0 },
		{ .ratio = UINT64_MAX, .frac_bits = 63 },
		{ .ratio = 1ULL << 63, .frac_bits = 63 },
		{ .ratio = 0, .frac_bits = 255 },
	};
	size_t n = 0, i, j, k;

	for (k = 0; k < sizeof(offsets) / sizeof(*offsets); k++) {
		for (i = 0; i < sizeof(speeds) / sizeof(*speeds); i++)
			for (j = 0; j < 2; j++)
				maps[n++] = (struct tsc_mapping) {
					.offset		= offsets[k],
					.ratio		= oracle_ratio(speeds[i].num, speeds[i].den,
								       frac_bits[j]),
					.frac_bits	= frac_bits[j],
				};
		for (i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
			maps[n] = odd[i];
			maps[n++].offset = offsets[k];
		}
	}
	assert_true(n <= MAX_MAPPINGS);
	return n;
}

/* One conversion in each direction; the inverse must do what its comment promises */
static void check(const struct tsc_mapping *map, uint64_t tsc)
{
	uint64_t expected, host = 0;
	int ret;

	assert_int_equal(tsc_guest_from_host(map, tsc), oracle_guest(map, tsc));

	ret = tsc_host_from_guest(map, tsc, &host);
	if (oracle_host(map, tsc, &expected)) {
		assert_int_equal(ret, 0);
		assert_int_equal(host, expected);
	} else {
		assert_int_equal(ret, -ERANGE);
	}
}

static void test_against_oracle(void **state)
{
	struct tsc_mapping maps[MAX_MAPPINGS];
	size_t nr = all_mappings(maps), asked = 0, i, j;
	uint64_t seed = 1;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < sizeof(tscs) / sizeof(*tscs); j++, asked++)
			check(&maps[i], tscs[j]);
		for (j = 0; j < 50; j++, asked++)
			check(&maps[i], prng_any(&seed));
	}
	for (i = 0; i < 20000; i++, asked++) {
		struct tsc_mapping map = {
			.offset		= (int64_t)(prng_any(&seed) * (prng(&seed) & 1 ? 1 : -1)),
			.ratio		= prng_any(&seed),
			.frac_bits	= prng(&seed) % (TSC_MAX_FRAC_BITS + 1),
		};

		check(&map, prng_any(&seed));
	}
	print_message("%zu TSC values, each as host and as guest time, as in GMP\n", asked);
}

/* Values that can be computed by hand, so that the tests do not depend on the oracle alone */
static void test_by_hand(void **state)
{
	struct tsc_mapping map = { .offset = -7 };
	uint64_t host;

	assert_int_equal(tsc_guest_from_host(&map, 7), 0);
	assert_int_equal(tsc_guest_from_host(&map, 6), UINT64_MAX);
	assert_int_equal(tsc_host_from_guest(&map, UINT64_MAX, &host), 0);
	assert_int_equal(host, 6);

	/* 1.25: host 0 1 2 3 4 5 is guest 0 1 2 3 5 6, so the guest first passes 4 at host 4 */
	map = (struct tsc_mapping) { .offset = 100, .ratio = 5ULL << 30, .frac_bits = 32 };
	assert_int_equal(tsc_guest_from_host(&map, 3), 103);
	assert_int_equal(tsc_guest_from_host(&map, 4), 105);
	assert_int_equal(tsc_host_from_guest(&map, 104, &host), 0);
	assert_int_equal(host, 4);
	assert_int_equal(tsc_host_from_guest(&map, 105, &host), 0);
	assert_int_equal(host, 4);

	/* 0.5: two host cycles have the same guest TSC; the first of them is the result */
	map = (struct tsc_mapping) { .ratio = 1ULL << 47, .frac_bits = 48 };
	assert_int_equal(tsc_host_from_guest(&map, 10, &host), 0);
	assert_int_equal(host, 20);
	assert_int_equal(tsc_guest_from_host(&map, 20), 10);
	assert_int_equal(tsc_guest_from_host(&map, 21), 10);
	assert_int_equal(tsc_host_from_guest(&map, 1ULL << 63, &host), -ERANGE);
}

static void test_properties(void **state)
{
	struct tsc_mapping maps[MAX_MAPPINGS];
	size_t nr = all_mappings(maps), smallest = 0, ordered = 0, i, j;
	uint64_t seed = 2;

	for (i = 0; i < nr; i++) {
		const struct tsc_mapping *map = &maps[i];

		for (j = 0; j < 300; j++) {
			/* A guest time that is some cycles from both ends of 64 bits */
			uint64_t scaled = prng_any(&seed) >> 1;
			uint64_t guest = scaled + (uint64_t)map->offset, host, next;

			if (guest < scaled && map->offset >= 0)
				continue;
			if (guest > UINT64_MAX - 64 || guest < 64 ||
			    guest < (uint64_t)map->offset || tsc_host_from_guest(map, guest, &host))
				continue;
			/* If one host cycle wraps the guest's TSC, guest times have no order */
			if (map->ratio && map->ratio >> map->frac_bits > 16)
				continue;

			assert_true(tsc_guest_from_host(map, host) >= guest);
			if (host && scaled) {
				assert_true(tsc_guest_from_host(map, host - 1) < guest);
				smallest++;
			}
			if (!tsc_host_from_guest(map, guest + 1, &next)) {
				assert_true(next >= host);
				assert_true(tsc_guest_from_host(map, next) >=
					    tsc_guest_from_host(map, host));
				ordered++;
			}
			/* At a ratio of 1 or more the inverse returns the host TSC */
			if (!map->ratio || map->ratio >= 1ULL << map->frac_bits) {
				uint64_t back;

				assert_int_equal(tsc_host_from_guest(map,
						 tsc_guest_from_host(map, host), &back), 0);
				assert_int_equal(back, host);
			}
		}
	}
	assert_true(smallest > 10000 && ordered > 10000);
	print_message("host_from_guest() gave the smallest host %zu times, in order %zu times\n",
		      smallest, ordered);
}

static void test_predicates(void **state)
{
	const struct tsc_mapping zero = { .offset = 5 };
	const struct tsc_mapping zero_bits = { .offset = 5, .frac_bits = 200 };
	const struct tsc_mapping one32 = { 5, 1ULL << 32, 32 }, one48 = { 5, 1ULL << 48, 48 };
	const struct tsc_mapping other = { 6, 1ULL << 48, 48 };
	const struct tsc_mapping fast = { 5, 5ULL << 30, 32 }, slow = { 5, 3ULL << 30, 32 };
	const struct tsc_mapping faster = { 5, 5ULL << 30, 31 };
	const struct tsc_mapping bad = { 5, 1, 64 }, most = { 5, 1, 63 };

	assert_true(tsc_mapping_valid(&zero));
	assert_true(tsc_mapping_valid(&zero_bits));
	assert_true(tsc_mapping_valid(&most));
	assert_false(tsc_mapping_valid(&bad));

	assert_false(tsc_mapping_scaled(&zero));
	assert_false(tsc_mapping_scaled(&zero_bits));
	assert_false(tsc_mapping_scaled(&one32));
	assert_false(tsc_mapping_scaled(&one48));
	assert_true(tsc_mapping_scaled(&fast));
	assert_true(tsc_mapping_scaled(&most));

	assert_true(tsc_mapping_equal(&zero, &one32));
	assert_true(tsc_mapping_equal(&one32, &one48));
	assert_true(tsc_mapping_equal(&fast, &fast));
	assert_false(tsc_mapping_equal(&one48, &other));
	assert_false(tsc_mapping_equal(&one32, &fast));
	assert_false(tsc_mapping_equal(&fast, &one32));
	assert_false(tsc_mapping_equal(&fast, &slow));
	assert_false(tsc_mapping_equal(&fast, &faster));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_against_oracle),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_predicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
