// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Adding options to a file, on a disk that may lose power at any moment.
 *
 * A write that was not synced may or may not be on the disk, independently of other writes, and a larger one may be
 * there in part. With each such content of the disk the file has to be the old one or the new one, whichever calls
 * fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dat_file.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

#define NEW_OPTION	TRACE_DAT_TSC2NSEC
#define MAX_PENDING	6
#define MAX_WRITE	4096
/* The disk writes this many bytes atomically */
#define ATOM		8

static const char payload[] = "what was not in the file";

/* A write, or a new size of the file */
struct change {
	bool	cut;
	size_t	at;
	size_t	size;
	uint8_t	data[MAX_WRITE];
};

/* What is certainly on the disk, and the writes that may be */
static struct {
	bool		on;
	struct dat_file	content;
	struct change	pending[MAX_PENDING];
	size_t		nr_pending;
	unsigned int	calls;
	unsigned int	fail_at;	/* number of the failing call */
	bool		fail_on;	/* all later calls fail as well */
	bool		retire;		/* the new option replaces an old one */
	size_t		both;		/* number of contents that have both options */
	size_t		states;
} disk;

static char directory[] = "/tmp/test_trace_dat_edit.XXXXXX";
static char path[100], copy_path[100];

static void set_size(struct dat_file *file, size_t size)
{
	if (size > file->size)
		dat_append(file, NULL, size - file->size);
	file->size = size;
}

static void apply(struct dat_file *file, const struct change *change, size_t size)
{
	if (change->cut) {
		set_size(file, change->size);
		return;
	}
	if (change->at + size > file->size)
		set_size(file, change->at + size);
	memcpy(file->data + change->at, change->data, size);
}

static struct error error;

/*
 * Returns: whether the file has the new option, complete, and no longer the one that it replaces. All other options
 * must be present in any case.
 */
static bool check_file(const char *name)
{
	const struct trace_dat_option *option;
	struct trace_dat dat;
	bool is_new;

	if (trace_dat_open(&dat, name, &error))
		fail_msg("%s", error.text);
	assert_true(trace_dat_trace_id(&dat) == DAT_TRACE_ID);
	assert_int_equal(dat.nr_buffers, 2);
	option = trace_dat_option(&dat, NEW_OPTION);
	is_new = option;
	if (is_new) {
		assert_int_equal(option->size, sizeof(payload));
		assert_memory_equal(option->data, payload, sizeof(payload));
	}
	if (disk.retire && trace_dat_option(&dat, TRACE_DAT_TRACECLOCK)) {
		disk.both += is_new;
		is_new = false;
	} else if (disk.retire) {
		assert_true(is_new);
	}
	trace_dat_close(&dat);
	return is_new;
}

static bool check_content(const struct dat_file *file)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	char name[40];
	bool is_new;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->data, file->size), file->size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	is_new = check_file(name);
	close(fd);
	return is_new;
}

/* Power is lost now: try all contents that the disk may have. Returns: how many of them are the new file */
static size_t check_disk(size_t *nr)
{
	size_t combinations = 1, nr_new = 0;

	for (size_t i = 0; i < disk.nr_pending; i++)
		combinations *= 3;
	for (size_t which = 0; which < combinations; which++) {
		struct dat_file file = { 0 };
		size_t rest = which;

		dat_append(&file, disk.content.data, disk.content.size);
		for (size_t i = 0; i < disk.nr_pending; i++, rest /= 3) {
			const struct change *change = &disk.pending[i];
			size_t size = change->size;

			/* The write is absent, complete, or partial */
			if (rest % 3 == 0)
				continue;
			if (rest % 3 == 2 && !change->cut && size > ATOM)
				size /= 2;
			apply(&file, change, size);
		}
		nr_new += check_content(&file);
		dat_file_release(&file);
	}
	disk.states += combinations;
	*nr = combinations;
	return nr_new;
}

/* Returns: whether the call fails */
static bool begin_call(void)
{
	size_t nr;

	check_disk(&nr);
	disk.calls++;
	return disk.fail_at && (disk.calls == disk.fail_at || (disk.fail_on && disk.calls > disk.fail_at));
}

static struct change *new_change(void)
{
	assert_true(disk.nr_pending < MAX_PENDING);
	return &disk.pending[disk.nr_pending++];
}

ssize_t __real_pwrite64(int fd, const void *data, size_t size, off64_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off64_t at);
int __real_ftruncate64(int fd, off64_t size);
int __wrap_ftruncate64(int fd, off64_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off64_t at)
{
	bool failing;

	if (!disk.on)
		return __real_pwrite64(fd, data, size, at);
	failing = begin_call();
	/* Write a part, as on a full disk */
	if (failing)
		size /= 2;
	assert_true(size <= MAX_WRITE);
	if (size) {
		struct change *change = new_change();

		*change = (struct change) { .at = at, .size = size };
		memcpy(change->data, data, size);
		assert_int_equal(__real_pwrite64(fd, data, size, at), size);
	}
	errno = ENOSPC;
	return failing ? -1 : (ssize_t)size;
}

int __wrap_ftruncate64(int fd, off64_t size)
{
	if (disk.on && begin_call()) {
		errno = EIO;
		return -1;
	}
	if (disk.on)
		*new_change() = (struct change) { .cut = true, .size = size };
	return __real_ftruncate64(fd, size);
}

int __wrap_fdatasync(int fd)
{
	if (!disk.on)
		return __real_fdatasync(fd);
	if (begin_call()) {
		errno = EIO;
		return -1;
	}
	for (size_t i = 0; i < disk.nr_pending; i++)
		apply(&disk.content, &disk.pending[i], disk.pending[i].size);
	disk.nr_pending = 0;
	return 0;
}

static void write_file(const struct dat_file *file)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	/* A failed test may have left it on */
	disk.on = false;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->data, file->size), file->size);
	close(fd);
}

static void read_file(struct dat_file *file, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &stat), 0);
	*file = (struct dat_file) { 0 };
	dat_append(file, NULL, stat.st_size);
	assert_int_equal(read(fd, file->data, file->size), file->size);
	close(fd);
}

static bool has_content(const char *name, const struct dat_file *wanted)
{
	struct dat_file found;
	bool equal;

	read_file(&found, name);
	equal = found.size == wanted->size && !memcmp(found.data, wanted->data, wanted->size);
	dat_file_release(&found);
	return equal;
}

static void make_edit(struct trace_dat_edit *edit)
{
	*edit = (struct trace_dat_edit) { 0 };
	assert_int_equal(trace_dat_edit_add(edit, NEW_OPTION, payload, sizeof(payload)), 0);
}

static void retire_clock(struct trace_dat_edit *edit, const struct trace_dat *dat)
{
	assert_int_equal(trace_dat_edit_retire(edit, trace_dat_option(dat, TRACE_DAT_TRACECLOCK)->offset), 0);
}

/* Returns: the result of trace_dat_edit_in_place() on the disk that may lose power */
static int edit_on_disk(const struct dat_file *file)
{
	struct trace_dat_edit edit;
	struct trace_dat dat;
	size_t nr, nr_new;
	bool is_new;
	int ret;

	write_file(file);
	assert_int_equal(trace_dat_open(&dat, path, &error), 0);
	make_edit(&edit);
	if (disk.retire)
		retire_clock(&edit, &dat);
	disk.content = (struct dat_file) { 0 };
	dat_append(&disk.content, file->data, file->size);
	disk.nr_pending = 0;
	disk.calls = 0;
	disk.on = true;
	ret = trace_dat_edit_in_place(&dat, &edit);
	disk.on = false;
	trace_dat_edit_release(&edit);
	trace_dat_close(&dat);

	nr_new = check_disk(&nr);
	is_new = check_file(path);
	/* A success survives a crash. After a failure the file is unchanged, both for readers and on the disk. */
	if (!ret)
		assert_true(is_new && nr_new == nr);
	else if (!disk.fail_on)
		assert_true(!is_new && !nr_new && has_content(path, file));
	dat_file_release(&disk.content);
	return ret;
}

static void lose_power(bool retire)
{
	struct dat_file file;
	unsigned int calls;

	disk.retire = retire;
	disk.both = disk.states = 0;
	dat_file_build(&file, 7, COMPRESSION_NONE);
	disk.fail_at = 0;
	assert_int_equal(edit_on_disk(&file), 0);
	calls = disk.calls;
	/* The control: there are calls that can fail, and contents that differ */
	assert_true(calls >= 4 && disk.states > 2 * calls);
	for (disk.fail_at = 1; disk.fail_at <= calls; disk.fail_at++) {
		for (int on = 0; on < 2; on++) {
			disk.fail_on = on;
			assert_true(edit_on_disk(&file) < 0);
		}
	}
	disk.fail_at = 0;
	disk.fail_on = false;
	print_message("%u calls, %zu contents of the disk\n", calls, disk.states);
	assert_true(!disk.both == !retire);
	disk.retire = false;
	dat_file_release(&file);
}

static void test_power_loss(void **state)
{
	lose_power(false);
}

/* The old option remains until the new one is certainly on the disk */
static void test_power_loss_retiring(void **state)
{
	lose_power(true);
}

/* What another process may do to the file after it was opened */
static void grows(struct dat_file *file)
{
	dat_append_number(file, 0, 1);
}

static void gets_another_section(struct dat_file *file)
{
	dat_set(file, file->done[1] + 6, file->more_options, 8);
}

static void test_changed_meanwhile(void **state)
{
	static void (*const changes[])(struct dat_file *) = { grows, gets_another_section };

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct trace_dat_edit edit;
		struct dat_file file;
		struct trace_dat dat;

		dat_file_build(&file, 7, COMPRESSION_NONE);
		write_file(&file);
		assert_int_equal(trace_dat_open(&dat, path, &error), 0);
		changes[i](&file);
		write_file(&file);
		make_edit(&edit);
		assert_int_equal(trace_dat_edit_in_place(&dat, &edit), -EAGAIN);
		assert_true(has_content(path, &file));
		trace_dat_edit_release(&edit);
		trace_dat_close(&dat);
		dat_file_release(&file);
	}
}

static void test_locked_by_another(void **state)
{
	struct trace_dat_edit edit;
	struct dat_file file;
	struct trace_dat dat;
	int fd;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	write_file(&file);
	assert_int_equal(trace_dat_open(&dat, path, &error), 0);
	make_edit(&edit);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_true(trace_dat_edit_in_place(&dat, &edit) < 0);
	assert_true(has_content(path, &file));
	/* The control: without the lock it succeeds */
	close(fd);
	assert_int_equal(trace_dat_edit_in_place(&dat, &edit), 0);
	assert_true(check_file(path));
	trace_dat_edit_release(&edit);
	trace_dat_close(&dat);
	dat_file_release(&file);
}

/* A recording that only its owner may read keeps this permission, with any umask */
static void test_permissions_of_copy(void **state)
{
	static const mode_t modes[] = { 0600, 0400, 0640, 0666, 0755 };
	const mode_t umask_before = umask(022);
	struct trace_dat_edit edit;
	struct dat_file file;
	int unsynced;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	make_edit(&edit);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct trace_dat dat;
		struct stat stat_;

		write_file(&file);
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(trace_dat_open(&dat, path, &error), 0);
		assert_int_equal(trace_dat_edit_copy(&dat, &edit, copy_path, &unsynced), 0);
		assert_int_equal(unsynced, 0);
		trace_dat_close(&dat);
		assert_int_equal(stat(copy_path, &stat_), 0);
		assert_int_equal(stat_.st_mode & 07777, modes[i]);
		assert_true(check_file(copy_path));
		assert_true(has_content(path, &file));
		assert_int_equal(unlink(copy_path), 0);
		assert_int_equal(unlink(path), 0);
	}
	trace_dat_edit_release(&edit);
	dat_file_release(&file);
	umask(umask_before);
}

/* A retired option: the copy lacks it, and the original keeps it */
static void test_retired(void **state)
{
	struct trace_dat_edit edit;
	struct dat_file file;
	struct trace_dat dat;
	int unsynced;

	dat_file_build(&file, 7, COMPRESSION_NONE);
	write_file(&file);
	make_edit(&edit);
	assert_int_equal(trace_dat_open(&dat, path, &error), 0);
	retire_clock(&edit, &dat);
	assert_int_equal(trace_dat_edit_copy(&dat, &edit, copy_path, &unsynced), 0);
	trace_dat_close(&dat);
	trace_dat_edit_release(&edit);

	assert_true(has_content(path, &file));
	assert_true(check_file(copy_path));
	assert_int_equal(trace_dat_open(&dat, copy_path, &error), 0);
	assert_null(trace_dat_option(&dat, TRACE_DAT_TRACECLOCK));
	trace_dat_close(&dat);
	dat_file_release(&file);
}

static void test_too_large(void **state)
{
	struct trace_dat_edit edit = { 0 };

	assert_int_equal(trace_dat_edit_add(&edit, NEW_OPTION, payload, 1UL << 31), -E2BIG);
	trace_dat_edit_release(&edit);
}

static int begin(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/trace.dat", directory);
	snprintf(copy_path, sizeof(copy_path), "%s/copy.dat", directory);
	return 0;
}

static int end(void **state)
{
	unlink(path);
	unlink(copy_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_loss),
		cmocka_unit_test(test_power_loss_retiring),
		cmocka_unit_test(test_changed_meanwhile),
		cmocka_unit_test(test_locked_by_another),
		cmocka_unit_test(test_permissions_of_copy),
		cmocka_unit_test(test_retired),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests_name("trace_dat_edit", tests, begin, end);
}
