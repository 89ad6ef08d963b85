/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A thread that takes the events out of the instance of a recording before its buffers are full. */
#ifndef TSC_OFFSET_EVENT_DRAINER_H
#define TSC_OFFSET_EVENT_DRAINER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "record_instance.h"

/**
 * struct event_drainer_ops - what becomes of events; all are called with the lock
 * @wanted: should an event be kept? Called while they are read, CPU by CPU. Returns 1, 0, or a negative errno: then the
 *	rest is left
 * @take: takes one that is wanted, all of one drain in the order of time; may change it. Returns 0 or a negative errno
 * @tick: called by the thread from time to time, to call event_drainer_drain()
 */
struct event_drainer_ops {
	int	(*wanted)(const struct tsc_offset_event *event, void *context);
	int	(*take)(struct tsc_offset_event *event, void *context);
	void	(*tick)(void *context);
};

/**
 * struct event_drainer - an instance with its thread
 * @lock: for all that follows, and for what the callbacks need
 * @instance: where the events come from
 * @lost: its buffers dropped events
 * @lazy: @ops->tick is called only when the buffers fill; the caller's
 * @error: why its events are not read any more, a negative errno; 0 while they are
 * @batch: the events of one drain
 * @nr_batch: how many
 * @capacity: how many fit
 * @ops, @context: the caller's
 * @thread: calls @ops->tick
 * @wake_fd: an eventfd that ends its sleep
 * @running: it is there
 * @stop: it shall end
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
