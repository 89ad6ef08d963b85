/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else in each source of a fuzzer that reads a file: its one file is memory. System
 * calls would take most of the time.
 */
#ifndef FUZZ_MEMORY_FILE_H
#define FUZZ_MEMORY_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct memory_file {
	const uint8_t	*data;
	size_t		size;
};

extern struct memory_file memory_file;

static inline int memory_open(const char *path, int flags)
{
	return 1000;
}

static inline int memory_fstat(int fd, struct stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->st_mode = S_IFREG | 0600;
	stat->st_size = memory_file.size;
	return 0;
}

static inline ssize_t memory_pread(int fd, void *data, size_t size, off_t offset)
{
	if (offset < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((size_t)offset >= memory_file.size)
		return 0;
	if (size > memory_file.size - offset)
		size = memory_file.size - offset;
	memcpy(data, memory_file.data + offset, size);
	return size;
}

/* It has no holes */
static inline off_t memory_lseek(int fd, off_t offset, int whence)
{
	return whence == SEEK_DATA ? offset : (off_t)memory_file.size;
}

static inline FILE *memory_fopen(const char *path, const char *mode)
{
	return fmemopen((void *)memory_file.data, memory_file.size, "r");
}

#define open(path, flags)		memory_open(path, flags)
#define fstat(fd, stat)			memory_fstat(fd, stat)
#define pread(fd, data, size, offset)	memory_pread(fd, data, size, offset)
#define close(fd)			((void)(fd))
#define lseek(fd, offset, whence)	memory_lseek(fd, offset, whence)
#define fopen(path, mode)		memory_fopen(path, mode)

#endif /* FUZZ_MEMORY_FILE_H */
