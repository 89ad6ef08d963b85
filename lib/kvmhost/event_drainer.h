/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A thread that drains the instance of a recording before its buffers are full. */
#ifndef TSC_OFFSET_EVENT_DRAINER_H
#define TSC_OFFSET_EVENT_DRAINER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "record_instance.h"

/**
 * struct event_drainer_ops - the consumer of events; all callbacks are called with the lock held
 * @wanted: decides whether an event is kept. Called during the read, CPU by CPU. Returns 1, 0, or a negative errno that
 *	ends the read
 * @take: takes a wanted event; those of one drain come in the order of time. May modify it. Returns 0 or a negative
 *	errno
 * @tick: called by the thread at intervals, to call event_drainer_drain()
 */
struct event_drainer_ops {
	int	(*wanted)(const struct tsc_offset_event *event, void *context);
	int	(*take)(struct tsc_offset_event *event, void *context);
	void	(*tick)(void *context);
};

/**
 * struct event_drainer - an instance with its thread
 * @lock: protects all members below and the data of the callbacks
 * @instance: source of the events
 * @lost: its buffers dropped events
 * @lazy: call @ops->tick only when the buffers fill; set by the caller
 * @error: negative errno with which reading stopped, 0 before
 * @batch: the events of one drain
 * @nr_batch: number of events in @batch
 * @capacity: number of events that fit without growing
 * @ops, @context: set by the caller
 * @thread: calls @ops->tick
 * @wake_fd: an eventfd that wakes the thread
 * @running: the thread exists
 * @stop: the thread is to exit
 */
struct event_drainer {
	pthread_mutex_t			lock;
	struct record_instance		instance;
	bool				lost;
	bool				lazy;
	int				error;
	struct tsc_offset_event		*batch;
	size_t				nr_batch;
	size_t				capacity;
	const struct event_drainer_ops	*ops;
	void				*context;
	pthread_t			thread;
	int				wake_fd;
	bool				running;
	bool				stop;
};

int event_drainer_open(struct event_drainer *drainer, unsigned int number, bool probes,
		       const struct event_drainer_ops *ops, void *context);
int event_drainer_start(struct event_drainer *drainer);
int event_drainer_drain(struct event_drainer *drainer);
void event_drainer_stop(struct event_drainer *drainer);
int event_drainer_close(struct event_drainer *drainer);

#endif /* TSC_OFFSET_EVENT_DRAINER_H */
