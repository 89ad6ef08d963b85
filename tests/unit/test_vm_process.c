// SPDX-License-Identifier: GPL-2.0
/* Which process has a VM, and which vsock address its command line names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm_child.h"
#include "vm_process.h"

static void test_vms(void **state)
{
	struct vm_child with, without;

	vm_child_start(&with, 7, "x");
	vm_child_start(&without, 0, "x");
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

	vm_child_start(&child, 0, "x");
	assert_true(vm_process_exists(child.pid));
	assert_true(vm_process_has_thread(child.pid, child.pid));
	assert_false(vm_process_has_thread(child.pid, getpid()));
	assert_int_equal(vm_process_of_thread(child.pid), child.pid);
	vm_child_end(&child);
	assert_false(vm_process_exists(child.pid));
	assert_int_equal(vm_process_of_thread(child.pid), 0);
}

/* What QEMU takes for an address, from whoever starts it */
static const struct {
	const char	*argument;
	unsigned int	cid;		/* 0: names none */
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

		vm_child_start(&child, 5, command_lines[i].argument);
		/* One that names none can be any */
		assert_true(vm_process_may_have_cid(child.pid, cid ? cid : 3));
		assert_int_equal(vm_process_may_have_cid(child.pid, cid + 1), !cid);
		vm_child_end(&child);
	}
}

static void test_no_vm(void **state)
{
	struct vm_child child;

	vm_child_start(&child, 0, "guest-cid=3");
	assert_false(vm_process_may_have_cid(child.pid, 3));
	vm_child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vms),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_vm),
	};

	return cmocka_run_group_tests_name("vm_process", tests, NULL, NULL);
}
