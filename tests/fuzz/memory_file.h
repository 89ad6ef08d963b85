/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Include this first in each source of a fuzzer that reads files: the files are in memory, because system calls would
 * take most of the time. There are two input files, "guest" and any other name, and one output file.
 */
#ifndef FUZZ_MEMORY_FILE_H
#define FUZZ_MEMORY_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct memory_file {
	const uint8_t	*data;
	size_t		size;
};

/* The output file; it keeps its memory from one input to the next */
struct memory_output {
	uint8_t	*data;
	size_t	size;
	size_t	capacity;
};

extern struct memory_file memory_files[2];
extern struct memory_output memory_output;

#define MEMORY_FD	1000
#define MEMORY_OUTPUT	(MEMORY_FD + 2)
/* The disk is full at this size */
#define MEMORY_OUTPUT_MAX	(32UL << 20)

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

/* The file has no holes */
static inline off_t memory_lseek(int fd, off_t offset, int whence)
{
	return whence == SEEK_DATA ? offset : (off_t)memory_file(fd)->size;
}

static inline int memory_ftruncate(int fd, off_t size)
{
	size_t new_size = (size_t)size, capacity = new_size + new_size / 2;
	uint8_t *data = memory_output.data;

	if (fd != MEMORY_OUTPUT)
		abort();
	if (new_size > memory_output.capacity && new_size <= MEMORY_OUTPUT_MAX)
		data = realloc(data, capacity);
	if (!data || new_size > MEMORY_OUTPUT_MAX) {
		errno = ENOSPC;
		return -1;
	}
	if (new_size > memory_output.capacity)
		memory_output.capacity = capacity;
	if (new_size > memory_output.size)
		memset(data + memory_output.size, 0, new_size - memory_output.size);
	memory_output.data = data;
	memory_output.size = new_size;
	return 0;
}

static inline ssize_t memory_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	if ((size_t)offset + size > memory_output.size && memory_ftruncate(fd, offset + (off_t)size))
		return -1;
	memcpy(memory_output.data + offset, data, size);
	return (ssize_t)size;
}

/* copy_file_range() does not work for these files */
static inline ssize_t memory_copy(const off_t *from_at, const off_t *to_at)
{
	errno = EXDEV;
	return -1;
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
#define pwrite(fd, data, size, offset)	memory_pwrite(fd, data, size, offset)
#define ftruncate(fd, size)		memory_ftruncate(fd, size)
#define copy_file_range(from, from_at, to, to_at, size, flags)	memory_copy(from_at, to_at)
#define close(fd)			((void)(fd))
#define lseek(fd, offset, whence)	memory_lseek(fd, offset, whence)
#define fopen(path, mode)		memory_fopen(path, mode)

#endif /* FUZZ_MEMORY_FILE_H */
