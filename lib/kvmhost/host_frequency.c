// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "host_frequency.h"
#include "tsc_frequency.h"

/**
 * host_frequency_read - get the frequency of this machine's TSC, as the kernel reports it to perf
 * @frequency: result; unknown if the kernel does not report it
 *
 * Returns: true if it is known.
 */
bool host_frequency_read(struct tsc_frequency *frequency)
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
