// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm_child.h"

#define DIRECTORY	"/tmp/vm_child.XXXXXX"
#define VM		"anon_inode:kvm-vm"

ssize_t __real_readlink(const char *path, char *target, size_t size);
ssize_t __wrap_readlink(const char *path, char *target, size_t size);

ssize_t __wrap_readlink(const char *path, char *target, size_t size)
{
	static const char *const names[][2] = { { "/kvm-vm", VM }, { "/vhost-vsock", "/dev/vhost-vsock" } };
	ssize_t length = __real_readlink(path, target, size);

	/* Hide the VMs of this machine from the test */
	if (length == (ssize_t)strlen(VM) && !memcmp(target, VM, length))
		return --length;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t name = strlen(names[i][0]);

		if (length < name || memcmp(target + length - name, names[i][0], name))
			continue;
		length = strlen(names[i][1]);
		memcpy(target, names[i][1], length);
		break;
	}
	return length;
}

int __real_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stat);
int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stat);

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stat)
{
	int ret = __real_statx(fd, path, flags, mask, stat);

	if (!ret && stat->stx_rdev_major == 1 && stat->stx_rdev_minor == 3) {
		stat->stx_rdev_major = 10;
		stat->stx_rdev_minor = 241;
	}
	return ret;
}

/* The file keeps its name: the link to an unlinked file would end with " (deleted)" */
static int open_file(char *directory, const char *name)
{
	char path[PATH_MAX];

	if (!*directory) {
		strcpy(directory, DIRECTORY);
		assert_non_null(mkdtemp(directory));
	}
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, O_RDWR | O_CREAT, 0600);
}

/* Another test of this kind would find this test's processes among all others: wait until the other test has ended */
static void wait_for_others(void)
{
	static int processes = -1;

	if (processes >= 0)
		return;
	processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(processes >= 0);
	assert_int_equal(flock(processes, LOCK_EX), 0);
}

/**
 * vm_child_start - start a process that has a VM
 * @child: result
 * @vm_fd: the VM's descriptor in the process, 5 or higher; 0: no VM
 * @vsock: whether it has a vhost-vsock device, or a file of that name
 * @argument: a word of its command line
 */
void vm_child_start(struct vm_child *child, int vm_fd, enum vm_child_vsock vsock, const char *argument)
{
	int ends[2], begun[2];
	char byte;

	wait_for_others();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(begun, O_CLOEXEC), 0);
	child->stdin_fd = ends[1];
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (!child->pid) {
		char directory[sizeof(DIRECTORY)] = "";
		int vm;

		/* Descriptors that this test has inherited, such as another /dev/null, do not belong to the VM */
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		vm = vm_fd ? open_file(directory, "kvm-vm") : -1;
		dup2(ends[0], 0);
		dup2(begun[1], 1);
		if (vm_fd && vm != vm_fd) {
			dup2(vm, vm_fd);
			close(vm);
		}
		if (vsock == VSOCK_FILE)
			open_file(directory, "vhost-vsock");
		if (vsock == VSOCK_DEVICE)
			open("/dev/null", O_RDWR);
		execl("/bin/sh", "sh", "-c", "echo; read -r end; [ -z \"$0\" ] || rm -r \"$0\"", directory, argument,
		      NULL);
		_exit(127);
	}
	close(ends[0]);
	close(begun[1]);
	/* The child writes a byte once it has its own command line */
	assert_int_equal(read(begun[0], &byte, 1), 1);
	close(begun[0]);
}

/**
 * vm_child_end - end a process and wait for its end
 * @child: the process
 */
void vm_child_end(struct vm_child *child)
{
	close(child->stdin_fd);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}
