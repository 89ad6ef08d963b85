// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "progress.h"
#include "sanitize.h"

#define NS_PER_S	1000000000ULL
#define FIRST_AFTER	NS_PER_S
#define AGAIN_AFTER	(NS_PER_S / 10)
#define WIDTH		40

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/**
 * progress_begin - begin to show progress
 * @progress: result; must be ended
 * @what: name of the work, for people; kept
 * @total: amount of work, in any unit
 */
void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress) {
		.what = what, .total = total, .visible = isatty(STDERR_FILENO),
		.next = now() + FIRST_AFTER,
	};
}

/**
 * progress_at - update the progress
 * @progress: the progress, or all zeros
 * @done: the amount done, of @progress->total
 *
 * To be called every some thousand steps, because it reads the clock.
 */
void progress_at(struct progress *progress, uint64_t done)
{
	_cleanup_(freep) char *what = NULL;
	uint64_t time;
	int percent;

	if (!progress->visible)
		return;
	time = now();
	if (time < progress->next)
		return;
	if (done > progress->total)
		done = progress->total;
	percent = progress->total ? (int)((unsigned __int128)done * 100 / progress->total) : 100;
	what = sanitized(progress->what);
	fprintf(stderr, "\r%s [%.*s%*s] %3d%%", what ? what : "", percent * WIDTH / 100,
		"########################################", WIDTH - percent * WIDTH / 100, "",
		percent);
	fflush(stderr);
	progress->shown = true;
	progress->next = time + AGAIN_AFTER;
}

/**
 * progress_end - remove the bar
 * @progress: the progress, or all zeros
 */
void progress_end(struct progress *progress)
{
	if (progress->shown)
		fprintf(stderr, "\r%*s\r", (int)strlen(progress->what) + WIDTH + 8, "");
	*progress = (struct progress) { 0 };
}
