// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "shown_times.h"
#include "time_shift_of_file.h"
#include "trace_dat.h"

/* A number as readers parse it: with strtoll(), which ignores further text */
static int number_of(const struct trace_dat_option *option, int64_t *number)
{
	_cleanup_(freep) char *text = strndup((const char *)option->data, option->size);

	if (!text)
		return -ENOMEM;
	*number = strtoll(text, NULL, 0);
	return 0;
}

/**
 * shown_times_read_added - get the constant that readers add to all times of a file
 * @added: result: nanoseconds if the file has a TSC2NSEC, else cycles
 * @dat: the open file
 *
 * DATE is in microseconds. Readers convert it into nanoseconds, whatever the file's unit is; they add all of them,
 * modulo 2^64.
 *
 * Returns: 0, or a negative errno with the reason in @dat->error.
 */
int shown_times_read_added(int64_t *added, struct trace_dat *dat)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		int64_t number;
		int ret;

		if (option->id != TRACE_DAT_DATE && option->id != TRACE_DAT_OFFSET)
			continue;
		ret = number_of(option, &number);
		if (ret)
			return trace_dat_fail(dat, ret, option->offset, "%s", strerror(-ret));
		sum += (uint64_t)number * (option->id == TRACE_DAT_DATE ? 1000 : 1);
	}
	*added = (int64_t)sum;
	return 0;
}

/**
 * shown_times_read - find how readers show the times of a file
 * @shown: result; must be released in any case
 * @dat: the open file
 *
 * Returns: 0, or a negative errno with the reason in @dat->error.
 */
int shown_times_read(struct shown_times *shown, struct trace_dat *dat)
{
	int ret;

	*shown = (struct shown_times) { 0 };
	ret = time_shift_of_file(&shown->shift, dat);
	if (ret < 0)
		return ret;
	shown->has_shift = ret;
	tsc2nsec_read(&shown->nanoseconds, dat);
	return shown_times_read_added(&shown->added, dat);
}

/**
 * shown_times_same_unit - do readers convert the times of two files with the same factors?
 * @a, @b: the files
 *
 * Returns: true if so, or if neither is converted.
 */
bool shown_times_same_unit(const struct shown_times *a, const struct shown_times *b)
{
	return a->nanoseconds.mult == b->nanoseconds.mult &&
	       (!a->nanoseconds.mult || a->nanoseconds.shift == b->nanoseconds.shift);
}

/**
 * shown_times_difference - get how much more readers add to a guest's times than to its host's
 * @guest, @host: their files
 *
 * Returns: cycles of the host's TSC.
 */
int64_t shown_times_difference(const struct shown_times *guest, const struct shown_times *host)
{
	int64_t added = (int64_t)((uint64_t)guest->added - (uint64_t)host->added);
	const struct tsc2nsec *nanoseconds = &host->nanoseconds;

	if (!nanoseconds->mult)
		return added;
	return (int64_t)(((__int128)added << (nanoseconds->shift & 31)) / nanoseconds->mult);
}

/**
 * shown_times_release - free the times
 * @shown: the times, also after a failure
 */
void shown_times_release(struct shown_times *shown)
{
	time_shift_reader_release(&shown->shift);
	*shown = (struct shown_times) { 0 };
}
