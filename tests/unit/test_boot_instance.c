// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The boot instance's events of one VM. A plain directory stands in for tracefs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <tracefs.h>

#include "boot_instance.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "mounts.h"
#include "vm_process.h"

#define VMM	100000000
#define VM_FD	12
#define EVENT	"kvm_write_tsc_offset: vcpu=0 prev="

static char tracefs[] = "/tmp/test_boot_instance.XXXXXX";
static const char *instance_clock;
static struct cpu_counts lost;
/* The VMs in debugfs; NULL if debugfs is not mounted */
static const struct kvm_debugfs_vm *in_debugfs;
static size_t nr_in_debugfs;

char *tracefs_get_tracing_file(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", tracefs, strrchr(name, '/') + 1) > 0);
	return path;
}

void tracefs_put_tracing_file(char *name)
{
	free(name);
}

struct tracefs_instance *tracefs_instance_alloc(const char *dir, const char *name)
{
	return (struct tracefs_instance *)tracefs;
}

void tracefs_instance_free(struct tracefs_instance *instance)
{
}

char *tracefs_get_clock(struct tracefs_instance *instance)
{
	return strdup(instance_clock);
}

int instance_counts_read(struct instance_counts *counts, struct tracefs_instance *instance)
{
	*counts = (struct instance_counts) { .cpus = calloc(1, sizeof(*counts->cpus)), .nr_cpus = 1 };
	counts->cpus[0] = lost;
	return 0;
}

uint64_t cpu_counts_lost_until(const struct cpu_counts *counts)
{
	return counts->oldest;
}

void instance_counts_release(struct instance_counts *counts)
{
	free(counts->cpus);
}

/* Thread VMM + 1 belongs to the VM's process */
pid_t vm_process_of_event(pid_t tid, pid_t vm_pid, int vm_fd)
{
	return tid == VMM + 1 ? VMM : tid;
}

int find_mount(const char *type, char **dir)
{
	*dir = in_debugfs ? strdup(tracefs) : NULL;
	return *dir ? 0 : -ENODEV;
}

int kvm_debugfs_list(struct kvm_debugfs_vm **vms, size_t *nr, const char *kvm_dir)
{
	*nr = nr_in_debugfs;
	*vms = calloc(*nr + 1, sizeof(**vms));
	memcpy(*vms, in_debugfs, *nr * sizeof(**vms));
	return 0;
}

void kvm_debugfs_list_free(struct kvm_debugfs_vm *vms, size_t nr)
{
	free(vms);
}

static void write_file(const char *name, const char *text)
{
	_Static_assert(sizeof(tracefs) < 100, "too long");
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", tracefs, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* The history from an instance that records and whose file "trace" has these lines */
static int history_of(struct vm_history *history, const char *trace, bool has_debugfs)
{
	struct kvm_debugfs_vm vm = { .path = has_debugfs ? tracefs : NULL, .creator = VMM, .fd = VM_FD };

	*history = (struct vm_history) { .vm = VMM };
	write_file("trace", trace);
	return boot_instance_history(history, &vm);
}

static int begin(void **state)
{
	if (!mkdtemp(tracefs))
		return -1;
	return 0;
}

static int begin_test(void **state)
{
	write_file("tracing_on", "1\n");
	write_file("enable", "1\n");
	instance_clock = "x86-tsc";
	lost = (struct cpu_counts) { 0 };
	in_debugfs = NULL;
	return 0;
}

static int end(void **state)
{
	char command[200];

	snprintf(command, sizeof(command), "rm -r %s", tracefs);
	return system(command);
}

/* Threads can have any name. An event belongs to the VM if its thread does, or if the event names the VM. */
static void test_whose(void **state)
{
	static const char trace[] =
		"# tracer: nop\n"
		" CPU 0/KVM-100000001 [000] ..... 100: " EVENT "0 next=18446744073709551611\n"
		" a-7 [001] 200: -100000001   [000] ..... 300: " EVENT "-5 next=7\n"
		" b-9 [001] ..... 400: " EVENT "7 next=8\n"
		" b-9 [001] ..... 500: " EVENT "7 next=9 ratio=281474976710656 frac_bits=48 vm=100000000-12\n"
		" CPU 0/KVM-100000001 [000] ..... 600: " EVENT "9 next=10 vm=100000000-13\n";
	struct vm_history history;

	assert_int_equal(history_of(&history, trace, true), 0);
	assert_int_equal(history.nr_vcpus, 1);
	assert_int_equal(history.vcpus[0].nr_segments, 3);
	assert_int_equal(history.vcpus[0].segments[0].map.offset, -5);
	assert_int_equal(history.vcpus[0].segments[1].host_tsc, 300);
	assert_int_equal(history.vcpus[0].segments[2].map.offset, 9);
	assert_int_equal(history.vcpus[0].segments[2].map.frac_bits, 48);
	vm_history_release(&history);

	/* Without debugfs the process decides; it has only one VM */
	assert_int_equal(history_of(&history, trace, false), 0);
	assert_int_equal(history.vcpus[0].nr_segments, 3);
	assert_int_equal(history.vcpus[0].segments[2].map.offset, 10);
	vm_history_release(&history);
}

/* One thread of a process makes VMs 3 and 4, one after the other, with the same name. The process also has VM 5. */
static void test_numbers(void **state)
{
	static const struct kvm_debugfs_vm vms[] = {
		{ .creator = VMM, .fd = VM_FD + 1, .id = 5 },
		{ .creator = VMM, .fd = VM_FD, .id = 4 },
	};
	static const char trace[] =
		" a-100000001 [000] ..... 100: " EVENT "0 next=5 ratio=281474976710656 frac_bits=48 vm_id=3\n"
		" a-100000001 [000] ..... 200: " EVENT "0 next=6 ratio=281474976710656 frac_bits=48 vm_id=4\n"
		" a-100000001 [000] ..... 300: " EVENT "5 next=7 ratio=281474976710656 frac_bits=48 vm_id=3\n"
		" b-9 [000] ..... 400: " EVENT "6 next=8 ratio=281474976710656 frac_bits=48 vm_id=4\n"
		" b-9 [000] ..... 500: " EVENT "0 next=9 ratio=281474976710656 frac_bits=48 vm_id=5\n";
	struct vm_history history;

	in_debugfs = vms;
	nr_in_debugfs = 2;
	assert_int_equal(history_of(&history, trace, true), 0);
	assert_int_equal(history.vcpus[0].nr_segments, 2);
	assert_int_equal(history.vcpus[0].segments[0].map.offset, 6);
	assert_int_equal(history.vcpus[0].segments[0].map.frac_bits, 48);
	assert_int_equal(history.vcpus[0].segments[1].map.offset, 8);
	vm_history_release(&history);

	/* debugfs has none of these VMs: the process has another one */
	nr_in_debugfs = 0;
	assert_int_equal(history_of(&history, trace, true), 0);
	assert_int_equal(history.nr_vcpus, 0);
	vm_history_release(&history);

	/* Without debugfs the last VM in the events of the process's threads is used */
	in_debugfs = NULL;
	assert_int_equal(history_of(&history, trace, false), 0);
	assert_int_equal(history.vcpus[0].nr_segments, 1);
	assert_int_equal(history.vcpus[0].segments[0].map.offset, 6);
	vm_history_release(&history);
}

/* A history that can be read only in part is not used */
static void test_unreadable(void **state)
{
	struct vm_history history;

	assert_int_equal(history_of(&history, " a-100000001 [000] ..... 100: " EVENT "0 next=5\n"
				    " a-100000001 [000] ..... 200: " EVENT "5 next=6 ratio=1 frac_bits=99\n", true),
				    -EINVAL);
	assert_int_equal(history.nr_vcpus, 0);
	instance_clock = "local";
	assert_int_equal(history_of(&history, "", true), -ENOTSUP);
	instance_clock = "x86-tsc";
	write_file("tracing_on", "0\n");
	assert_int_equal(history_of(&history, "", true), -ENOENT);
	write_file("tracing_on", "1\n");
	write_file("enable", "0\n");
	assert_int_equal(history_of(&history, "", true), -ENOENT);
}

/* Only events lost after the last change matter */
static void test_lost(void **state)
{
	struct vm_history history;

	for (lost.oldest = 99; lost.oldest <= 101; lost.oldest++) {
		assert_int_equal(history_of(&history, " a-100000001 [000] ..... 100: " EVENT "0 next=5\n", true), 0);
		assert_int_equal(history.vcpus[0].lost_after, lost.oldest > 100);
		vm_history_release(&history);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_whose, begin_test),
		cmocka_unit_test_setup(test_numbers, begin_test),
		cmocka_unit_test_setup(test_unreadable, begin_test),
		cmocka_unit_test_setup(test_lost, begin_test),
	};

	return cmocka_run_group_tests_name("boot_instance", tests, begin, end);
}
