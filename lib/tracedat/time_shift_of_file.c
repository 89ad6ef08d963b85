// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <string.h>

#include "time_shift_of_file.h"
#include "trace_dat.h"

/**
 * time_shift_of_file - read the option with which stock readers correct a guest's times
 * @reader: result; must be released in any case. Without an option it corrects nothing.
 * @dat: the open file of the guest
 *
 * Readers use the last of several options, and refuse the file if any of them is damaged.
 *
 * Returns: 1, 0 if they apply no option, or a negative errno with the reason in @dat->error.
 */
int time_shift_of_file(struct time_shift_reader *reader, struct trace_dat *dat)
{
	int found = 0;

	*reader = (struct time_shift_reader) { 0 };
	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		struct time_shift_reader next;
		int ret;

		if (option->id != TRACE_DAT_TIME_SHIFT)
			continue;
		ret = time_shift_decode(&next, option->data, option->size);
		if (ret == -ENODATA)
			continue;
		time_shift_reader_release(reader);
		*reader = next;
		found = 1;
		if (ret == -EBADMSG)
			return trace_dat_fail(dat, ret, option->offset,
					      "option TIME_SHIFT is damaged, stock readers refuse the file");
		if (ret)
			return trace_dat_fail(dat, ret, option->offset, "%s", strerror(-ret));
	}
	return found;
}
