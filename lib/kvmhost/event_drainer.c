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

/* How often the buffers are emptied; record_instance.c says how much they hold */
#define DRAIN_INTERVAL_MS	100
/* How long to wait for them to fill, which the kernel reports */
#define LAZY_INTERVAL_MS	10000

/**
 * event_drainer_open - begin to record
 * @drainer: result; close with event_drainer_close(), also after an error
 * @number: of the instance in this process
 * @probes: record those of kvm_probes_define() as well
 * @ops, @context: what becomes of the events
 *
 * Returns: 0 or a negative errno as record_instance_open(), which is in @drainer->error as well.
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

/* Returns: false if there is nothing to be done yet */
static bool wait_without_lock(const struct event_drainer *drainer, bool lazy)
{
	struct pollfd wake = { .fd = drainer->wake_fd, .events = POLLIN };

	/* Where the buffers of all CPUs fill at once this is the pace as well */
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
 * @drainer: open
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
	/* Signals are for the program's own threads */
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
 * event_drainer_drain - take what the buffers hold; to be called with the lock
 * @drainer: open
 *
 * After an error the events that were read are taken, and no more are read from then on.
 *
 * Returns: @drainer->error.
 */
int event_drainer_drain(struct event_drainer *drainer)
{
	if (drainer->error)
		return drainer->error;
	drainer->nr_batch = 0;
	drainer->error = record_instance_drain(&drainer->instance, put_aside, drainer, &drainer->lost);
	/* CPU by CPU is how they come; a vCPU that migrated has some in several */
	array_sort(drainer->batch, drainer->nr_batch, tsc_offset_event_compare);
	for (size_t i = 0; i < drainer->nr_batch; i++) {
		int ret = drainer->ops->take(&drainer->batch[i], drainer->context);

		if (ret && !drainer->error)
			drainer->error = ret;
	}
	return drainer->error;
}

/**
 * event_drainer_stop - end the thread
 * @drainer: open
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
 * @drainer: its thread has ended
 *
 * Returns: 0, or a negative errno if the instance is still there.
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
