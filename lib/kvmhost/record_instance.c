// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <event-parse.h>
#include <kbuffer.h>
#include <tracefs.h>

#include "cleanup.h"
#include "fault.h"
#include "record_instance.h"
#include "tsc_clock.h"
#include "vm_process.h"

/*
 * Some 6,000 events for each CPU between two drains. The maximum comes from a guest whose TSC KVM must catch up at
 * every exit, with some thousands a second.
 */
#define BUFFER_KB	256
/* For RECORD_READS: some 64 events come between two drains, all on the CPU of the reading thread */
#define READ_BUFFER_KB	32

/* How long record_instance_lock() tries, in steps of 10 ms */
#define LOCK_STEPS	200

static const struct tsc_event_name read_event = { TSC_READ_SYSTEM, TSC_READ_EVENT };

static int read_format(const struct tsc_event_name *event, char **text, int *size)
{
	*text = tracefs_event_file_read(NULL, event->system, event->name, "format", size);
	return *text ? 0 : -ENOENT;
}

/**
 * tsc_event_available - does this kernel have the event, with permission to see it?
 *
 * Returns: true if so.
 */
bool tsc_event_available(void)
{
	_cleanup_(freep) char *text = NULL;
	int size;

	return tracefs_tracing_dir() && !read_format(&tsc_event_names[0], &text, &size);
}

/**
 * tsc_event_names_vm - does the event have its VM, as in a kernel with our patches?
 *
 * Returns: true if so.
 */
bool tsc_event_names_vm(void)
{
	_cleanup_(freep) char *text = NULL;
	int size;

	return tracefs_tracing_dir() && !read_format(&tsc_event_names[0], &text, &size) &&
	       (strstr(text, " vm_id;") || strstr(text, " vm_fd;"));
}

/* An event that the kernel does not have is skipped */
static int parse_event(struct record_instance *instance, const struct tsc_event_name *event)
{
	_cleanup_(freep) char *format = NULL;
	int size;

	if (read_format(event, &format, &size))
		return 0;
	return tep_parse_event(instance->tep, format, size, event->system) ? -EBADMSG : 0;
}

/* RECORD_READS has only this event */
static int parse_read_event(struct record_instance *instance)
{
	struct tep_event *event;
	int ret = parse_event(instance, &read_event);

	for (size_t i = 0; i < NR_TSC_EVENTS; i++)
		instance->formats.ids[i] = TSC_EVENT_NONE;
	event = ret ? NULL : tep_find_event_by_name(instance->tep, read_event.system, read_event.name);
	if (!event)
		return ret ? ret : -ENOENT;
	instance->formats.ids[0] = event->id;
	return tsc_offset_format_init(&instance->formats.formats[0], event);
}

static int parse_formats(struct record_instance *instance, enum record_events events)
{
	_cleanup_(freep) char *header = NULL;
	int header_size, ret = 0;

	header = tracefs_instance_file_read(NULL, "events/header_page", &header_size);
	if (!header)
		return -ENOENT;
	instance->tep = tep_alloc();
	if (!instance->tep)
		return -ENOMEM;
	tep_set_long_size(instance->tep, sizeof(long));
	tep_set_page_size(instance->tep, getpagesize());
	if (tep_parse_header_page(instance->tep, header, header_size, sizeof(long)))
		return -EBADMSG;
	instance->page_size = tep_get_sub_buffer_size(instance->tep);
	if (events == RECORD_READS)
		return parse_read_event(instance);
	for (size_t i = 0; i < NR_TSC_EVENTS && !ret; i++)
		ret = parse_event(instance, &tsc_event_names[i]);
	if (!ret)
		ret = tsc_event_formats_init(&instance->formats, instance->tep, NULL);
	return ret || instance->formats.ids[0] != TSC_EVENT_NONE ? ret : -ENOENT;
}

static int add_pipe(struct record_instance *instance, const char *per_cpu, const char *cpu)
{
	_cleanup_(freep) char *path = NULL;
	int *fds, fd;

	if (asprintf(&path, "%s/%s/trace_pipe_raw", per_cpu, cpu) < 0)
		return -ENOMEM;
	fds = reallocarray(instance->fds, instance->nr_fds + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	instance->fds = fds;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fds[instance->nr_fds++] = fd;
	return 0;
}

/* For all possible CPUs, because an offline one may come online */
static int open_pipes(struct record_instance *instance)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	_cleanup_(freep) char *path = NULL;
	struct dirent *entry;
	int ret = 0;

	if (asprintf(&path, "%s/per_cpu", instance->dir) < 0)
		return -ENOMEM;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "cpu", 3))
			ret = add_pipe(instance, path, entry->d_name);
	}
	return ret ? ret : instance->nr_fds ? 0 : -ENODEV;
}

static int enable(struct record_instance *instance, struct tracefs_instance *tracefs, enum record_events events)
{
	if (events == RECORD_READS)
		return tracefs_event_enable(tracefs, read_event.system, read_event.name) ? -EIO : 0;
	for (size_t i = 0; i < NR_TSC_EVENTS; i++) {
		if (instance->formats.ids[i] != TSC_EVENT_NONE &&
		    (events == RECORD_PROBES || instance->formats.formats[i].kind == TSC_EVENT_CHANGE) &&
		    tracefs_event_enable(tracefs, tsc_event_names[i].system, tsc_event_names[i].name))
			return -EIO;
	}
	return 0;
}

static int open_buffers(struct record_instance *instance, enum record_events events)
{
	int ret = parse_formats(instance, events);

	if (ret)
		return ret;
	instance->kbuf = kbuffer_alloc(KBUFFER_LSIZE_SAME_AS_HOST, KBUFFER_ENDIAN_SAME_AS_HOST);
	instance->page = malloc(instance->page_size);
	return instance->kbuf && instance->page ? open_pipes(instance) : -ENOMEM;
}

static int set_up(struct record_instance *instance, struct tracefs_instance *tracefs, enum record_events events)
{
	int ret;

	if (fault("instance"))
		return -EACCES;
	tracefs_trace_off(tracefs);
	if (tracefs_instance_file_write(tracefs, "trace_clock", TSC_CLOCK) < 0)
		return -ENOTSUP;
	tracefs_instance_set_buffer_size(tracefs, events == RECORD_READS ? READ_BUFFER_KB : BUFFER_KB, -1);
	ret = open_buffers(instance, events);
	if (!ret)
		ret = enable(instance, tracefs, events);
	return ret ? ret : tracefs_trace_on(tracefs) ? -EIO : 0;
}

/**
 * record_instance_open - create an instance that records changes of TSC offsets and multipliers with the TSC clock
 * @instance: result; close with record_instance_close()
 * @number: number of the instance in this process
 * @events: the events to record
 *
 * Returns: 0 or a negative errno; -EEXIST if an instance of that name exists, -ENOTSUP if the kernel has no x86-tsc
 * clock. After an error there is nothing to close; but if the new instance could not be removed, @instance->dir is set.
 */
int record_instance_open(struct record_instance *instance, unsigned int number, enum record_events events)
{
	struct tracefs_instance *tracefs;
	char name[64];
	int ret;

	*instance = (struct record_instance) { 0 };
	snprintf(name, sizeof(name), RECORD_INSTANCE_PREFIX "%d-%u", getpid(), number);
	tracefs = tracefs_instance_create(name);
	if (!tracefs)
		return errno ? -errno : -EIO;
	if (!tracefs_instance_is_new(tracefs)) {
		tracefs_instance_free(tracefs);
		return -EEXIST;
	}
	instance->dir = tracefs_instance_get_dir(tracefs);
	ret = instance->dir ? set_up(instance, tracefs, events) : -ENOMEM;
	tracefs_instance_free(tracefs);
	if (ret)
		record_instance_close(instance);
	return ret;
}

/**
 * record_instance_attach - read the instance of a recording that has ended
 * @instance: result; record_instance_close() closes and removes it, also after an error
 * @name: its name
 *
 * It does not record any more.
 *
 * Returns: 0 or a negative errno.
 */
int record_instance_attach(struct record_instance *instance, const char *name)
{
	struct tracefs_instance *tracefs = tracefs_instance_alloc(NULL, name);
	int ret;

	*instance = (struct record_instance) { 0 };
	if (!tracefs)
		return -ENOMEM;
	tracefs_trace_off(tracefs);
	instance->dir = tracefs_instance_get_dir(tracefs);
	ret = instance->dir ? open_buffers(instance, RECORD_PROBES) : -ENOMEM;
	tracefs_instance_free(tracefs);
	return ret;
}

/**
 * record_instance_wait - wait until it is time to drain
 * @instance: the open instance; must not be closed meanwhile
 * @wake_fd: also ends the wait when it is readable
 * @ms: time limit in milliseconds
 *
 * Returns: true if the buffer of a CPU is half full; on kernels before 6.1, if it has any event.
 */
bool record_instance_wait(const struct record_instance *instance, int wake_fd, int ms)
{
	_cleanup_(freep) struct pollfd *fds = calloc(instance->nr_fds + 1UL, sizeof(*fds));
	bool fills = false;

	if (!fds)
		return true;
	for (int cpu = 0; cpu < instance->nr_fds; cpu++)
		fds[cpu] = (struct pollfd) { .fd = instance->fds[cpu], .events = POLLIN };
	fds[instance->nr_fds] = (struct pollfd) { .fd = wake_fd, .events = POLLIN };
	if (poll(fds, instance->nr_fds + 1UL, ms) <= 0)
		return false;
	for (int cpu = 0; cpu < instance->nr_fds; cpu++)
		fills |= fds[cpu].revents & POLLIN;
	return fills;
}

static int take_page(struct record_instance *instance, tsc_event_func take, void *context, bool *lost,
		     unsigned long long *last)
{
	unsigned long long ts;
	void *data;

	if (kbuffer_load_subbuffer(instance->kbuf, instance->page))
		return -EBADMSG;
	if (kbuffer_missed_events(instance->kbuf))
		*lost = true;
	for (data = kbuffer_read_event(instance->kbuf, &ts); data;
	     data = kbuffer_next_event(instance->kbuf, &ts)) {
		struct tep_record record = {
			.ts	= ts,
			.data	= data,
			.size	= kbuffer_event_size(instance->kbuf),
		};
		const struct tsc_offset_format *format;
		struct tsc_offset_event event;
		int ret = 0, id = tep_data_type(instance->tep, &record);

		*last = ts;
		format = tsc_event_format(&instance->formats, id);
		if (format)
			ret = tsc_offset_event_decode(format, ts, data, record.size, &event);
		if (!ret && format)
			ret = take(&event, context);
		else if (!format && instance->take_line && id == instance->line_id)
			ret = instance->take_line(instance, &record, take, context, lost);
		if (ret)
			return ret;
	}
	return 0;
}

static int drain_cpu(struct record_instance *instance, int fd, unsigned long long until,
		     tsc_event_func take, void *context, bool *lost)
{
	unsigned long long last = 0;
	ssize_t size = 0;
	int ret = 0;

	/* Events may come as fast as they are read: newer events wait for the next drain */
	while (!ret && last < until &&
	       (size = read(fd, instance->page, instance->page_size)) > 0)
		ret = take_page(instance, take, context, lost, &last);
	/* A CPU that is offline has no buffer yet */
	if (size < 0 && errno != EAGAIN && errno != EINTR && errno != ENODEV)
		ret = -errno;
	return ret;
}

/**
 * record_instance_drain - consume all present events
 * @instance: the open instance
 * @take: called for each event
 * @context: for @take
 * @lost: set if the ring buffer dropped events since the last drain, else unchanged
 *
 * Returns: 0, what @take returned, or a negative errno.
 */
int record_instance_drain(struct record_instance *instance, tsc_event_func take, void *context, bool *lost)
{
	unsigned long long now = __rdtsc();
	int ret = 0;

	for (int cpu = 0; cpu < instance->nr_fds && !ret; cpu++)
		ret = drain_cpu(instance, instance->fds[cpu], now, take, context, lost);
	return ret;
}

/**
 * record_instance_set_loads - switch the event of TSC_PROBE_LOAD, which is on if probes are recorded
 * @instance: the open instance
 * @on: true to record it
 */
void record_instance_set_loads(struct record_instance *instance, bool on)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;

	if (asprintf(&path, "%s/events/" TSC_PROBE_SYSTEM "/" TSC_PROBE_LOAD "/enable", instance->dir) < 0)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* If it stays on, it only costs time */
	if (fd >= 0 && write(fd, on ? "1" : "0", 1) != 1)
		return;
}

/**
 * record_instance_close_fds - close the instance's files only
 * @instance: the open instance
 *
 * For a fork without exec: the instance cannot be removed while the child has its files open.
 */
void record_instance_close_fds(struct record_instance *instance)
{
	for (int cpu = 0; cpu < instance->nr_fds; cpu++)
		close(instance->fds[cpu]);
	instance->nr_fds = 0;
}

/**
 * record_instance_close - remove the instance and free its members
 * @instance: an instance, completely or partly open, or closed
 *
 * Returns: 0, or a negative errno if the instance still exists; then call it again.
 */
int record_instance_close(struct record_instance *instance)
{
	record_instance_close_fds(instance);
	free(instance->fds);
	free(instance->page);
	if (instance->kbuf)
		kbuffer_free(instance->kbuf);
	if (instance->tep)
		tep_free(instance->tep);
	instance->fds = NULL;
	instance->page = NULL;
	instance->kbuf = NULL;
	instance->tep = NULL;
	if (!instance->dir)
		return 0;
	if (rmdir(instance->dir) && errno != ENOENT)
		return -errno;
	tracefs_put_tracing_file(instance->dir);
	instance->dir = NULL;
	return 0;
}

/**
 * record_instance_is_left - does an instance belong to a recording whose process has ended?
 * @name: name of any instance
 *
 * Returns: true if so.
 */
bool record_instance_is_left(const char *name)
{
	int pid;

	/* An instance with our pid belongs to an earlier process with that pid */
	return sscanf(name, RECORD_INSTANCE_PREFIX "%d", &pid) == 1 && (pid == getpid() || !vm_process_exists(pid));
}

static int sweep_one(const char *name, void *context)
{
	int *swept = context;
	char *dir;

	if (!record_instance_is_left(name))
		return 0;
	dir = tracefs_get_tracing_file("instances");
	if (dir) {
		_cleanup_(freep) char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, name) > 0 && !rmdir(path))
			++*swept;
		tracefs_put_tracing_file(dir);
	}
	return 0;
}

/**
 * record_instance_sweep - remove instances whose process has ended; called before the first is created
 *
 * Returns: the number of removed instances.
 */
int record_instance_sweep(void)
{
	int swept = 0;

	tracefs_instances_walk(sweep_one, &swept);
	return swept;
}

/**
 * record_instance_lock - keep other recordings from beginning or ending
 *
 * A process that holds the lock for long does not keep recordings from beginning.
 *
 * Returns: a file descriptor, closed to unlock, or -1 if it failed.
 */
int record_instance_lock(void)
{
	char *path = tracefs_get_tracing_file("instances");
	int fd;

	if (!path)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tracefs_put_tracing_file(path);
	for (int i = 0; fd >= 0 && i < LOCK_STEPS && flock(fd, LOCK_EX | LOCK_NB); i++)
		nanosleep(&(struct timespec) { .tv_nsec = 10000000 }, NULL);
	return fd;
}

static bool removes(const char *name, int *pid)
{
	unsigned int number;

	return sscanf(name, RECORD_INSTANCE_PREFIX "%d-%u", pid, &number) == 2 && number == RECORD_NUMBER_REMOVES;
}

/**
 * record_instance_removes - is an instance one of RECORD_NUMBER_REMOVES?
 * @instance: the open instance
 *
 * Returns: true if so.
 */
bool record_instance_removes(const struct record_instance *instance)
{
	const char *slash = instance->dir ? strrchr(instance->dir, '/') : NULL;
	int pid;

	return slash && removes(slash + 1, &pid);
}

struct removing {
	bool	left;
	int	nr;
};

static int count_removing(const char *name, void *context)
{
	struct removing *removing = context;
	int pid;

	removing->nr += removes(name, &pid) && pid != getpid() && (removing->left || !record_instance_is_left(name));
	return 0;
}

/**
 * record_instance_nr_removing - count the other instances of RECORD_NUMBER_REMOVES
 * @left: include those of killed recordings
 *
 * Returns: their number.
 */
int record_instance_nr_removing(bool left)
{
	struct removing removing = { .left = left };

	tracefs_instances_walk(count_removing, &removing);
	return removing.nr;
}
