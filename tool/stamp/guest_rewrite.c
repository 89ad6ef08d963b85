// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "guest_rewrite.h"
#include "guest_timelines.h"
#include "merged_times.h"
#include "trace_dat_rewrite.h"

/* The copy being written */
struct rewriting {
	const struct guest_timelines	*timelines;
	const struct host_times		*host;
	struct timeline_cursor		cursor;
};

static int time_of(void *context, const struct rewritten_event *event, uint64_t *time)
{
	struct rewriting *rewriting = context;
	const struct buffer_times *buffer = &rewriting->timelines->buffers[event->buffer];

	*time = event->ts;
	if (!buffer->known)
		return 0;
	if (rewriting->cursor.cpu != &buffer->timeline.cpus[event->cpu])
		rewriting->cursor = (struct timeline_cursor) { .cpu = &buffer->timeline.cpus[event->cpu] };
	*time = timeline_host_time(&rewriting->cursor, event->page, event->number, event->ts);
	/* Readers correct the host's times as well */
	if (rewriting->host->bends)
		*time = time_shift_apply(&rewriting->host->to_shown, 0, *time);
	return 0;
}

/**
 * guest_rewrite - write the copy
 * @timelines: host times of the file's events
 * @host: how readers show the host's file
 * @edit: further changes
 * @path: of the copy; an existing file is replaced atomically
 * @unsynced: result, as for trace_dat_edit_copy()
 *
 * Returns: 0 or a negative errno with the reason in the file's error.
 */
int guest_rewrite(const struct guest_timelines *timelines, const struct host_times *host,
		  const struct trace_dat_edit *edit, const char *path, int *unsynced)
{
	struct rewriting rewriting = { .timelines = timelines, .host = host };

	return trace_dat_rewrite(timelines->dat, edit, time_of, &rewriting, path, unsynced);
}
