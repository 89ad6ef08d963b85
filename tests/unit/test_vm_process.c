// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which process has a VM, and the vsock address on its command line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm_child.h"
#include "vm_process.h"

/* An address that no VM of this machine has, because the test looks at all VMs */
#define CID		4123456789
#define CID_TEXT	"4123456789"

static void test_vms(void **state)
{
	struct vm_child with, without;

	vm_child_start(&with, 7, NO_VSOCK, "x");
	vm_child_start(&without, 0, NO_VSOCK, "x");
	assert_int_equal(vm_process_nr_vms(with.pid), 1);
	assert_true(vm_process_has_vm(with.pid, 7));
	assert_false(vm_process_has_vm(with.pid, 8));
	assert_false(vm_process_has_vm(with.pid, 0));
	assert_int_equal(vm_process_nr_vms(without.pid), 0);
	assert_false(vm_process_has_vm(without.pid, 7));
	vm_child_end(&with);
	vm_child_end(&without);
	assert_int_equal(vm_process_nr_vms(with.pid), 0);
}

static void test_threads(void **state)
{
	struct vm_child child;

	vm_child_start(&child, 0, NO_VSOCK, "x");
	assert_true(vm_process_exists(child.pid));
	assert_true(vm_process_has_thread(child.pid, child.pid));
	assert_false(vm_process_has_thread(child.pid, getpid()));
	assert_int_equal(vm_process_of_thread(child.pid), child.pid);
	vm_child_end(&child);
	assert_false(vm_process_exists(child.pid));
	assert_int_equal(vm_process_of_thread(child.pid), 0);
}

/* Arguments of QEMU and the addresses in them */
static const struct {
	const char	*argument;
	unsigned int	cid;		/* 0: no address */
} command_lines[] = {
	{ "vhost-vsock-pci,guest-cid=3", 3 },
	{ "vhost-vsock-pci,guest-cid=0x3", 3 },
	{ "vhost-vsock-pci,guest-cid=0x1F,id=vsock0", 31 },
	{ "guest-cid=4294967294", 4294967294 },
	{ "{\"driver\":\"vhost-vsock-pci\",\"id\":\"vsock0\",\"guest-cid\":3,\"vhostfd\":\"31\"}", 3 },
	{ "{\"driver\":\"vhost-vsock-pci\", \"guest-cid\": 42}", 42 },
	{ "vhost-vsock-pci,guest-cid=", 0 },
	{ "guest=3", 0 },
};

#define NR_COMMAND_LINES	(sizeof(command_lines) / sizeof(command_lines[0]))

static void test_addresses(void **state)
{
	for (size_t i = 0; i < NR_COMMAND_LINES; i++) {
		unsigned int cid = command_lines[i].cid;
		struct vm_child child;

		vm_child_start(&child, 5, VSOCK_DEVICE, command_lines[i].argument);
		/* A command line without an address can have any */
		assert_true(vm_process_may_have_cid(child.pid, cid ? cid : 3));
		assert_int_equal(vm_process_may_have_cid(child.pid, cid + 1), !cid);
		vm_child_end(&child);
	}
}

static void test_no_vm(void **state)
{
	struct vm_child child;

	vm_child_start(&child, 0, VSOCK_DEVICE, "guest-cid=3");
	assert_false(vm_process_may_have_cid(child.pid, 3));
	vm_child_end(&child);
}

/* A device is recognised by its number, whatever its file name */
static void test_no_device(void **state)
{
	static const enum vm_child_vsock without[] = { NO_VSOCK, VSOCK_FILE };
	struct vm_child child;
	pid_t pid;

	for (size_t i = 0; i < 2; i++) {
		vm_child_start(&child, 5, without[i], "guest-cid=" CID_TEXT);
		assert_false(vm_process_may_have_cid(child.pid, CID));
		assert_int_equal(vm_process_by_cid(CID, &pid), -ENOENT);
		vm_child_end(&child);
	}
}

/*
 * A single process that names the address is found. Two such processes are ambiguous. Without any, the only process
 * that names no address is found.
 */
static void test_by_cid(void **state)
{
	struct vm_child naming, other, unnamed, file, second;
	pid_t pid = 0;

	vm_child_start(&unnamed, 5, VSOCK_DEVICE, "x");
	vm_child_start(&other, 5, VSOCK_DEVICE, "guest-cid=5");
	assert_int_equal(vm_process_by_cid(CID, &pid), 0);
	assert_int_equal(pid, unnamed.pid);
	vm_child_start(&file, 5, VSOCK_FILE, "guest-cid=" CID_TEXT);
	vm_child_start(&naming, 5, VSOCK_DEVICE, "guest-cid=" CID_TEXT);
	assert_int_equal(vm_process_by_cid(CID, &pid), 0);
	assert_int_equal(pid, naming.pid);
	vm_child_start(&second, 5, VSOCK_DEVICE, "{\"guest-cid\":" CID_TEXT "}");
	assert_int_equal(vm_process_by_cid(CID, &pid), -EEXIST);
	vm_child_end(&naming);
	assert_int_equal(vm_process_by_cid(CID, &pid), 0);
	assert_int_equal(pid, second.pid);
	vm_child_end(&second);
	vm_child_start(&second, 5, VSOCK_DEVICE, "x");
	assert_int_equal(vm_process_by_cid(CID, &pid), -EEXIST);
	vm_child_end(&second);
	vm_child_end(&file);
	vm_child_end(&other);
	vm_child_end(&unnamed);
	assert_int_equal(vm_process_by_cid(CID, &pid), -ENOENT);
}

static bool is_listed(const pid_t *pids, size_t nr, pid_t pid)
{
	for (size_t i = 0; i < nr; i++) {
		if (pids[i] == pid)
			return true;
	}
	return false;
}

static void test_list(void **state)
{
	struct vm_child with, without;
	pid_t *pids;
	size_t nr;
	bool all;

	vm_child_start(&with, 5, NO_VSOCK, "x");
	vm_child_start(&without, 0, VSOCK_DEVICE, "x");
	assert_int_equal(vm_process_list(&pids, &nr, &all), 0);
	assert_true(is_listed(pids, nr, with.pid));
	assert_false(is_listed(pids, nr, without.pid));
	/* Only root can inspect kernel threads */
	assert_int_equal(all, !geteuid());
	free(pids);
	assert_true(vm_process_has_vsock(without.pid));
	vm_child_end(&with);
	vm_child_end(&without);
}

static void test_path(void **state)
{
	char *path;

	assert_int_equal(vm_process_path(&path, 7, "/run/x"), 0);
	assert_string_equal(path, "/proc/7/root//run/x");
	free(path);
	assert_int_equal(vm_process_path(&path, 7, "x/y"), 0);
	assert_string_equal(path, "/proc/7/cwd/x/y");
	free(path);
}

/* The VM that an event names counts first, then a thread of a process that has this VM, then any thread */
static void test_of_event(void **state)
{
	struct vm_child vmm, other, ended;

	vm_child_start(&vmm, 9, NO_VSOCK, "x");
	vm_child_start(&other, 0, NO_VSOCK, "x");
	vm_child_start(&ended, 0, NO_VSOCK, "x");
	vm_child_end(&ended);
	assert_int_equal(vm_process_of_event(other.pid, vmm.pid, 9), vmm.pid);
	assert_int_equal(vm_process_of_event(other.pid, vmm.pid, 8), 0);
	assert_int_equal(vm_process_of_event(vmm.pid, ended.pid, 9), vmm.pid);
	assert_int_equal(vm_process_of_event(vmm.pid, other.pid, 9), vmm.pid);
	assert_int_equal(vm_process_of_event(vmm.pid, ended.pid, 8), 0);
	assert_int_equal(vm_process_of_event(ended.pid, 0, -1), 0);
	assert_int_equal(vm_process_of_event(vmm.pid, 0, -1), vmm.pid);
	assert_int_equal(vm_process_of_event(other.pid, 0, -1), other.pid);
	vm_child_end(&vmm);
	vm_child_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vms),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_vm),
		cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_by_cid),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_of_event),
	};

	return cmocka_run_group_tests_name("vm_process", tests, NULL, NULL);
}
