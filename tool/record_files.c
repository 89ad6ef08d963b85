// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "record_files.h"

struct old_file {
	char		*path;
	struct stat	stat;
};

/* Where trace-cmd adds a guest's name to the path of the host's file: before its last dot */
static size_t length_before_name(const char *host_path)
{
	const char *dot = strrchr(host_path, '.');

	return dot && dot != host_path ? (size_t)(dot - host_path) : strlen(host_path);
}

/* trace-cmd's names for the files of guests: "HOST-*.dat" of "HOST.dat" */
static char *guest_pattern(const char *host_path)
{
	size_t length = length_before_name(host_path);
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	for (size_t i = 0; host_path[i]; i++) {
		if (i == length)
			fputs("-*", file);
		if (strchr("*?[\\", host_path[i]))
			fputc('\\', file);
		fputc(host_path[i], file);
	}
	if (!host_path[length])
		fputs("-*", file);
	return fclose(file) ? NULL : text;
}

static int keep(struct record_files *files, const char *path)
{
	struct old_file *old = &files->old[files->nr_old];

	if (stat(path, &old->stat))
		return 0;
	old->path = strdup(path);
	files->nr_old += old->path != NULL;
	return old->path ? 0 : -ENOMEM;
}

static int keep_all(struct record_files *files)
{
	_cleanup_(globfree) glob_t guests = { 0 };
	int ret;

	files->pattern = guest_pattern(files->host_path);
	if (!files->pattern)
		return -ENOMEM;
	ret = record_files_guests(files, &guests);
	if (ret)
		return ret;
	files->old = calloc(guests.gl_pathc + 1, sizeof(*files->old));
	if (!files->old)
		return -ENOMEM;
	ret = keep(files, files->host_path);
	for (size_t i = 0; i < guests.gl_pathc && !ret; i++)
		ret = keep(files, guests.gl_pathv[i]);
	return ret;
}

/**
 * record_files_begin - list the existing files before a recording
 * @files: result; must be released
 * @host_path: path of the host's file; must be valid while @files is used
 */
void record_files_begin(struct record_files *files, const char *host_path)
{
	*files = (struct record_files) { .host_path = host_path };
	files->error = keep_all(files);
}

/**
 * record_files_all - list the files of an earlier recording
 * @files: result; must be released
 * @host_path: path of the host's file; must be valid while @files is used
 */
void record_files_all(struct record_files *files, const char *host_path)
{
	*files = (struct record_files) { .host_path = host_path, .pattern = guest_pattern(host_path) };
	files->error = files->pattern ? 0 : -ENOMEM;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       is_same_time(&a->st_mtim, &b->st_mtim) && is_same_time(&a->st_ctim, &b->st_ctim);
}

/**
 * record_files_wrote - did the recording write a file?
 * @files: begun before the recording
 * @path: path of the file
 *
 * Returns: false if it is unchanged, not a regular file, or missing.
 */
bool record_files_wrote(const struct record_files *files, const char *path)
{
	struct stat now;

	if (stat(path, &now) || !S_ISREG(now.st_mode))
		return false;
	for (size_t i = 0; i < files->nr_old; i++) {
		if (!strcmp(files->old[i].path, path))
			return !is_same(&files->old[i].stat, &now);
	}
	return true;
}

/**
 * record_files_guests - find the possible files of guests
 * @files: begun without an error
 * @guests: result; to be freed with globfree() in any case
 *
 * Returns: 0, also if there is none, or a negative errno.
 */
int record_files_guests(const struct record_files *files, glob_t *guests)
{
	int ret = glob(files->pattern, 0, NULL, guests);

	return !ret || ret == GLOB_NOMATCH ? 0 : ret == GLOB_NOSPACE ? -ENOMEM : -EIO;
}

/**
 * record_files_guest - the path of a guest's file as trace-cmd names it
 * @host_path: path of the host's file
 * @name: the guest's name
 *
 * Returns: the path, to be freed; NULL without memory.
 */
char *record_files_guest(const char *host_path, const char *name)
{
	size_t length = length_before_name(host_path);
	char *path;

	return asprintf(&path, "%.*s-%s%s", (int)length, host_path, name, host_path + length) < 0 ? NULL : path;
}

/**
 * record_files_release - free the list
 * @files: the list, or all zeros
 */
void record_files_release(struct record_files *files)
{
	for (size_t i = 0; i < files->nr_old; i++)
		free(files->old[i].path);
	free(files->old);
	free(files->pattern);
	*files = (struct record_files) { 0 };
}
