// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which process a VM's directory in debugfs belongs to, if thread ids and descriptors have been reused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm_debugfs.h"
#include "vm_child.h"

#define VM_FD	9

/* Two processes whose VMs have the same descriptor, one without a VM, and one that has ended */
static struct vm_child vmm, other, bystander, ended;
static char kvm_dir[] = "/tmp/test_kvm_debugfs.XXXXXX";

static int begin(void **state)
{
	vm_child_start(&vmm, VM_FD, NO_VSOCK, "x");
	vm_child_start(&other, VM_FD, NO_VSOCK, "x");
	vm_child_start(&bystander, 0, NO_VSOCK, "x");
	vm_child_start(&ended, 0, NO_VSOCK, "x");
	vm_child_end(&ended);
	return mkdtemp(kvm_dir) ? 0 : -1;
}

static int end(void **state)
{
	vm_child_end(&vmm);
	vm_child_end(&other);
	vm_child_end(&bystander);
	return rmdir(kvm_dir);
}

/*
 * Make the directory of a VM with one vCPU. @runner: its thread; 0: it has
 * not run; negative: the kernel does not show it.
 */
static void make_vm(pid_t creator, int fd, pid_t runner)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d-%d", kvm_dir, creator, fd);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%d-%d/vcpu0", kvm_dir, creator, fd);
	assert_int_equal(mkdir(path, 0700), 0);
	if (runner < 0)
		return;
	snprintf(path, sizeof(path), "%s/%d-%d/vcpu0/pid", kvm_dir, creator, fd);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%d\n", runner);
	fclose(file);
}

static int remove_vms(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s/*", kvm_dir);
	return system(command);
}

/* Returns: the creator of a process's VM, or a negative errno */
static int creator_of(const struct vm_child *process)
{
	struct kvm_debugfs_vm vm;
	int ret = kvm_debugfs_open(&vm, kvm_dir, process->pid);

	if (ret)
		return ret;
	assert_int_equal(vm.nr_vcpus, 1);
	ret = vm.creator;
	kvm_debugfs_close(&vm);
	return ret;
}

#define assert_vms(of_vmm, of_other)				\
	do {							\
		assert_int_equal(creator_of(&vmm), of_vmm);	\
		assert_int_equal(creator_of(&other), of_other);	\
		assert_int_equal(creator_of(&bystander), -ENOENT);	\
	} while (0)

static void test_ordinary(void **state)
{
	make_vm(vmm.pid, VM_FD, vmm.pid);
	make_vm(other.pid, VM_FD, other.pid);
	assert_vms(vmm.pid, other.pid);
}

static void test_not_run_yet(void **state)
{
	make_vm(vmm.pid, VM_FD, 0);
	make_vm(other.pid, VM_FD, -1);
	assert_vms(vmm.pid, other.pid);
}

/* The thread that made the VM has ended */
static void test_maker_gone(void **state)
{
	make_vm(ended.pid, VM_FD, vmm.pid);
	assert_vms(ended.pid, -ENOENT);
}

/* The thread has ended, and another VMM has its id now */
static void test_number_used_again(void **state)
{
	make_vm(other.pid, VM_FD, vmm.pid);
	assert_vms(other.pid, -ENOENT);
}

/* The thread has ended, and no vCPU shows its process: any process with such a descriptor can own the VM */
static void test_nobody_tells(void **state)
{
	make_vm(ended.pid, VM_FD, -1);
	assert_vms(ended.pid, ended.pid);
	/* But not a process that has another VM */
	make_vm(other.pid, VM_FD, -1);
	assert_vms(ended.pid, other.pid);
}

/* A kernel with our patches has a file with the VM's number; other kernels have none */
static void test_number(void **state)
{
	struct kvm_debugfs_vm vm;
	char path[200];
	FILE *file;

	make_vm(vmm.pid, VM_FD, vmm.pid);
	assert_int_equal(kvm_debugfs_open(&vm, kvm_dir, vmm.pid), 0);
	assert_int_equal(vm.id, 0);
	kvm_debugfs_close(&vm);
	snprintf(path, sizeof(path), "%s/%d-%d/id", kvm_dir, vmm.pid, VM_FD);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "18446744073709551615\n");
	fclose(file);
	assert_int_equal(kvm_debugfs_open(&vm, kvm_dir, vmm.pid), 0);
	assert_true(vm.id == UINT64_MAX);
	kvm_debugfs_close(&vm);
}

static void test_other_descriptor(void **state)
{
	make_vm(vmm.pid, VM_FD + 1, vmm.pid);
	assert_vms(-ENOENT, -ENOENT);
}

static void test_several(void **state)
{
	make_vm(vmm.pid, VM_FD, vmm.pid);
	make_vm(ended.pid, VM_FD, vmm.pid);
	assert_vms(-EEXIST, -ENOENT);
}

#define debugfs_test(function)	cmocka_unit_test_teardown(function, remove_vms)

int main(void)
{
	const struct CMUnitTest tests[] = {
		debugfs_test(test_ordinary),
		debugfs_test(test_not_run_yet),
		debugfs_test(test_maker_gone),
		debugfs_test(test_number_used_again),
		debugfs_test(test_nobody_tells),
		debugfs_test(test_number),
		debugfs_test(test_other_descriptor),
		debugfs_test(test_several),
	};

	return cmocka_run_group_tests_name("kvm_debugfs", tests, begin, end);
}
