// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Writes a copy of a trace.dat with other times: rewrite_times FILE COPY NUMERATOR DENOMINATOR OFFSET [HOST-TRACE-ID]
 *
 * Each time becomes time * NUMERATOR / DENOMINATOR + OFFSET, rounded down, modulo 2^64. With a TRACEID, which is
 * hexadecimal, the copy is marked as one with host times, and its TIME_SHIFT and TSC2NSEC are left out. With "-s PAGE
 * EVENT STEP" as first arguments, STEP is added to the times of each CPU from that event of that page to the end of the
 * page.
 *
 * On stdout: "events N". The exit status is 1 after an error, which is on stderr.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rewritten_mark.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"
#include "trace_dat_rewrite.h"

struct affine {
	uint64_t	numerator;
	uint64_t	denominator;
	uint64_t	offset;
	uint64_t	events;
	uint64_t	step_page;
	uint32_t	step_event;
	uint64_t	step;
};

static int apply(void *context, const struct rewritten_event *event, uint64_t *time)
{
	struct affine *affine = context;

	affine->events++;
	*time = (uint64_t)((unsigned __int128)event->ts * affine->numerator / affine->denominator) + affine->offset;
	if (event->page == affine->step_page && event->number >= affine->step_event)
		*time += affine->step;
	return 0;
}

static int mark(struct trace_dat_edit *edit, const struct trace_dat *dat, const char *id)
{
	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];

		if ((option->id == TRACE_DAT_TIME_SHIFT || option->id == TRACE_DAT_TSC2NSEC) &&
		    trace_dat_edit_retire(edit, option->offset))
			return 1;
	}
	return rewritten_mark_add(edit, dat, strtoull(id, NULL, 16)) != 0;
}

int main(int argc, char **argv)
{
	struct affine affine = { .step_page = UINT64_MAX };
	struct trace_dat_edit edit = { 0 };
	char line[ERROR_TEXT_SIZE * 2];
	struct error error = { 0 };
	struct trace_dat dat;
	int unsynced, ret;

	if (argc > 5 && !strcmp(argv[1], "-s")) {
		affine.step_page = strtoull(argv[2], NULL, 0);
		affine.step_event = (uint32_t)strtoull(argv[3], NULL, 0);
		affine.step = strtoull(argv[4], NULL, 0);
		argv += 4;
		argc -= 4;
	}
	if (argc < 6 || argc > 7)
		return 2;
	affine.numerator = strtoull(argv[3], NULL, 0);
	affine.denominator = strtoull(argv[4], NULL, 0);
	affine.offset = strtoull(argv[5], NULL, 0);
	ret = trace_dat_open(&dat, argv[1], &error);
	if (!ret && argc == 7 && mark(&edit, &dat, argv[6]))
		return 1;
	if (!ret)
		ret = trace_dat_rewrite(&dat, &edit, apply, &affine, argv[2], &unsynced);
	if (ret)
		fprintf(stderr, "%s\n", error_line(&error, line, sizeof(line)));
	else
		printf("events %" PRIu64 "\n", affine.events);
	trace_dat_edit_release(&edit);
	trace_dat_close(&dat);
	return ret ? 1 : 0;
}
