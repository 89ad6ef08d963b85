// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "instance.h"
#include "trace_clock.h"
#include "trace_dat.h"

/**
 * trace_clock_is_tsc - are a buffer's times raw TSC values?
 * @dat: the file
 * @buffer: one of it
 * @name: result: the clock's name, "?" if the file names none
 * @size: bytes at @name
 *
 * For the buffer of an instance trace-cmd writes "local" whatever clock the instance has, if the top buffer
 * was not recorded as well. Then what the file says of the machine as a whole is the better source: the
 * option TRACECLOCK, the clocks of tracefs with the one that was chosen in brackets.
 *
 * Returns: true if they are.
 */
bool trace_clock_is_tsc(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			char *name, size_t size)
{
	const struct trace_dat_option *option = trace_dat_option(dat, TRACE_DAT_TRACECLOCK);
	bool tsc = !strcmp(buffer->clock, TSC_CLOCK);

	snprintf(name, size, "%s", *buffer->clock ? buffer->clock : "?");
	if (!tsc && option && strstr((char *)option->data, "[" TSC_CLOCK "]"))
		tsc = !*buffer->clock || (*buffer->name && !strcmp(buffer->clock, "local"));
	return tsc;
}
