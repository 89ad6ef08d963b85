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
 * file_write - write all of some bytes
 * @fd: open for writing
 * @data: the bytes
 * @size: how many
 * @offset: where in the file
 *
 * Returns: 0 or a negative errno; then some of them may be written.
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
		/* Not between all kinds of file systems */
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

/* Where data begins at a place or after it, or a hole: all is data if the file system does not know */
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
 * @from: where the part begins
 * @size: bytes of it
 * @fd: the other file, open for writing
 * @offset: where in that it goes to. What is a hole stays as it is there, also one at the end.
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error if it is about @dat.
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

		/* One that is changed meanwhile need not have data any more */
		if (hole == at)
			hole = end;
		ret = copy_range(dat, at, hole, fd, offset + (at - from));
		at = seek(dat, hole, end, SEEK_DATA);
	}
	/* A file that became shorter meanwhile looks like a hole: reading its last byte shows it */
	return ret ? ret : trace_dat_read(dat, end - 1, &last, sizeof(last));
}
