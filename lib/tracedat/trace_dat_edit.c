// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "any.h"
#include "cleanup.h"
#include "atomic_file.h"
#include "file_copy.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/* Readers store an option's size in a signed 32-bit number */
#define MAX_OPTION	INT32_MAX
/* A retired option becomes a version of the recorder: text that readers only print */
#define RETIRED_ID	TRACE_DAT_VERSION
/* The unit that a disk writes as a whole or not at all; larger units are multiples of it */
#define SECTOR		512

static int add_bytes(struct trace_dat_edit *edit, const void *data, size_t size)
{
	uint8_t *options = realloc(edit->options, edit->size + size);

	if (!options)
		return -ENOMEM;
	memcpy(options + edit->size, data, size);
	edit->options = options;
	edit->size += size;
	return 0;
}

/**
 * trace_dat_edit_add - add an option
 * @edit: the changes
 * @id: number of the option
 * @data: its payload
 * @size: size of @data in bytes, at least 1
 *
 * Returns: 0, -E2BIG or -ENOMEM.
 */
int trace_dat_edit_add(struct trace_dat_edit *edit, int id, const void *data, size_t size)
{
	uint16_t id16 = id;
	uint32_t size32 = size;
	int ret;

	if (size > MAX_OPTION)
		return -E2BIG;
	ret = add_bytes(edit, &id16, sizeof(id16));
	if (!ret)
		ret = add_bytes(edit, &size32, sizeof(size32));
	return ret ? ret : add_bytes(edit, data, size);
}

/**
 * trace_dat_edit_retire - hide an old option from readers
 * @edit: the changes
 * @offset: place of the option's payload in the file
 *
 * Returns: 0 or -ENOMEM.
 */
int trace_dat_edit_retire(struct trace_dat_edit *edit, uint64_t offset)
{
	uint64_t *retired = reallocarray(edit->retired, edit->nr_retired + 1, sizeof(*retired));

	if (!retired)
		return -ENOMEM;
	retired[edit->nr_retired++] = offset;
	edit->retired = retired;
	return 0;
}

/**
 * trace_dat_edit_release - free the changes
 * @edit: empty afterwards
 */
void trace_dat_edit_release(struct trace_dat_edit *edit)
{
	free(edit->options);
	free(edit->retired);
	*edit = (struct trace_dat_edit) { 0 };
}

/* A header's id, flags and description are 0 */
static void put_section_size(uint8_t *header, uint64_t content)
{
	memcpy(header + TRACE_DAT_SECTION_HEADER - sizeof(content), &content, sizeof(content));
}

/* The complete section; its end links to nothing */
static uint8_t *make_section(const struct trace_dat_edit *edit, size_t *size)
{
	const uint32_t end_size = sizeof(uint64_t);
	uint64_t content = edit->size + TRACE_DAT_OPTION_HEADER + end_size;
	uint8_t *section;

	*size = TRACE_DAT_SECTION_HEADER + content;
	section = calloc(1, *size);
	if (!section)
		return NULL;
	/* The end's id and link are 0 */
	put_section_size(section, content);
	memcpy(section + TRACE_DAT_SECTION_HEADER, edit->options, edit->size);
	memcpy(section + TRACE_DAT_SECTION_HEADER + edit->size + sizeof(uint16_t), &end_size,
	       sizeof(end_size));
	return section;
}

static bool is_retired(const struct trace_dat_edit *edit, uint64_t offset)
{
	return any_of(i, edit->nr_retired, edit->retired[i] == offset);
}

/* Hide the retired options, or show them again. Changes one byte of each, which a power failure cannot tear. */
static int hide_retired(int fd, const struct trace_dat *dat, const struct trace_dat_edit *edit, bool hide)
{
	int ret = 0;

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		const uint16_t id = hide ? RETIRED_ID : option->id;

		if (is_retired(edit, option->offset))
			ret = file_write(fd, &id, sizeof(id), option->offset - TRACE_DAT_OPTION_HEADER);
	}
	if (!ret && edit->nr_retired && fdatasync(fd))
		ret = -errno;
	return ret;
}

/*
 * Append, and link only what is on disk. @at is the end of the file, or later.
 *
 * Returns: 0 or a negative errno; then @linked shows whether there may be a link, or a part of one.
 */
static int append(int fd, const struct trace_dat *dat, const struct trace_dat_edit *edit,
		  uint64_t at, bool *linked)
{
	_cleanup_(freep) uint8_t *section = NULL;
	size_t size;
	int ret;

	*linked = false;
	section = make_section(edit, &size);
	if (!section)
		return -ENOMEM;
	ret = file_write(fd, section, size, at);
	if (!ret && fdatasync(fd))
		ret = -errno;
	if (ret)
		return ret;
	*linked = true;
	ret = file_write(fd, &at, sizeof(at), dat->last_link);
	if (!ret && fdatasync(fd))
		ret = -errno;
	return ret;
}

static int fail(struct trace_dat *dat, int error, const char *what)
{
	return trace_dat_refuse(dat, error, "%s: %s", what, strerror(-error));
}

/* The file was opened by name again: it must be the one that was read, with the same content */
static int check_unchanged(struct trace_dat *dat, int fd)
{
	struct stat was, stat;
	uint64_t link;

	if (fstat(dat->fd, &was) || fstat(fd, &stat))
		return fail(dat, -errno, "its size cannot be read");
	if (stat.st_dev != was.st_dev || stat.st_ino != was.st_ino)
		return fail(dat, -EAGAIN, "another file has its name since it was read");
	if ((uint64_t)stat.st_size != dat->size ||
	    pread(fd, &link, sizeof(link), dat->last_link) != sizeof(link) || link)
		return fail(dat, -EAGAIN, "it was changed meanwhile");
	return 0;
}

/*
 * Without locks (some network file systems), only check_unchanged() keeps two writers apart.
 */
static int lock_file(struct trace_dat *dat, int fd)
{
	int ret;

	do {
		ret = flock(fd, LOCK_EX | LOCK_NB);
	} while (ret && errno == EINTR);
	if (ret && errno == EWOULDBLOCK)
		return fail(dat, -errno, "another process writes to it");
	return 0;
}

/*
 * Place of the new section. A power failure could tear a link that crosses two sectors. The section therefore begins
 * where the link's bytes in the first sector, or those in the second, stay 0: only the other sector changes. Before it
 * is an unlinked section, smaller than the file, which is a hole except for its header.
 */
static uint64_t section_offset(const struct trace_dat *dat)
{
	uint64_t in_first = SECTOR - dat->last_link % SECTOR, unit;

	if (in_first >= sizeof(uint64_t))
		return dat->size;
	unit = 1ULL << (8 * in_first);
	return dat->size < unit ? dat->size :
				  (dat->size + TRACE_DAT_SECTION_HEADER + unit - 1) / unit * unit;
}

/* Readers search sections one after the other, so each must have its size */
static int write_filler(int fd, uint64_t from, uint64_t to)
{
	uint8_t header[TRACE_DAT_SECTION_HEADER] = { 0 };
	uint64_t content = to - from - sizeof(header);

	if (from == to)
		return 0;
	put_section_size(header, content);
	return file_write(fd, header, sizeof(header), from);
}

/*
 * Restore the file as far as the disk permits. At no time is an old option hidden without a new one being linked.
 * Returns: 0 if the section is not linked any more.
 */
static int unlink_section(int fd, const struct trace_dat *dat, const struct trace_dat_edit *edit)
{
	const uint64_t none = 0;
	int ret = hide_retired(fd, dat, edit, false);

	if (!ret)
		ret = file_write(fd, &none, sizeof(none), dat->last_link);
	if (!ret && fdatasync(fd))
		ret = -errno;
	return ret;
}

/**
 * trace_dat_edit_in_place - add options to a file, and hide those that they replace
 * @dat: the open file, version 7
 * @edit: the changes
 *
 * The amount of writing does not depend on the size of the trace. After a crash the file may be longer than before, by
 * bytes that no reader uses. Only the file from which @dat was read is changed, even if its name belongs to another
 * file now.
 *
 * Returns: 0 or a negative errno with the reason in @dat->error; then the file is unchanged.
 */
int trace_dat_edit_in_place(struct trace_dat *dat, const struct trace_dat_edit *edit)
{
	_cleanup_(closep) int fd = open(dat->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint64_t at = section_offset(dat);
	bool linked = false;
	int ret;

	if (fd < 0)
		return fail(dat, -errno, "it cannot be opened for writing");
	ret = lock_file(dat, fd);
	if (!ret)
		ret = check_unchanged(dat, fd);
	if (ret)
		return ret;
	ret = write_filler(fd, dat->size, at);
	if (!ret)
		ret = append(fd, dat, edit, at, &linked);
	if (!ret)
		ret = hide_retired(fd, dat, edit, true);
	if (!ret)
		return 0;
	fail(dat, ret, "it cannot be written");
	/* A link on disk to bytes after the end of the file would be worse than unused bytes */
	if (linked && unlink_section(fd, dat, edit))
		return ret;
	if (ftruncate(fd, dat->size))
		fail(dat, ret, "it cannot be written, and its old size cannot be restored");
	return ret;
}

/* Holes stay holes: they take no space, and nothing in them is read */
static int copy_bytes(struct trace_dat *dat, int to)
{
	if (ftruncate(to, (off_t)dat->size))
		return -errno;
	return file_copy(dat, 0, dat->size, to, 0);
}

static int copy_file(struct trace_dat *dat, const struct trace_dat_edit *edit, const char *path, int *unsynced)
{
	_cleanup_(atomic_file_close) struct atomic_file copy = { .fd = -1 };
	struct stat stat;
	bool linked;
	int ret;

	ret = atomic_file_open(&copy, path);
	if (!ret)
		ret = copy_bytes(dat, copy.fd);
	if (!ret)
		ret = hide_retired(copy.fd, dat, edit, true);
	if (!ret)
		ret = append(copy.fd, dat, edit, dat->size, &linked);
	if (!ret && fstat(dat->fd, &stat))
		ret = -errno;
	if (!ret)
		ret = atomic_file_rename(&copy, stat.st_mode & 07777);
	if (!ret)
		*unsynced = -atomic_file_sync_directory(&copy);
	return ret;
}

/**
 * trace_dat_edit_copy - write a copy with options added and others retired
 * @dat: the open file, version 7
 * @edit: the changes
 * @path: path of the copy; an existing file is replaced atomically
 * @unsynced: result: 0, or an errno if syncing the directory of the copy failed; the copy may be lost in a crash then
 *
 * Returns: 0 or a negative errno with the reason in @dat->error, which may concern the copy.
 */
int trace_dat_edit_copy(struct trace_dat *dat, const struct trace_dat_edit *edit, const char *path, int *unsynced)
{
	int ret;

	*dat->error = (struct error) { 0 };
	*unsynced = 0;
	ret = copy_file(dat, edit, path, unsynced);
	if (ret && !dat->error->code)
		error_set(dat->error, ret, path, "cannot be written: %s", strerror(-ret));
	return ret;
}
