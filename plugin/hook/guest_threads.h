/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Which threads are a guest's when its events are read: by then a thread may have ended, and its number may belong to
 * another thread.
 */
#ifndef TSC_OFFSET_GUEST_THREADS_H
#define TSC_OFFSET_GUEST_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct guest_thread;

/**
 * struct guest_threads - what is known of threads
 * @pid: process of the guest's VMM
 * @look: number of the look
 * @threads: those that were asked for, by number; owned
 * @nr: how many
 */
struct guest_threads {
	pid_t			pid;
	unsigned int		look;
	struct guest_thread	*threads;
	size_t			nr;
};

void guest_threads_open(struct guest_threads *threads, pid_t pid);
void guest_threads_look(struct guest_threads *threads);
bool guest_threads_has(struct guest_threads *threads, pid_t tid);
void guest_threads_close(struct guest_threads *threads);

#endif /* TSC_OFFSET_GUEST_THREADS_H */
