// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "guest_threads.h"
#include "vm_process.h"

/**
 * struct guest_thread - a thread
 * @tid: its number
 * @look: in which look it was asked for
 * @is_guest: whether it is the guest's, or was when it ended
 */
struct guest_thread {
	pid_t		tid;
	unsigned int	look;
	bool		is_guest;
};

/* Where a thread is in the list, or would be */
static size_t find(const struct guest_threads *threads, pid_t tid)
{
	size_t from = 0, to = threads->nr;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (threads->threads[middle].tid < tid)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/**
 * guest_threads_open - begin with the threads that there are
 * @threads: result; to be closed
 * @pid: process of the guest's VMM
 */
void guest_threads_open(struct guest_threads *threads, pid_t pid)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	*threads = (struct guest_threads) { .pid = pid };
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0)
			guest_threads_has(threads, tid);
	}
}

/**
 * guest_threads_look - begin another look: what was found out before may not hold any more
 * @threads: open
 *
 * Threads of others are forgotten: of those there may be any number.
 */
void guest_threads_look(struct guest_threads *threads)
{
	size_t kept = 0;

	for (size_t i = 0; i < threads->nr; i++) {
		if (threads->threads[i].is_guest)
			threads->threads[kept++] = threads->threads[i];
	}
	threads->nr = kept;
	threads->look++;
}

/**
 * guest_threads_has - is a thread the guest's?
 * @threads: open
 * @tid: the thread
 *
 * One that has ended counts if it was the guest's when it was last there. One of another process does not count,
 * though one of the guest had its number before.
 *
 * Returns: true if so; of a thread that is asked for again in the same look, what was found the first time.
 */
bool guest_threads_has(struct guest_threads *threads, pid_t tid)
{
	size_t at = find(threads, tid);
	bool known = at < threads->nr && threads->threads[at].tid == tid;
	struct guest_thread found = known ? threads->threads[at] : (struct guest_thread) { .tid = tid };

	if (known && found.look == threads->look)
		return found.is_guest;
	found.look = threads->look;
	if (vm_process_has_thread(threads->pid, tid))
		found.is_guest = true;
	else if (vm_process_exists(tid))
		found.is_guest = false;
	if (!known) {
		struct guest_thread *list = reallocarray(threads->threads, threads->nr + 1, sizeof(*list));

		/* Without memory it is looked up each time */
		if (!list)
			return found.is_guest;
		threads->threads = list;
		memmove(&list[at + 1], &list[at], (threads->nr - at) * sizeof(*list));
		threads->nr++;
	}
	threads->threads[at] = found;
	return found.is_guest;
}

/**
 * guest_threads_close - free what is owned
 * @threads: open, or all zero
 */
void guest_threads_close(struct guest_threads *threads)
{
	free(threads->threads);
	*threads = (struct guest_threads) { 0 };
}
