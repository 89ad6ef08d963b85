// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event-parse.h>
#include <tracefs.h>

#include "cleanup.h"
#include "event.h"
#include "left_instance.h"
#include "record_instance.h"
#include "vcpu_mark.h"

#define FILE_WORDS	"tsc-offset record 1 file="
#define DRAINED_WORDS	"tsc-offset record drained"

static int write_line(const struct record_instance *instance, const char *line, size_t length)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;
	ssize_t written;

	if (asprintf(&path, "%s/trace_marker", instance->dir) < 0)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	written = write(fd, line, length);
	return written == (ssize_t)length ? 0 : written < 0 ? -errno : -EMSGSIZE;
}

/* The same result for all names of a file that may not exist yet. To be freed; NULL if it has no directory. */
static char *absolute_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *dir = slash ? strndup(path, slash - path + 1) : strdup(".");
	_cleanup_(freep) char *real = dir ? realpath(dir, NULL) : NULL;
	char *absolute;

	if (!real || asprintf(&absolute, "%s/%s", real, slash ? slash + 1 : path) < 0)
		return NULL;
	return absolute;
}

/* To be freed; NULL if it does not fit into a line */
static char *file_line(const char *path)
{
	_cleanup_(freep) char *absolute = absolute_path(path);
	char *line;

	if (!absolute || strchr(absolute, '\n') || asprintf(&line, FILE_WORDS "%s\n", absolute) < 0)
		return NULL;
	return line;
}

/**
 * left_instance_name_file - store the recording to which an instance belongs
 * @instance: the open instance
 * @path: path of the host's file, which may not exist yet
 *
 * Returns: 0 or a negative errno; then the instance cannot be found by the file.
 */
int left_instance_name_file(const struct record_instance *instance, const char *path)
{
	_cleanup_(freep) char *line = file_line(path);

	return line ? write_line(instance, line, strlen(line)) : -EINVAL;
}

/**
 * left_instance_mark - write the state of a vCPU
 * @instance: the open instance
 * @mark: its state
 *
 * Returns: 0 or a negative errno.
 */
int left_instance_mark(const struct record_instance *instance, const struct vcpu_mark *mark)
{
	char line[VCPU_MARK_SIZE];

	return write_line(instance, line, vcpu_mark_print(line, mark));
}

/**
 * left_instance_drained - mark the instance as drained, and so incomplete
 * @instance: the open instance
 *
 * Returns: 0 or a negative errno.
 */
int left_instance_drained(const struct record_instance *instance)
{
	return write_line(instance, DRAINED_WORDS "\n", strlen(DRAINED_WORDS "\n"));
}

/* The text ends at the end of its record at the latest */
static int take_line(const struct record_instance *instance, const struct tep_record *record, tsc_event_func take,
		     void *context, bool *lost)
{
	const char *text = (const char *)record->data + instance->line_text;
	struct tsc_offset_event event;
	struct vcpu_mark mark;
	size_t length;

	if (record->size < 0 || (size_t)record->size <= instance->line_text)
		return 0;
	length = (size_t)record->size - instance->line_text;
	if (length >= strlen(DRAINED_WORDS) && !memcmp(text, DRAINED_WORDS, strlen(DRAINED_WORDS)))
		*lost = true;
	if (vcpu_mark_parse(&mark, text, length) != 1)
		return 0;
	vcpu_mark_event(&event, &mark);
	return take(&event, context);
}

static int read_lines(struct record_instance *instance)
{
	_cleanup_(freep) char *format = NULL;
	struct tep_format_field *text = NULL;
	struct tep_event *event = NULL;
	int size;

	format = tracefs_event_file_read(NULL, "ftrace", "print", "format", &size);
	if (format && !tep_parse_event(instance->tep, format, size, "ftrace"))
		event = tep_find_event_by_name(instance->tep, "ftrace", "print");
	if (event)
		text = tep_find_field(event, "buf");
	if (!text || text->offset <= 0)
		return -EBADMSG;
	instance->line_id = event->id;
	instance->line_text = (size_t)text->offset;
	instance->take_line = take_line;
	return 0;
}

/* Without consuming events */
static bool has_line(const char *name, const char *line)
{
	struct tracefs_instance *tracefs = tracefs_instance_alloc(NULL, name);
	char *path = tracefs ? tracefs_instance_get_file(tracefs, "trace") : NULL;
	_cleanup_(fclosep) FILE *file = path ? fopen(path, "re") : NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	bool found = false;

	while (file && !found && getline(&text, &size, file) > 0) {
		const char *words = strstr(text, ": " FILE_WORDS);

		found = words && !strcmp(words + strlen(": "), line);
	}
	tracefs_put_tracing_file(path);
	tracefs_instance_free(tracefs);
	return found;
}

struct search {
	const char	*line;
	char		*name;
};

static int look_at(const char *name, void *context)
{
	struct search *search = context;

	if (!record_instance_is_left(name) || !has_line(name, search->line))
		return 0;
	search->name = strdup(name);
	return 1;
}

/**
 * left_instance_open - open the instance of a killed tsc-offset record
 * @instance: result; record_instance_close() removes it
 * @path: path of the host's file
 *
 * Its lines are drained as events of kind TSC_EVENT_STATE.
 *
 * Returns: 0, -ENOENT if no instance belongs to the file, or another negative errno: then there is nothing to close,
 * and the instance stays.
 */
int left_instance_open(struct record_instance *instance, const char *path)
{
	_cleanup_(freep) char *line = file_line(path);
	struct search search = { .line = line };
	int ret;

	*instance = (struct record_instance) { 0 };
	if (line && tracefs_tracing_dir())
		tracefs_instances_walk(look_at, &search);
	if (!search.name)
		return -ENOENT;
	ret = record_instance_attach(instance, search.name);
	free(search.name);
	if (!ret)
		ret = read_lines(instance);
	if (ret) {
		tracefs_put_tracing_file(instance->dir);
		instance->dir = NULL;
		record_instance_close(instance);
	}
	return ret;
}
