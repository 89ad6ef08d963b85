/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A progress bar on stderr, for work that takes over a second, if stderr is a terminal. */
#ifndef TSC_OFFSET_PROGRESS_H
#define TSC_OFFSET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - some work while it is done; all zeros is work that shows nothing
 * @what: the work, for people
 * @total: how much there is to do, in any unit
 * @visible: stderr is a terminal
 * @shown: there is a bar now
 * @next: when it is to be drawn next, in ns
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
