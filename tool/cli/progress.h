/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A progress bar on stderr for work of more than a second, if stderr is a terminal. */
#ifndef TSC_OFFSET_PROGRESS_H
#define TSC_OFFSET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - the progress of some work; all zeros shows nothing
 * @what: name of the work, for people
 * @total: amount of work, in any unit
 * @visible: stderr is a terminal
 * @shown: the bar is visible now
 * @next: time of the next update, in ns
 */
struct progress {
	const char	*what;
	uint64_t	total;
	bool		visible;
	bool		shown;
	uint64_t	next;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_at(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress);

#endif /* TSC_OFFSET_PROGRESS_H */
