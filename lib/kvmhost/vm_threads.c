// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "order.h"
#include "vm_threads.h"
#include "vm_process.h"

/**
 * struct vm_thread - a thread
 * @tid: its number
 * @look: the look in which it was last looked up
 * @is_of_vm: whether it belongs to the VM's process, or did when it ended
 */
struct vm_thread {
	pid_t		tid;
	unsigned int	look;
	bool		is_of_vm;
};

/* Index of a thread in the list, or where to insert it */
static size_t find(const struct vm_threads *threads, pid_t tid)
{
	return first_where(i, threads->nr, threads->threads[i].tid >= tid);
}

/**
 * vm_threads_open - begin with the existing threads
 * @threads: result; must be closed
 * @pid: the VM's process
 */
void vm_threads_open(struct vm_threads *threads, pid_t pid)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	*threads = (struct vm_threads) { .pid = pid };
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0)
			vm_threads_has(threads, tid);
	}
}

/**
 * vm_threads_look - begin another look: earlier results may be outdated
 * @threads: the open list
 *
 * Forgets threads of other processes, because their number is unlimited.
 */
void vm_threads_look(struct vm_threads *threads)
{
	size_t kept = 0;

	for (size_t i = 0; i < threads->nr; i++) {
		if (threads->threads[i].is_of_vm)
			threads->threads[kept++] = threads->threads[i];
	}
	threads->nr = kept;
	threads->look++;
}

/**
 * vm_threads_has - does a thread belong to the VM's process?
 * @threads: the open list
 * @tid: the thread
 *
 * A thread that has ended counts if it belonged to the process when it last existed. A thread of another process does
 * not count, even if a thread of the VM had its number before.
 *
 * Returns: true if so. Within one look, the first result for a thread is repeated.
 */
bool vm_threads_has(struct vm_threads *threads, pid_t tid)
{
	size_t at = find(threads, tid);
	bool known = at < threads->nr && threads->threads[at].tid == tid;
	struct vm_thread found = known ? threads->threads[at] : (struct vm_thread) { .tid = tid };

	if (known && found.look == threads->look)
		return found.is_of_vm;
	found.look = threads->look;
	if (vm_process_has_thread(threads->pid, tid))
		found.is_of_vm = true;
	else if (vm_process_exists(tid))
		found.is_of_vm = false;
	if (!known) {
		struct vm_thread *list = reallocarray(threads->threads, threads->nr + 1, sizeof(*list));

		/* Without memory, look it up each time */
		if (!list)
			return found.is_of_vm;
		threads->threads = list;
		memmove(&list[at + 1], &list[at], (threads->nr - at) * sizeof(*list));
		threads->nr++;
	}
	threads->threads[at] = found;
	return found.is_of_vm;
}

/**
 * vm_threads_close - free what is owned
 * @threads: the open list, or all zeros
 */
void vm_threads_close(struct vm_threads *threads)
{
	free(threads->threads);
	*threads = (struct vm_threads) { 0 };
}
