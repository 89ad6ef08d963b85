/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's file whose events have the host's times in the pages themselves: those of all its buffers, for every reader,
 * also where a TSC jumped backward.
 */
#ifndef TSC_OFFSET_GUEST_REWRITE_H
#define TSC_OFFSET_GUEST_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "findings.h"
#include "guest_fit.h"
#include "guest_timeline.h"

struct stamp_host;
struct trace_dat_edit;

/**
 * struct guest_rewrite_buffer - a buffer
 * @fit: of it; of the first buffer the caller's
 * @timeline: the host times of its events
 * @cursor: where trace_dat_rewrite() is
 */
struct guest_rewrite_buffer {
	struct guest_fit	fit;
	struct guest_timeline	timeline;
	struct timeline_cursor	cursor;
};

/**
 * struct guest_rewrite - the file
 * @host: the caller's
 * @dat: the file; the caller's
 * @buffers: for each of its buffers; owned
 * @tally: how their events fit
 * @nr_changes: how often an offset changed between two events of a CPU, in the buffer with most such changes
 */
struct guest_rewrite {
	const struct stamp_host		*host;
	struct trace_dat		*dat;
	struct guest_rewrite_buffer	*buffers;
	struct fit_tally		tally;
	size_t				nr_changes;
};

int guest_rewrite_prepare(struct guest_rewrite *rewrite, const struct stamp_host *host,
			  const struct guest_fit_input *input, const struct guest_fit *fit, bool any_clock,
			  struct findings *findings);
int guest_rewrite_write(struct guest_rewrite *rewrite, const struct trace_dat_edit *edit, const char *path,
			int *unsynced);
void guest_rewrite_release(struct guest_rewrite *rewrite);

#endif /* TSC_OFFSET_GUEST_REWRITE_H */
