/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Included before all else in each source of a fuzzer that reads files: they are memory. System calls would take most
 * of the time. There are two, "guest" and any other name.
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

extern struct memory_file memory_files[2];

#define MEMORY_FD	1000

static inline int memory_open(const char *path, int flags)
{
	return MEMORY_FD + !strcmp(path, "guest");
}

static inline const struct memory_file *memory_file(int fd)
{
	return &memory_files[fd - MEMORY_FD];
}

static inline int memory_fstat(int fd, struct stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->st_mode = S_IFREG | 0600;
	stat->st_size = memory_file(fd)->size;
	stat->st_ino = fd;
	return 0;
}

static inline int memory_stat(const char *path, struct stat *stat)
{
	return memory_fstat(memory_open(path, 0), stat);
}

static inline ssize_t memory_pread(int fd, void *data, size_t size, off_t offset)
{
	const struct memory_file *file = memory_file(fd);

	if (offset < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((size_t)offset >= file->size)
		return 0;
	if (size > file->size - offset)
		size = file->size - offset;
	memcpy(data, file->data + offset, size);
	return size;
}

/* It has no holes */
static inline off_t memory_lseek(int fd, off_t offset, int whence)
{
	return whence == SEEK_DATA ? offset : (off_t)memory_file(fd)->size;
}

static inline FILE *memory_fopen(const char *path, const char *mode)
{
	const struct memory_file *file = memory_file(memory_open(path, 0));

	return fmemopen((void *)file->data, file->size, "r");
}

#define open(path, flags)		memory_open(path, flags)
#define fstat(fd, buf)			memory_fstat(fd, buf)
#define stat(path, buf)			memory_stat(path, buf)
#define pread(fd, data, size, offset)	memory_pread(fd, data, size, offset)
#define close(fd)			((void)(fd))
#define lseek(fd, offset, whence)	memory_lseek(fd, offset, whence)
#define fopen(path, mode)		memory_fopen(path, mode)

#endif /* FUZZ_MEMORY_FILE_H */
