// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Makes one call of the program into which it is preloaded fail, or kills the program there: allocations, and calls
 * that change files.
 *
 *	FAIL_AT=N	the N-th such call fails, with the errno of a full disk or an exhausted memory;
 *			a write first does a half of its work. 0: none.
 *	FAIL_BY=kill	the program is killed before the call instead, or within a write after a half of it
 *	FAIL_KINDS=	"memory", "files" or both with a comma: which calls count. Allocations by
 *			libtraceevent do not: it does not survive all of them.
 *	FAIL_LOG=FD	at the end, or before the failing call, "N name" of the last call goes there
 *
 * Two more that have nothing to do with these:
 *
 *	SWAP_IN=FILE	before the first file is opened for reading and writing FILE is renamed to that name
 *	FLOCK_ERROR=N	every flock() fails with this errno
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long fail_at, calls;
static bool by_kill, memory, files, ready;
static int log_fd = -1;

static void log_call(const char *name)
{
	char line[80];
	int length;

	if (log_fd < 0)
		return;
	length = snprintf(line, sizeof(line), "%ld %s\n", calls, name);
	if (write(log_fd, line, length) != length)
		_exit(99);
}

__attribute__((constructor)) static void read_environment(void)
{
	const char *at = getenv("FAIL_AT"), *by = getenv("FAIL_BY"), *fd = getenv("FAIL_LOG");
	const char *kinds = getenv("FAIL_KINDS");

	fail_at = at ? atol(at) : 0;
	by_kill = by && !strcmp(by, "kill");
	memory = kinds && strstr(kinds, "memory");
	files = kinds && strstr(kinds, "files");
	log_fd = fd ? atoi(fd) : -1;
	ready = true;
}

__attribute__((destructor)) static void say_last(void)
{
	log_call("end");
}

/* Does this call have to fail? */
static bool counted(bool kind, const char *name, bool half_done_first)
{
	if (!ready || !kind || ++calls != fail_at)
		return false;
	log_call(name);
	if (by_kill && !half_done_first)
		raise(SIGKILL);
	return true;
}

/* strdup() and asprintf() allocate for whoever called them */
static bool is_ours(void)
{
	static __thread bool asking;
	void *callers[6];
	bool ours = true;
	int nr;

	if (asking || !memory || !ready)
		return false;
	asking = true;
	nr = backtrace(callers, 6);
	for (int i = 0; i < nr; i++) {
		Dl_info info;

		if (dladdr(callers[i], &info) && strstr(info.dli_fname, "libtraceevent"))
			ours = false;
	}
	asking = false;
	return ours;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nr, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	if (is_ours() && counted(memory, "malloc", false)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	if (is_ours() && counted(memory, "calloc", false)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(nr, size);
}

void *realloc(void *old, size_t size)
{
	if (is_ours() && counted(memory, "realloc", false)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t nr, size_t size)
{
	size_t bytes;

	if ((is_ours() && counted(memory, "reallocarray", false)) ||
	    __builtin_mul_overflow(nr, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, bytes);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	REAL(pwrite64);

	if (counted(files, "pwrite", true)) {
		if (real(fd, data, size / 2, offset) < 0)
			return -1;
		if (by_kill)
			raise(SIGKILL);
		errno = ENOSPC;
		return -1;
	}
	return real(fd, data, size, offset);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
			unsigned int flags)
{
	REAL(copy_file_range);

	if (counted(files, "copy_file_range", true)) {
		real(in, in_at, out, out_at, size / 2, flags);
		if (by_kill)
			raise(SIGKILL);
		errno = ENOSPC;
		return -1;
	}
	return real(in, in_at, out, out_at, size, flags);
}

#define FAIL_OR_CALL(name, error, ...)		\
	do {					\
		REAL(name);			\
						\
		if (counted(files, #name, false)) {	\
			errno = error;		\
			return -1;		\
		}				\
		return real(__VA_ARGS__);	\
	} while (0)

int fsync(int fd)
{
	FAIL_OR_CALL(fsync, EIO, fd);
}

int fdatasync(int fd)
{
	FAIL_OR_CALL(fdatasync, EIO, fd);
}

int rename(const char *from, const char *to)
{
	FAIL_OR_CALL(rename, EIO, from, to);
}

int ftruncate64(int fd, off64_t size)
{
	FAIL_OR_CALL(ftruncate64, EIO, fd, size);
}

int fchmod(int fd, mode_t mode)
{
	FAIL_OR_CALL(fchmod, EPERM, fd, mode);
}

int mkostemp64(char *name, int flags)
{
	FAIL_OR_CALL(mkostemp64, EACCES, name, flags);
}

int open64(const char *path, int flags, ...)
{
	const char *other = getenv("SWAP_IN");
	mode_t mode = 0;
	va_list args;
	REAL(open64);

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	/* Not by rename(), which may be the call that is to fail */
	if (other && (flags & O_ACCMODE) == O_RDWR && !(flags & O_CREAT)) {
		if (syscall(SYS_rename, other, path))
			_exit(99);
		unsetenv("SWAP_IN");
	}
	return real(path, flags, mode);
}

int flock(int fd, int operation)
{
	const char *error = getenv("FLOCK_ERROR");
	REAL(flock);

	if (!error)
		return real(fd, operation);
	errno = atoi(error);
	return -1;
}
