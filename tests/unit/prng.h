/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The same random numbers in every run and on every machine (splitmix64),
 * so that the seed alone reproduces a failure.
 */
#ifndef TEST_PRNG_H
#define TEST_PRNG_H

#include <stdint.h>

static inline uint64_t prng(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* A number from @low to @high, both included */
static inline uint64_t prng_range(uint64_t *state, uint64_t low, uint64_t high)
{
	uint64_t span = high - low + 1;

	return span ? low + prng(state) % span : prng(state);
}

/* Small numbers are as frequent as large ones: choose a random width first, then as many random bits */
static inline uint64_t prng_any(uint64_t *state)
{
	unsigned int shift = prng(state) % 64;

	return prng(state) >> shift;
}

#endif /* TEST_PRNG_H */
