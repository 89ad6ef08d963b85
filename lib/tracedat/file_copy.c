// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "file_copy.h"
#include "trace_dat.h"

#define COPY_SIZE	(1UL << 20)

/**
 * file_write - write bytes completely
 * @fd: open for writing
 * @data: the bytes
 * @size: number of bytes
 * @offset: place in the file
 *
 * Returns: 0 or a negative errno; then a part may be written.
 */
int file_write(int fd, const void *data, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		data = (const char *)data + n;
		size -= n;
		offset += n;
	}
	return 0;
}

static int copy_range(struct trace_dat *dat, uint64_t from, uint64_t end, int fd, uint64_t offset)
{
	size_t most = end - from < COPY_SIZE ? end - from : COPY_SIZE;
	_cleanup_(freep) uint8_t *bytes = malloc(most);

	if (!bytes)
		return -ENOMEM;
	while (from < end) {
		size_t size = end - from < most ? end - from : most;
		loff_t from_at = from, to_at = offset;
		ssize_t n = copy_file_range(dat->fd, &from_at, fd, &to_at, end - from, 0);
		int ret;

		if (n > 0) {
			from += n;
			offset += n;
			continue;
		}
		/* Not supported between all kinds of file systems */
		ret = trace_dat_read(dat, from, bytes, size);
		if (ret)
			return ret;
		ret = file_write(fd, bytes, size, offset);
		if (ret)
			return ret;
		from += size;
		offset += size;
	}
	return 0;
}

/* The next data or hole at or after a place; all is data if the file system has no holes */
static uint64_t seek(const struct trace_dat *dat, uint64_t from, uint64_t end, int whence)
{
	off_t found = lseek(dat->fd, (off_t)from, whence);

	if (found < 0)
		return whence == SEEK_DATA && errno != ENXIO ? from : end;
	return (uint64_t)found < end ? (uint64_t)found : end;
}

/**
 * file_copy - copy a part of a trace.dat
 * @dat: the file, open
 * @from: begin of the part
 * @size: size of the part in bytes
 * @fd: the other file, open for writing
 * @offset: place in the other file. Holes stay holes, also at the end.
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error if it concerns @dat.
 */
int file_copy(struct trace_dat *dat, uint64_t from, uint64_t size, int fd, uint64_t offset)
{
	uint64_t end = from + size, at;
	int ret = 0;
	char last;

	if (!size)
		return 0;
	at = seek(dat, from, end, SEEK_DATA);
	while (at < end && !ret) {
		uint64_t hole = seek(dat, at, end, SEEK_HOLE);

		/* If the file changes meanwhile, it may not have this data any more */
		if (hole == at)
			hole = end;
		ret = copy_range(dat, at, hole, fd, offset + (at - from));
		at = seek(dat, hole, end, SEEK_DATA);
	}
	/* A file that was truncated meanwhile looks like a hole: reading its last byte detects it */
	return ret ? ret : trace_dat_read(dat, end - 1, &last, sizeof(last));
}
