// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "array.h"
#include "event_drainer.h"
#include "order.h"

/* How often the buffers are drained; see record_instance.c for their size */
#define DRAIN_INTERVAL_MS	100
/* The longest wait for the buffers to fill, which the kernel reports */
#define LAZY_INTERVAL_MS	10000

/**
 * event_drainer_open - start recording
 * @drainer: result; close with event_drainer_close(), also after an error
 * @number: number of the instance in this process
 * @probes: also record the events of kvm_probes_define()
 * @ops, @context: the consumer of the events
 *
 * Returns: 0 or a negative errno as record_instance_open(), which is also stored in @drainer->error.
 */
int event_drainer_open(struct event_drainer *drainer, unsigned int number, bool probes,
		       const struct event_drainer_ops *ops, void *context)
{
	*drainer = (struct event_drainer) {
		.lock = PTHREAD_MUTEX_INITIALIZER, .ops = ops, .context = context, .wake_fd = -1,
	};
	drainer->error = record_instance_open(&drainer->instance, number, probes ? RECORD_PROBES : RECORD_CHANGES);
	return drainer->error;
}

/* Returns: false if there is nothing to do yet */
static bool wait_without_lock(const struct event_drainer *drainer, bool lazy)
{
	struct pollfd wake = { .fd = drainer->wake_fd, .events = POLLIN };

	/* Limits the pace if the buffers of all CPUs fill at once */
	poll(&wake, 1, DRAIN_INTERVAL_MS);
	return !lazy || record_instance_wait(&drainer->instance, drainer->wake_fd, LAZY_INTERVAL_MS);
}

static void *drain_thread(void *context)
{
	struct event_drainer *drainer = context;

	pthread_mutex_lock(&drainer->lock);
	while (!drainer->stop) {
		bool lazy = drainer->lazy, due;

		pthread_mutex_unlock(&drainer->lock);
		due = wait_without_lock(drainer, lazy);
		pthread_mutex_lock(&drainer->lock);
		if (due && !drainer->stop)
			drainer->ops->tick(drainer->context);
	}
	pthread_mutex_unlock(&drainer->lock);
	return NULL;
}

/**
 * event_drainer_start - start the thread
 * @drainer: the open drainer
 *
 * Returns: 0 or a negative errno.
 */
int event_drainer_start(struct event_drainer *drainer)
{
	sigset_t all, old;
	int ret;

	drainer->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (drainer->wake_fd < 0)
		return -errno;
	/* Leave signals to the program's own threads */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&drainer->thread, NULL, drain_thread, drainer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	drainer->running = !ret;
	return -ret;
}

static int put_aside(const struct tsc_offset_event *event, void *context)
{
	struct event_drainer *drainer = context;
	int wanted = drainer->ops->wanted(event, drainer->context);

	if (wanted <= 0)
		return wanted;
	if (array_reserve(drainer->batch, drainer->nr_batch, drainer->capacity))
		return -ENOMEM;
	drainer->batch[drainer->nr_batch++] = *event;
	return 0;
}

/**
 * event_drainer_drain - take the events in the buffers; called with the lock held
 * @drainer: the open drainer
 *
 * After an error, events that were already read are taken, and no more are read.
 *
 * Returns: @drainer->error.
 */
int event_drainer_drain(struct event_drainer *drainer)
{
	if (drainer->error)
		return drainer->error;
	drainer->nr_batch = 0;
	drainer->error = record_instance_drain(&drainer->instance, put_aside, drainer, &drainer->lost);
	/* Events come CPU by CPU, and a vCPU that migrated has events in several */
	array_sort(drainer->batch, drainer->nr_batch, tsc_offset_event_compare);
	for (size_t i = 0; i < drainer->nr_batch; i++) {
		int ret = drainer->ops->take(&drainer->batch[i], drainer->context);

		if (ret && !drainer->error)
			drainer->error = ret;
	}
	return drainer->error;
}

/**
 * event_drainer_stop - stop the thread
 * @drainer: the open drainer
 */
void event_drainer_stop(struct event_drainer *drainer)
{
	if (!drainer->running)
		return;
	pthread_mutex_lock(&drainer->lock);
	drainer->stop = true;
	pthread_mutex_unlock(&drainer->lock);
	eventfd_write(drainer->wake_fd, 1);
	pthread_join(drainer->thread, NULL);
	drainer->running = false;
}

/**
 * event_drainer_close - remove the instance
 * @drainer: the drainer, with its thread stopped
 *
 * Returns: 0, or a negative errno if the instance still exists.
 */
int event_drainer_close(struct event_drainer *drainer)
{
	free(drainer->batch);
	drainer->batch = NULL;
	drainer->nr_batch = drainer->capacity = 0;
	if (drainer->wake_fd >= 0)
		close(drainer->wake_fd);
	drainer->wake_fd = -1;
	return record_instance_close(&drainer->instance);
}
