// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include <event-parse.h>
#include <kbuffer.h>
#include <tracefs.h>

#include "cleanup.h"
#include "fault.h"
#include "instance.h"
#include "tsc_clock.h"
#include "vm_process.h"

/*
 * Some 6,000 events for each CPU between two drains. A guest whose TSC KVM has to catch up at every exit
 * makes the most of them, some thousands a second.
 */
#define BUFFER_KB	256

static int read_format(const char *event, char **text, int *size)
{
	*text = tracefs_event_file_read(NULL, TSC_OFFSET_SYSTEM, event, "format", size);
	return *text ? 0 : -ENOENT;
}

/**
 * tsc_event_available - does this kernel have the event, and may we see it?
 *
 * Returns: true if so.
 */
bool tsc_event_available(void)
{
	_cleanup_(freep) char *text = NULL;
	int size;

	return tracefs_tracing_dir() && !read_format(TSC_OFFSET_EVENT, &text, &size);
}

/* Returns: 0 with *event NULL if the kernel does not have it */
static int parse_event(struct tsc_instance *instance, const char *name, struct tep_event **event)
{
	_cleanup_(freep) char *format = NULL;
	int size;

	*event = NULL;
	if (read_format(name, &format, &size))
		return 0;
	if (tep_parse_event(instance->tep, format, size, TSC_OFFSET_SYSTEM))
		return -EBADMSG;
	*event = tep_find_event_by_name(instance->tep, TSC_OFFSET_SYSTEM, name);
	return *event ? 0 : -EBADMSG;
}

static int parse_formats(struct tsc_instance *instance)
{
	_cleanup_(freep) char *header = NULL;
	struct tep_event *offset, *multiplier;
	int header_size, ret;

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
	ret = parse_event(instance, TSC_OFFSET_EVENT, &offset);
	if (!ret)
		ret = parse_event(instance, TSC_MULTIPLIER_EVENT, &multiplier);
	if (ret)
		return ret;
	return offset ? tsc_event_formats_init(&instance->formats, offset, multiplier) : -ENOENT;
}

static int add_pipe(struct tsc_instance *instance, const char *per_cpu, const char *cpu)
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

/* Of all CPUs that there may be: one that is offline now may come up */
static int open_pipes(struct tsc_instance *instance)
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

static int set_up(struct tsc_instance *instance, struct tracefs_instance *tracefs)
{
	int ret;

	if (fault("instance"))
		return -EACCES;
	tracefs_trace_off(tracefs);
	if (tracefs_instance_file_write(tracefs, "trace_clock", TSC_CLOCK) < 0)
		return -ENOTSUP;
	tracefs_instance_set_buffer_size(tracefs, BUFFER_KB, -1);
	ret = parse_formats(instance);
	if (ret)
		return ret;
	instance->kbuf = kbuffer_alloc(KBUFFER_LSIZE_SAME_AS_HOST, KBUFFER_ENDIAN_SAME_AS_HOST);
	instance->page = malloc(instance->page_size);
	if (!instance->kbuf || !instance->page)
		return -ENOMEM;
	ret = open_pipes(instance);
	if (ret)
		return ret;
	if (tracefs_event_enable(tracefs, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT) ||
	    (instance->formats.multiplier_id != TSC_EVENT_NONE &&
	     tracefs_event_enable(tracefs, TSC_OFFSET_SYSTEM, TSC_MULTIPLIER_EVENT)) ||
	    tracefs_trace_on(tracefs))
		return -EIO;
	return 0;
}

/**
 * tsc_instance_open - make an instance that records changes of TSC offsets and multipliers by the TSC
 * @instance: result; close with tsc_instance_close()
 * @name: of the instance
 *
 * Returns: 0 or a negative errno; -EEXIST if there is an instance of that name, -ENOTSUP if the kernel has
 * no x86-tsc clock. After an error there is nothing to close, but if the new instance could not be removed
 * again @instance->dir is set.
 */
int tsc_instance_open(struct tsc_instance *instance, const char *name)
{
	struct tracefs_instance *tracefs = tracefs_instance_create(name);
	int ret;

	*instance = (struct tsc_instance) { 0 };
	if (!tracefs)
		return errno ? -errno : -EIO;
	if (!tracefs_instance_is_new(tracefs)) {
		tracefs_instance_free(tracefs);
		return -EEXIST;
	}
	instance->dir = tracefs_instance_get_dir(tracefs);
	ret = instance->dir ? set_up(instance, tracefs) : -ENOMEM;
	tracefs_instance_free(tracefs);
	if (ret)
		tsc_instance_close(instance);
	return ret;
}

static int take_page(struct tsc_instance *instance, tsc_event_func take, void *context, bool *lost,
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
		int ret;

		*last = ts;
		format = tsc_event_format(&instance->formats, tep_data_type(instance->tep, &record));
		if (!format)
			continue;
		ret = tsc_offset_event_decode(format, ts, data, record.size, &event);
		if (!ret)
			ret = take(&event, context);
		if (ret)
			return ret;
	}
	return 0;
}

static int drain_cpu(struct tsc_instance *instance, int fd, unsigned long long until,
		     tsc_event_func take, void *context, bool *lost)
{
	unsigned long long last = 0;
	ssize_t size = 0;
	int ret = 0;

	/* Events may come as fast as they are read: what is newer than the drain waits for the next */
	while (!ret && last < until &&
	       (size = read(fd, instance->page, instance->page_size)) > 0)
		ret = take_page(instance, take, context, lost, &last);
	/* A CPU that is offline has no buffer yet */
	if (size < 0 && errno != EAGAIN && errno != EINTR && errno != ENODEV)
		ret = -errno;
	return ret;
}

/**
 * tsc_instance_drain - consume all events that are there now
 * @instance: open
 * @take: called for each
 * @context: for @take
 * @lost: set if the ring buffer dropped events since the last drain, else left alone
 *
 * Returns: 0, what @take returned, or a negative errno.
 */
int tsc_instance_drain(struct tsc_instance *instance, tsc_event_func take, void *context, bool *lost)
{
	unsigned long long now = __rdtsc();
	int ret = 0;

	for (int cpu = 0; cpu < instance->nr_fds && !ret; cpu++)
		ret = drain_cpu(instance, instance->fds[cpu], now, take, context, lost);
	return ret;
}

/**
 * tsc_instance_close_fds - let go of the instance's files without anything else
 * @instance: open
 *
 * For a fork that does not exec: as long as it holds the files the instance cannot be removed.
 */
void tsc_instance_close_fds(struct tsc_instance *instance)
{
	for (int cpu = 0; cpu < instance->nr_fds; cpu++)
		close(instance->fds[cpu]);
	instance->nr_fds = 0;
}

/**
 * tsc_instance_close - remove the instance and free what it owns
 * @instance: open, half open or closed
 *
 * Returns: 0, or a negative errno if the instance is still there; to be called again then.
 */
int tsc_instance_close(struct tsc_instance *instance)
{
	tsc_instance_close_fds(instance);
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

struct sweep {
	const char	*prefix;
	int		swept;
};

static int sweep_one(const char *name, void *context)
{
	struct sweep *sweep = context;
	size_t length = strlen(sweep->prefix);
	char *dir;
	int pid;

	if (strncmp(name, sweep->prefix, length) || sscanf(name + length, "%d", &pid) != 1)
		return 0;
	/* One with our own number is of another that had it before */
	if (pid != getpid() && vm_process_exists(pid))
		return 0;
	dir = tracefs_get_tracing_file("instances");
	if (dir) {
		_cleanup_(freep) char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, name) > 0 && !rmdir(path))
			sweep->swept++;
		tracefs_put_tracing_file(dir);
	}
	return 0;
}

/**
 * tsc_instance_sweep - remove instances whose process is gone; to be called before the first is made
 * @prefix: what the instances' names have before the process's number
 *
 * Returns: how many were removed.
 */
int tsc_instance_sweep(const char *prefix)
{
	struct sweep sweep = { .prefix = prefix };

	tracefs_instances_walk(sweep_one, &sweep);
	return sweep.swept;
}

/*
 * The file named trace is the only one that does not consume. Lines of it, with more or fewer columns as the
 * instance's options say, and more or fewer words as the kernel has:
 *
 *	CPU 0/KVM-110   [000] ..... 30758974169: kvm_write_tsc_offset: vcpu=0 prev=0 next=18446744064
 *	CPU 0/KVM-110   [000] ..... 30758974170: kvm_write_tsc_multiplier: vcpu=0 prev=281474976710656
 *		next=351843720888320 frac_bits=48 offset=18446744064 vm=108-12
 *
 * A thread can have any name, but its 15 bytes are too few for what matches. A name with a newline splits the line, and
 * the second part may begin with # like a comment: comments do not match anyway, so no line is skipped for that.
 */
#define TRACE_LINE	"-([0-9]+) +(\\([ 0-9-]+\\) +)?\\[[0-9]+\\]( +[^ ]+)? +([0-9.]+): "	\
			"(" TSC_OFFSET_EVENT "|" TSC_MULTIPLIER_EVENT "):( .*)"
enum { LINE_TID = 1, LINE_TIME = 4, LINE_EVENT, LINE_WORDS, LINE_MATCHES };

/* A switch that was off for a while has missed changes; that it is on now is all that can be seen */
static bool boot_instance_is_on(const char *file)
{
	_cleanup_(fclosep) FILE *stream = NULL;
	_cleanup_(freep) char *name = NULL;
	char *path;

	if (asprintf(&name, "instances/" BOOT_INSTANCE "/%s", file) < 0)
		return false;
	path = tracefs_get_tracing_file(name);
	if (!path)
		return false;
	stream = fopen(path, "re");
	tracefs_put_tracing_file(path);
	return stream && getc(stream) == '1';
}

static uint64_t number_at(const char *line, const regmatch_t *match)
{
	return strtoull(line + match->rm_so, NULL, 10);
}

/* Returns: what comes after " KEY=", NULL if there is no such word */
static const char *value_of(const char *words, const char *key)
{
	size_t length = strlen(key);

	while ((words = strchr(words, ' '))) {
		words++;
		if (!strncmp(words, key, length) && words[length] == '=')
			return words + length + 1;
	}
	return NULL;
}

/* Returns: 0 if there is no such word */
static uint64_t number_of(const char *words, const char *key)
{
	const char *value = value_of(words, key);

	return value ? strtoull(value, NULL, 10) : 0;
}

static void parse_words(struct tsc_offset_event *event, bool is_multiplier, const char *words)
{
	const char *vm = value_of(words, "vm");
	uint64_t previous = number_of(words, "prev"), next = number_of(words, "next");

	event->vcpu_id = (uint32_t)number_of(words, "vcpu");
	event->frac_bits = (uint32_t)number_of(words, "frac_bits");
	if (is_multiplier) {
		event->previous_ratio = previous;
		event->ratio = next;
		event->previous = event->next = (int64_t)number_of(words, "offset");
	} else {
		event->previous_ratio = event->ratio = number_of(words, "ratio");
		event->previous = (int64_t)previous;
		event->next = (int64_t)next;
	}
	event->vm_fd = -1;
	if (vm)
		sscanf(vm, "%d-%d", &event->vm_pid, &event->vm_fd);
}

/**
 * boot_instance_events - read the events of the instance that was set up at boot, without consuming them
 * @take: called for each event, in the order of time; it cannot rely on the time itself, which is in the
 *	instance's clock
 * @context: for @take
 *
 * Returns: 0, -ENOENT if there is no such instance, what @take returned, or another negative errno.
 */
int boot_instance_events(tsc_event_func take, void *context)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_(freep) char *line = NULL;
	regmatch_t match[LINE_MATCHES];
	size_t capacity = 0;
	regex_t regex;
	char *path;
	int ret = 0;

	path = tracefs_get_tracing_file("instances/" BOOT_INSTANCE "/trace");
	if (!path)
		return -ENOENT;
	file = fopen(path, "re");
	tracefs_put_tracing_file(path);
	if (!file)
		return -errno;
	if (regcomp(&regex, TRACE_LINE, REG_EXTENDED))
		return -ENOMEM;
	while (!ret && getline(&line, &capacity, file) > 0) {
		struct tsc_offset_event event;

		if (regexec(&regex, line, LINE_MATCHES, match, 0))
			continue;
		event = (struct tsc_offset_event) {
			.host_tsc	= number_at(line, &match[LINE_TIME]),
			.tid		= (int)number_at(line, &match[LINE_TID]),
		};
		parse_words(&event, match[LINE_EVENT].rm_eo - match[LINE_EVENT].rm_so ==
			    strlen(TSC_MULTIPLIER_EVENT), line + match[LINE_WORDS].rm_so);
		ret = take(&event, context);
	}
	regfree(&regex);
	return ret;
}

/**
 * boot_instance_read - boot_instance_events() of an instance that records
 * @take: called for each event
 * @context: for @take
 *
 * Returns: as boot_instance_events(), and -ENOENT also if the instance does not record.
 */
int boot_instance_read(tsc_event_func take, void *context)
{
	if (!boot_instance_is_on("tracing_on") ||
	    !boot_instance_is_on("events/" TSC_OFFSET_SYSTEM "/" TSC_OFFSET_EVENT "/enable"))
		return -ENOENT;
	return boot_instance_events(take, context);
}
