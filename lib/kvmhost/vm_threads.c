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
 * @look: in which look it was asked for
 * @is_of_vm: whether it is one of the VM's process, or was when it ended
 */
struct vm_thread {
	pid_t		tid;
	unsigned int	look;
	bool		is_of_vm;
};

/* Where a thread is in the list, or would be */
static size_t find(const struct vm_threads *threads, pid_t tid)
{
	return first_where(i, threads->nr, threads->threads[i].tid >= tid);
}

/**
 * vm_threads_open - begin with the threads that there are
 * @threads: result; to be closed
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
 * vm_threads_look - begin another look: what was found out before may not hold any more
 * @threads: open
 *
 * Threads of others are forgotten: of those there may be any number.
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
 * vm_threads_has - is a thread one of the VM's process?
 * @threads: open
 * @tid: the thread
 *
 * One that has ended counts if it was one of them when it was last there. One of another process does not
 * count, though one of them had its number before.
 *
 * Returns: true if so; of a thread that is asked for again in the same look, what was found the first time.
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

		/* Without memory it is looked up each time */
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
 * @threads: open, or all zero
 */
void vm_threads_close(struct vm_threads *threads)
{
	free(threads->threads);
	*threads = (struct vm_threads) { 0 };
}
