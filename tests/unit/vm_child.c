// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	static const char name[] = "/kvm-vm";
	ssize_t length = __real_readlink(path, target, size);

	if (length < (ssize_t)strlen(name) || memcmp(target + length - strlen(name), name, strlen(name)))
		return length;
	memcpy(target, VM, strlen(VM));
	return strlen(VM);
}

/* A file that is kept by its descriptor only would be linked to as "... (deleted)" */
static int open_vm(char *directory)
{
	char path[sizeof(DIRECTORY) + 10];

	strcpy(directory, DIRECTORY);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/kvm-vm", directory);
	return open(path, O_RDWR | O_CREAT, 0600);
}

/**
 * vm_child_start - start a process that has a VM
 * @child: result
 * @vm_fd: the VM's descriptor in it, from 3 on; 0: it has none
 * @argument: a word of its command line
 */
void vm_child_start(struct vm_child *child, int vm_fd, const char *argument)
{
	int ends[2], begun[2];
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pipe2(begun, O_CLOEXEC), 0);
	child->stdin_fd = ends[1];
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (!child->pid) {
		char directory[sizeof(DIRECTORY)] = "";
		int vm = vm_fd ? open_vm(directory) : -1;

		dup2(ends[0], 0);
		dup2(begun[1], 1);
		if (vm_fd && vm != vm_fd) {
			dup2(vm, vm_fd);
			close(vm);
		}
		execl("/bin/sh", "sh", "-c", "echo; read -r end; [ -z \"$0\" ] || rm -r \"$0\"", directory, argument,
		      NULL);
		_exit(127);
	}
	close(ends[0]);
	close(begun[1]);
	/* It says when its command line is its own */
	assert_int_equal(read(begun[0], &byte, 1), 1);
	close(begun[0]);
}

/**
 * vm_child_end - end a process, and wait for that
 * @child: the process
 */
void vm_child_end(struct vm_child *child)
{
	close(child->stdin_fd);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}
