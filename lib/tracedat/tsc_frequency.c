// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "tsc2nsec.h"
#include "tsc_frequency.h"

typedef unsigned __int128 u128;

#define NS_PER_S	1000000000U
#define NS_PER_MS	1000000U
/* No TSC runs slower or faster; what claims to is damaged */
#define MIN_HZ		1000000ULL
#define MAX_HZ		1000000000000ULL

/**
 * tsc_frequency_set - take what somebody tells
 * @frequency: result, "not known" if it cannot be so
 * @mult: as in struct tsc_frequency
 * @shift: likewise
 *
 * Returns: true if it can be that of a TSC.
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
 * tsc_frequency_of_khz - take what a user tells
 * @frequency: result, "not known" if it cannot be so
 * @khz: the frequency
 *
 * Returns: true if it can be that of a TSC.
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
 * tsc_frequency_of_file - how fast the TSC runs, as a file says
 * @frequency: result, "not known" if the file does not say
 * @dat: open
 *
 * Returns: true if it is known.
 */
bool tsc_frequency_of_file(struct tsc_frequency *frequency, const struct trace_dat *dat)
{
	struct tsc2nsec tsc2nsec;

	tsc2nsec_read(&tsc2nsec, dat);
	return tsc_frequency_set(frequency, tsc2nsec.mult, tsc2nsec.shift);
}

/**
 * tsc_frequency_of_kernel - how fast this machine's TSC runs, as the kernel says to perf
 * @frequency: result, "not known" if it does not say
 *
 * Returns: true if it is known.
 */
bool tsc_frequency_of_kernel(struct tsc_frequency *frequency)
{
	struct perf_event_attr attr = {
		.type		= PERF_TYPE_SOFTWARE,
		.size		= sizeof(attr),
		.config		= PERF_COUNT_SW_DUMMY,
		.exclude_kernel	= 1,
	};
	_cleanup_(closep) int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
					   PERF_FLAG_FD_CLOEXEC);
	const struct perf_event_mmap_page *page;

	*frequency = (struct tsc_frequency) { 0 };
	if (fd < 0)
		return false;
	page = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return false;
	if (page->cap_user_time)
		tsc_frequency_set(frequency, page->time_mult, page->time_shift);
	munmap((void *)page, getpagesize());
	return frequency->mult;
}

/**
 * tsc_frequency_hz - the TSC's frequency
 * @frequency: known or not
 *
 * Returns: Hz, rounded to the nearest, or 0 if it is not known.
 */
uint64_t tsc_frequency_hz(const struct tsc_frequency *frequency)
{
	if (!frequency->mult)
		return 0;
	return (((u128)NS_PER_S << frequency->shift) + frequency->mult / 2) / frequency->mult;
}

/**
 * tsc_frequency_ns - a span of time in nanoseconds
 * @frequency: known
 * @cycles: the span
 *
 * Returns: nanoseconds, rounded down; more than 64 bits can hold where the TSC is slow.
 */
unsigned __int128 tsc_frequency_ns(const struct tsc_frequency *frequency, uint64_t cycles)
{
	return ((u128)cycles * frequency->mult) >> frequency->shift;
}

/**
 * tsc_frequency_seconds - a span of time as decimal text, in seconds with nine digits after the point
 * @frequency: known or not
 * @cycles: the span
 * @text: result, TSC_SECONDS_SIZE bytes; left alone if the frequency is not known
 *
 * Returns: true if it is known.
 */
bool tsc_frequency_seconds(const struct tsc_frequency *frequency, uint64_t cycles, char *text)
{
	u128 ns = tsc_frequency_ns(frequency, cycles);

	if (!frequency->mult)
		return false;
	/* A second is a million cycles or more, so that its number fits */
	snprintf(text, TSC_SECONDS_SIZE, "%" PRIu64 ".%09" PRIu64, (uint64_t)(ns / NS_PER_S),
		 (uint64_t)(ns % NS_PER_S));
	return true;
}
