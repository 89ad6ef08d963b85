/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Which threads are of a VM's process when their events are read: by then a thread may have ended, and its number may
 * belong to another thread.
 */
#ifndef TSC_OFFSET_VM_THREADS_H
#define TSC_OFFSET_VM_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vm_thread;

/**
 * struct vm_threads - what is known of threads
 * @pid: the VM's process
 * @look: number of the look
 * @threads: those that were asked for, by number; owned
 * @nr: how many
 */
struct vm_threads {
	pid_t			pid;
	unsigned int		look;
	struct vm_thread	*threads;
	size_t			nr;
};

void vm_threads_open(struct vm_threads *threads, pid_t pid);
void vm_threads_look(struct vm_threads *threads);
bool vm_threads_has(struct vm_threads *threads, pid_t tid);
void vm_threads_close(struct vm_threads *threads);

#endif /* TSC_OFFSET_VM_THREADS_H */
