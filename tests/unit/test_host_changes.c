// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Changes recorded on a host in addition to trace-cmd's recording: complete and in order, or reported as incomplete. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "error.h"
#include "fake_kvmhost.h"
#include "host_changes.h"
#include "kvm_isa.h"
#include "kvm_probes.h"
#include "left_instance.h"
#include "mounts.h"
#include "vcpu_mark.h"

#define HOST_PATH	"dir/trace.dat"
#define OFFSET	-1000
#define THREAD	11

static struct host_changes changes;
static int define_error, read_error;
static int defined, read_defined;
static bool defined_before;

int kvm_probes_define(const char *btf_dir, struct error *error)
{
	if (define_error)
		return error_set(error, define_error, NULL, "no BTF");
	defined++;
	return 0;
}

int kvm_probes_remove(void)
{
	defined--;
	return 0;
}

bool kvm_probes_defined(void)
{
	return defined_before;
}

int kvm_probes_define_read(const char *btf_dir, struct error *error)
{
	if (read_error)
		return error_set(error, read_error, NULL, "no BTF");
	read_defined++;
	return 0;
}

void kvm_probes_remove_read(void)
{
	read_defined--;
}

int find_mount(const char *type, char **dir)
{
	if (!strcmp(type, "debugfs") && !host.has_debugfs)
		return -ENOENT;
	*dir = strdup("/debug");
	return 0;
}

/* What would be left in tracefs if this process were killed */
static struct {
	bool			named;
	bool			drained;
	struct tsc_offset_event	events[FAKE_VCPUS];
	size_t			nr;
} left;

int left_instance_name_file(const struct record_instance *instance, const char *path)
{
	assert_non_null(instance->dir);
	assert_string_equal(path, HOST_PATH);
	left.named = true;
	return 0;
}

int left_instance_mark(const struct record_instance *instance, const struct vcpu_mark *mark)
{
	assert_true(left.named && left.nr < FAKE_VCPUS);
	vcpu_mark_event(&left.events[left.nr++], mark);
	return 0;
}

int left_instance_drained(const struct record_instance *instance)
{
	left.drained = true;
	return 0;
}

int left_instance_open(struct record_instance *instance, const char *path)
{
	if (strcmp(path, HOST_PATH))
		return -ENOENT;
	assert_int_equal(record_instance_open(instance, RECORD_NUMBER_REMOVES, RECORD_PROBES), 0);
	defined++;
	for (size_t i = 0; i < left.nr; i++)
		fake_kvmhost_event(&left.events[i]);
	host.lost = left.drained;
	return 0;
}

/* A host with two vCPUs */
static int begin(void **state)
{
	fake_kvmhost_begin(2, OFFSET);
	define_error = defined = read_defined = 0;
	memset(&left, 0, sizeof(left));
	/* By default, a kernel without BTF */
	read_error = -ENOENT;
	defined_before = false;
	return 0;
}

static void end(void)
{
	host_changes_end(&changes);
	assert_int_equal(host.instances, 0);
	assert_int_equal(defined, defined_before);
	assert_int_equal(read_defined, 0);
	assert_false(host.reading);
	assert_int_equal(changes.nr_settled, changes.nr);
}

static void add(enum tsc_event_kind kind, uint64_t tsc, int64_t offset)
{
	fake_kvmhost_event(&(struct tsc_offset_event) {
		.host_tsc = tsc, .kind = kind, .tid = THREAD, .next = offset, .ratio = 1ULL << 32, .frac_bits = 32,
		.vm_pid = FAKE_PID, .vm_fd = FAKE_VM_FD, .vm = FAKE_VM_NUMBER,
	});
}

/* Returns: whether this many events are settled within half a minute */
static bool wait_settled(size_t nr)
{
	time_t deadline = time(NULL) + 30;
	bool settled = false;

	while (!settled && time(NULL) < deadline) {
		pthread_mutex_lock(&changes.drainer.lock);
		settled = changes.nr_settled >= nr;
		pthread_mutex_unlock(&changes.drainer.lock);
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	}
	return settled;
}

static bool is_in_order(void)
{
	for (size_t i = 1; i < changes.nr; i++) {
		if (changes.events[i].host_tsc < changes.events[i - 1].host_tsc)
			return false;
	}
	return true;
}

static void assert_finding(size_t i, const char *words)
{
	assert_true(changes.findings.nr > i);
	assert_non_null(strstr(changes.findings.list[i].text, words));
	assert_false(changes.findings.list[i].doubt);
}

/* Values from debugfs come first, in the form of a probe's events */
static void test_states(void **state)
{
	const struct tsc_mapping scaled = { .offset = -7, .ratio = 5ULL << 30, .frac_bits = 32 };

	fake_kvmhost_add(1, 1, &scaled);
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_true(changes.probes && host.loads);
	end();
	assert_int_equal(changes.nr, 2);
	assert_false(changes.lost);
	for (uint32_t i = 0; i < 2; i++) {
		const struct tsc_offset_event *event = &changes.events[i];

		assert_int_equal(event->kind, TSC_EVENT_STATE);
		assert_int_equal(event->vcpu_id, i);
		assert_int_equal(event->tid, FAKE_PID);
		assert_int_equal(event->vm_pid, FAKE_PID);
		assert_int_equal(event->vm_fd, FAKE_VM_FD);
		assert_int_equal(event->vm, 0);
		assert_int_equal(event->next, i ? -7 : OFFSET);
		assert_true(event->host_tsc > host.opened);
	}
	/* Hardware that cannot scale has a ratio of 1 */
	assert_true(changes.events[0].ratio == 1ULL << kvm_isa_frac_bits());
	assert_int_equal(changes.events[0].frac_bits, kvm_isa_frac_bits());
	assert_true(changes.events[1].ratio == scaled.ratio && changes.events[1].frac_bits == 32);
	assert_int_equal(changes.findings.nr, 0);
	host_changes_release(&changes);
}

/* A vCPU that always runs a nested guest has no value */
static void test_unknown_states(void **state)
{
	host.vcpus[1].nested = 1000;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	end();
	assert_int_equal(changes.nr, 1);
	assert_int_equal(changes.events[0].vcpu_id, 0);
	host_changes_release(&changes);
}

/* A probe on reads of debugfs reports what debugfs does not show */
static void test_read(void **state)
{
	read_error = 0;
	host.vcpus[1].nested = 1000;
	host.missed = 1;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_true(host.loads);
	end();
	assert_int_equal(changes.nr, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct tsc_offset_event *event = &changes.events[i];
		size_t vcpu = event->vcpu_id;

		assert_int_equal(event->next, OFFSET);
		assert_int_equal(event->tid, FAKE_PID);
		assert_int_equal(event->kind, TSC_EVENT_STATE);
		/* The value of the missed event comes from debugfs */
		assert_int_equal(event->vm, vcpu ? FAKE_VM_NUMBER : 0);
		assert_true(event->ratio == 1ULL << event->frac_bits);
	}
	assert_int_equal(changes.findings.nr, 0);
	host_changes_release(&changes);
}

/* A protected TSC is recognised */
static void test_read_protected(void **state)
{
	read_error = 0;
	host.tsc_protected = true;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	/* The probe reported all vCPUs, so loads are not recorded */
	assert_false(host.loads);
	end();
	assert_int_equal(changes.nr, 2);
	assert_true(changes.events[0].tsc_protected && changes.events[1].tsc_protected);
	host_changes_release(&changes);
}

/* A VM that exists at the end gets its name from debugfs; a VM that has ended gets none */
static void test_numbers(void **state)
{
	static const struct tsc_offset_event made = { .tid = THREAD, .next = OFFSET, .vm_fd = -1, .vm_id = 4 };
	struct tsc_offset_event ended = made;
	size_t named = 0, unnamed = 0;

	ended.vm_id = 3;
	host.has_debugfs = false;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	fake_kvmhost_event(&ended);
	fake_kvmhost_event(&made);
	host.has_debugfs = true;
	host.vm_id = 4;
	end();
	for (size_t i = 0; i < changes.nr; i++) {
		const struct tsc_offset_event *event = &changes.events[i];

		named += event->vm_id == 4 && event->vm_pid == FAKE_PID && event->vm_fd == FAKE_VM_FD;
		unnamed += event->vm_id == 3 && !event->vm_pid && event->vm_fd < 0;
	}
	assert_int_equal(named, 1);
	assert_int_equal(unnamed, 1);
	host_changes_release(&changes);
}

static void record_with_probes_defined(int remaining)
{
	defined = defined_before = true;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_int_equal(host.removes, remaining == 1);
	host_changes_end(&changes);
	assert_int_equal(defined, remaining);
	host_changes_release(&changes);
	host.nr_removing = host.nr_left_removing = 0;
}

/* Probes that others defined are not removed */
static void test_defined_before(void **state)
{
	record_with_probes_defined(2);
	/* The same with leftovers of a killed recording that did not define the probes */
	host.swept = 1;
	record_with_probes_defined(2);
}

/* Probes that another recording defined are removed by the last recording */
static void test_two_recordings(void **state)
{
	/* The other recording was killed */
	host.nr_left_removing = 1;
	record_with_probes_defined(1);
	/* The other recording ended meanwhile */
	defined = defined_before = true;
	host.nr_removing = 1;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	host.nr_removing = 0;
	host_changes_end(&changes);
	assert_int_equal(defined, 1);
	host_changes_release(&changes);
	/* The other recording continues */
	host.nr_removing = 1;
	defined = defined_before = true;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_true(host.removes);
	host_changes_end(&changes);
	assert_int_equal(defined, 2);
	host_changes_release(&changes);
	/* This recording defined them, and the other began later */
	host.nr_removing = 0;
	defined = 0;
	defined_before = false;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	host.nr_removing = 1;
	host_changes_end(&changes);
	assert_int_equal(defined, 1);
	host_changes_release(&changes);
}

/* Events of two buffers, drained in one round and in several */
static void test_order(void **state)
{
	for (int looks = 1; looks <= 4; looks += 3) {
		fake_kvmhost_begin(2, OFFSET);
		assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
		for (size_t i = 0; i < 40; i++) {
			add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5 - (int64_t)i);
			if (looks > 1 && i % 10 == 9)
				assert_true(wait_settled(2 + i + 1));
		}
		end();
		assert_int_equal(changes.nr, 42);
		assert_true(is_in_order());
		assert_false(changes.lost);
		host_changes_release(&changes);
	}
}

/* Events newer than the start of a drain wait until earlier events of other buffers have arrived */
static void test_not_settled(void **state)
{
	uint64_t future;

	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5);
	future = fake_kvmhost_pass(0) + (1ULL << 40);
	add(TSC_EVENT_WRITE, future, -6);
	assert_true(wait_settled(3));
	assert_int_equal(fake_kvmhost_pending(), 0);
	add(TSC_EVENT_WRITE, future - 1, -7);
	end();
	assert_int_equal(changes.nr, 5);
	assert_true(is_in_order());
	assert_false(changes.lost);
	host_changes_release(&changes);
}

/* An event arrives later than possible: others may be missing */
static void test_late(void **state)
{
	uint64_t at;

	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	at = fake_kvmhost_pass(100);
	add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5);
	assert_true(wait_settled(3));
	add(TSC_EVENT_WRITE, at, -6);
	end();
	assert_true(changes.lost);
	host_changes_release(&changes);
}

static void test_lost(void **state)
{
	/* The buffer dropped events; the buffer cannot be read any more */
	for (int i = 0; i < 2; i++) {
		fake_kvmhost_begin(2, OFFSET);
		assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
		add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5);
		host.lost = i == 0;
		host.drain_error = i == 1 ? -EIO : 0;
		end();
		assert_int_equal(changes.nr, 3);
		assert_true(changes.lost);
		host_changes_release(&changes);
	}
}

/* Each load of a vCPU reports the same values; only changes are kept */
static void test_repeats(void **state)
{
	static const int64_t offsets[] = { -5, -5, -5, -6, -6, -5 };

	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		add(TSC_EVENT_STATE, fake_kvmhost_pass(100), offsets[i]);
		/* The repeat is in the same drain or in the next */
		if (i == 1)
			assert_true(wait_settled(3));
	}
	end();
	assert_int_equal(changes.nr, 2 + 3);
	assert_int_equal(changes.events[2].next, -5);
	assert_int_equal(changes.events[3].next, -6);
	assert_int_equal(changes.events[4].next, -5);
	host_changes_release(&changes);
}

/* Recording of loads ends after a while: each vCPU that runs has been loaded by then */
static void test_loads_end(void **state)
{
	time_t deadline = time(NULL) + 30;

	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_true(host.loads);
	while (__atomic_load_n(&host.loads, __ATOMIC_RELAXED) && time(NULL) < deadline)
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	assert_false(host.loads);
	end();
	host_changes_release(&changes);
}

/* While there is room, events stay in the instance, so that they survive if this process is killed */
static void test_left_there(void **state)
{
	time_t deadline = time(NULL) + 30;

	read_error = 0;
	host.fills = false;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_false(host.loads);
	add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5);
	while (__atomic_load_n(&host.waits, __ATOMIC_RELAXED) < 3 && time(NULL) < deadline)
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	assert_int_equal(fake_kvmhost_pending(), 1);
	assert_false(left.drained);
	__atomic_store_n(&host.fills, true, __ATOMIC_RELAXED);
	assert_true(wait_settled(3));
	assert_true(left.drained);
	end();
	assert_int_equal(changes.nr, 3);
	assert_false(changes.lost);
	host_changes_release(&changes);
}

/* Another process takes over the instance: it gets all events, or it reports that some are missing */
static void test_adopt(void **state)
{
	for (int drained = 0; drained < 2; drained++) {
		begin(state);
		assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
		assert_int_equal(left.nr, 2);
		end();
		host_changes_release(&changes);

		left.drained = drained;
		assert_int_equal(host_changes_adopt(&changes, "dir/other.dat"), -ENOENT);
		assert_int_equal(host_changes_adopt(&changes, HOST_PATH), 0);
		add(TSC_EVENT_WRITE, fake_kvmhost_pass(100), -5);
		end();
		assert_int_equal(changes.nr, 3);
		assert_true(is_in_order());
		assert_int_equal(changes.events[0].next, OFFSET);
		assert_int_equal(changes.events[0].kind, TSC_EVENT_STATE);
		assert_int_equal(changes.events[2].next, -5);
		assert_int_equal(changes.lost, drained);
		host_changes_release(&changes);
	}
}

static void test_without_probes(void **state)
{
	define_error = -ENOENT;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_true(!changes.probes && !host.loads);
	assert_finding(0, "no probes on KVM: no BTF");
	end();
	host_changes_release(&changes);
}

/* A kernel with our patches needs no probes */
static void test_patched(void **state)
{
	host.patched = true;
	define_error = -ENOENT;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_false(changes.probes);
	assert_int_equal(changes.findings.nr, 0);
	end();
	host_changes_release(&changes);
}

static void test_without_debugfs(void **state)
{
	for (int i = 0; i < 2; i++) {
		fake_kvmhost_begin(2, OFFSET);
		host.has_debugfs = i == 1;
		host.debugfs_error = -EACCES;
		assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
		assert_finding(0, "initial offsets of sleeping vCPUs are unknown");
		/* The offsets of other vCPUs become known when they are loaded */
		assert_true(host.loads);
		end();
		assert_int_equal(changes.nr, 0);
		host_changes_release(&changes);
	}
}

static void test_remains(void **state)
{
	host.swept = 2;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), 0);
	assert_finding(0, "removed leftovers of a killed recording");
	end();
	host_changes_release(&changes);
}

/* Nothing is left behind */
static void test_no_instance(void **state)
{
	host.open_error = -EACCES;
	assert_int_equal(host_changes_begin(&changes, HOST_PATH), -EACCES);
	end();
	host_changes_release(&changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_states, begin),
		cmocka_unit_test_setup(test_unknown_states, begin),
		cmocka_unit_test_setup(test_read, begin),
		cmocka_unit_test_setup(test_read_protected, begin),
		cmocka_unit_test_setup(test_numbers, begin),
		cmocka_unit_test_setup(test_defined_before, begin),
		cmocka_unit_test_setup(test_two_recordings, begin),
		cmocka_unit_test_setup(test_order, begin),
		cmocka_unit_test_setup(test_not_settled, begin),
		cmocka_unit_test_setup(test_late, begin),
		cmocka_unit_test_setup(test_lost, begin),
		cmocka_unit_test_setup(test_repeats, begin),
		cmocka_unit_test_setup(test_loads_end, begin),
		cmocka_unit_test_setup(test_left_there, begin),
		cmocka_unit_test_setup(test_adopt, begin),
		cmocka_unit_test_setup(test_without_probes, begin),
		cmocka_unit_test_setup(test_patched, begin),
		cmocka_unit_test_setup(test_without_debugfs, begin),
		cmocka_unit_test_setup(test_remains, begin),
		cmocka_unit_test_setup(test_no_instance, begin),
	};

	return cmocka_run_group_tests_name("host_changes", tests, NULL, NULL);
}
