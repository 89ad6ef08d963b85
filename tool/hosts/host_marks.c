// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "host_marks.h"

/* Limit between reading a vCPU and the line's event: over ten seconds of any TSC, for hosts with thousands of vCPUs */
#define MAX_AGE		(1ULL << 36)

static int add(struct host_marks *marks, const struct host_mark *mark)
{
	if (marks->nr == HOST_MARKS_MAX) {
		marks->nr_excess++;
		return 0;
	}
	if (array_reserve(marks->list, marks->nr, marks->capacity))
		return -ENOMEM;
	marks->list[marks->nr++] = *mark;
	return 0;
}

/**
 * host_marks_take - add a text of trace_marker, if it is a mark
 * @marks: receives it
 * @text: any text
 * @size: size of @text in bytes
 * @time: time of its event, host TSC
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_take(struct host_marks *marks, const char *text, size_t size, uint64_t time)
{
	struct host_mark mark = { 0 };
	int ret = vcpu_mark_parse(&mark.mark, text, size);

	if (ret == -ENOTSUP)
		marks->nr_unknown++;
	/* From another boot, or from another host */
	else if (ret < 0 || (ret && (mark.mark.until > time || time - mark.mark.from > MAX_AGE)))
		marks->nr_bad++;
	else if (ret)
		return add(marks, &mark);
	return 0;
}

/**
 * host_marks_move - append a list
 * @to: receives all of @from
 * @from: empty afterwards
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_move(struct host_marks *to, struct host_marks *from)
{
	int ret = 0;

	for (size_t i = 0; i < from->nr && !ret; i++)
		ret = add(to, &from->list[i]);
	to->nr_bad += from->nr_bad;
	to->nr_unknown += from->nr_unknown;
	to->nr_excess += from->nr_excess;
	host_marks_release(from);
	return ret;
}

/**
 * host_marks_release - free the list
 * @marks: empty afterwards
 */
void host_marks_release(struct host_marks *marks)
{
	free(marks->list);
	*marks = (struct host_marks) { 0 };
}
