/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Decides whether threads belong to a VM's process. When events are read, a thread may have ended, and another thread
 * may have its number.
 */
#ifndef TSC_OFFSET_VM_THREADS_H
#define TSC_OFFSET_VM_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vm_thread;

/**
 * struct vm_threads - threads that were looked up
 * @pid: the VM's process
 * @look: number of the current look at /proc
 * @threads: results, by thread number; owned
 * @nr: number of @threads
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
