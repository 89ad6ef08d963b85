// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "shift_spans.h"

/**
 * shift_spans_add - tell of the next span
 * @spans: all zeros at first
 * @from: its first host TSC, in cycles
 * @to: its last one
 * @mode: what is known of it. The last one of all is to be SHIFT_FREE.
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_spans_add(struct shift_spans *spans, uint64_t from, uint64_t to, enum shift_mode mode)
{
	/* Out of guest mode and in again within one cycle, or a file that nobody should believe */
	if (spans->nr && from <= spans->from[spans->nr - 1])
		from = spans->from[spans->nr - 1] + 1;
	if (from > to)
		return 0;
	/* Those that begin with nothing known, and those that go on */
	if (mode == (spans->nr ? spans->mode[spans->nr - 1] : SHIFT_FREE))
		return 0;
	if (spans->nr == spans->capacity) {
		size_t capacity = spans->capacity ? 2 * spans->capacity : 1024;
		uint64_t *starts = reallocarray(spans->from, capacity, sizeof(*starts));
		uint8_t *modes;

		if (!starts)
			return -ENOMEM;
		spans->from = starts;
		modes = reallocarray(spans->mode, capacity, sizeof(*modes));
		if (!modes)
			return -ENOMEM;
		spans->mode = modes;
		spans->capacity = capacity;
	}
	/* The span before ends where this one begins, whatever was said of its end: no cycle counts twice */
	if (spans->nr && spans->mode[spans->nr - 1] == SHIFT_GUEST)
		spans->guest_time += from - spans->from[spans->nr - 1];
	else if (spans->nr && spans->mode[spans->nr - 1] == SHIFT_HOST)
		spans->host_time += from - spans->from[spans->nr - 1];
	spans->nr_guest += mode == SHIFT_GUEST;
	spans->from[spans->nr] = from;
	spans->mode[spans->nr++] = mode;
	return 0;
}

/**
 * shift_spans_release - free what is known
 * @spans: with spans or without
 */
void shift_spans_release(struct shift_spans *spans)
{
	free(spans->from);
	free(spans->mode);
	*spans = (struct shift_spans) { 0 };
}
