// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>

#include "tsc_frequency.h"

typedef unsigned __int128 u128;

#define NS_PER_S	1000000000U
#define NS_PER_MS	1000000U
/* Limits of the frequency of a TSC; other values are damaged */
#define MIN_HZ		1000000ULL
#define MAX_HZ		1000000000000ULL

/**
 * tsc_frequency_set - set a frequency from the kernel's factors
 * @frequency: result; unknown if they are invalid
 * @mult: as in struct tsc_frequency
 * @shift: as in struct tsc_frequency
 *
 * Returns: true if it is a valid frequency of a TSC.
 */
bool tsc_frequency_set(struct tsc_frequency *frequency, uint32_t mult, uint32_t shift)
{
	u128 hz;

	*frequency = (struct tsc_frequency) { 0 };
	if (!mult || shift >= 64)
		return false;
	hz = ((u128)NS_PER_S << shift) / mult;
	if (hz < MIN_HZ || hz > MAX_HZ)
		return false;
	*frequency = (struct tsc_frequency) { mult, shift };
	return true;
}

/**
 * tsc_frequency_of_khz - set a frequency in kHz
 * @frequency: result; unknown if it is invalid
 * @khz: the frequency
 *
 * Returns: true if it is a valid frequency of a TSC.
 */
bool tsc_frequency_of_khz(struct tsc_frequency *frequency, uint64_t khz)
{
	uint32_t shift = 32;

	*frequency = (struct tsc_frequency) { 0 };
	if (!khz)
		return false;
	while (shift && ((u128)NS_PER_MS << shift) / khz >= UINT32_MAX)
		shift--;
	return tsc_frequency_set(frequency, (((u128)NS_PER_MS << shift) + khz / 2) / khz, shift);
}

/**
 * tsc_frequency_hz - get a frequency in Hz
 * @frequency: the frequency, or unknown
 *
 * Returns: Hz, rounded to the nearest, or 0 if unknown.
 */
uint64_t tsc_frequency_hz(const struct tsc_frequency *frequency)
{
	if (!frequency->mult)
		return 0;
	return (((u128)NS_PER_S << frequency->shift) + frequency->mult / 2) / frequency->mult;
}

/**
 * tsc_frequency_ns - convert cycles into nanoseconds
 * @frequency: a known frequency
 * @cycles: the cycles
 *
 * Returns: nanoseconds, rounded down; with a slow TSC this can exceed 64 bits.
 */
unsigned __int128 tsc_frequency_ns(const struct tsc_frequency *frequency, uint64_t cycles)
{
	return ((u128)cycles * frequency->mult) >> frequency->shift;
}

/**
 * tsc_frequency_time - convert a TSC into a time in nanoseconds
 * @frequency: the frequency, or unknown
 * @tsc: the TSC, in cycles
 *
 * Returns: nanoseconds, rounded down, or cycles without a frequency; UINT64_MAX also for larger times.
 */
uint64_t tsc_frequency_time(const struct tsc_frequency *frequency, uint64_t tsc)
{
	u128 time = frequency->mult ? tsc_frequency_ns(frequency, tsc) : tsc;

	return time > UINT64_MAX ? UINT64_MAX : (uint64_t)time;
}

/**
 * tsc_frequency_seconds - format cycles as seconds with nine digits after the point
 * @frequency: the frequency, or unknown
 * @cycles: the cycles
 * @text: result, TSC_SECONDS_SIZE bytes; unchanged if the frequency is unknown
 *
 * Returns: true if it is known.
 */
bool tsc_frequency_seconds(const struct tsc_frequency *frequency, uint64_t cycles, char *text)
{
	u128 ns = tsc_frequency_ns(frequency, cycles);

	if (!frequency->mult)
		return false;
	/* A second has a million cycles or more, so the number fits */
	snprintf(text, TSC_SECONDS_SIZE, "%" PRIu64 ".%09" PRIu64, (uint64_t)(ns / NS_PER_S),
		 (uint64_t)(ns % NS_PER_S));
	return true;
}
