// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tracefs.h>

#include "boot_instance.h"
#include "fake_kvmhost.h"
#include "fake_tsc.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "record_instance.h"
#include "vm_process.h"

struct fake_kvmhost host;

/* The code under test has its own thread. Its callbacks call the fake host again, so the lock is recursive. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_t test_thread;
static char instance_name[64], reads_name[] = "reads";

static void end_call(int *unused)
{
	pthread_mutex_unlock(&lock);
}

static int begin_call(void)
{
	pthread_mutex_lock(&lock);
	if (pthread_equal(pthread_self(), test_thread) && host.at_step && ++host.steps == host.step_at) {
		void (*at_step)(void) = host.at_step;

		host.at_step = NULL;
		at_step();
	}
	return 0;
}

/* Begin a call of the host. Until the function ends, no other thread can call the host. */
#define CALL int call __attribute__((cleanup(end_call), unused)) = begin_call()

/**
 * fake_kvmhost_begin - start with one VM whose vCPUs 0, 1, ... have the same offset
 * @nr_vcpus: how many
 * @offset: their offset
 */
void fake_kvmhost_begin(size_t nr_vcpus, int64_t offset)
{
	/* A failed test may have left it locked */
	lock = (pthread_mutex_t) PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	test_thread = pthread_self();
	host = (struct fake_kvmhost) { .has_debugfs = true, .tsc = 1ULL << 40, .threads = { FAKE_PID }, .nr_threads = 1,
		.nr_vms = 1, .fills = true };
	for (size_t i = 0; i < nr_vcpus; i++)
		fake_kvmhost_add(i, i, &(struct tsc_mapping) { .offset = offset });
}

/**
 * fake_kvmhost_add - add a vCPU, or replace one
 * @vcpu: its index in debugfs
 * @vcpu_id: KVM's vcpu_id
 * @map: its mapping
 */
void fake_kvmhost_add(size_t vcpu, uint32_t vcpu_id, const struct tsc_mapping *map)
{
	CALL;

	host.vcpus[vcpu] = (struct fake_vcpu) { .vcpu_id = vcpu_id, .map = *map, .maps = { *map }, .nr = 1 };
	if (vcpu >= host.nr_vcpus)
		host.nr_vcpus = vcpu + 1;
}

/**
 * fake_kvmhost_event - record an event of this or another VM in the host's instances
 * @event: the event
 */
void fake_kvmhost_event(const struct tsc_offset_event *event)
{
	CALL;

	if (host.boot_instance) {
		assert_true(host.nr_boot < FAKE_EVENTS);
		host.boot[host.nr_boot++] = *event;
	}
	if (host.instances) {
		assert_true(host.nr_events < FAKE_EVENTS);
		host.events[host.nr_events++] = *event;
	}
}

/**
 * fake_kvmhost_change - change the mapping of a vCPU
 * @vcpu: its index in debugfs
 * @map: the mapping from now on
 */
void fake_kvmhost_change(size_t vcpu, const struct tsc_mapping *map)
{
	CALL;
	struct fake_vcpu *changed = &host.vcpus[vcpu];
	struct tsc_offset_event event = {
		.host_tsc	= fake_kvmhost_pass(FAKE_TSC_STEP),
		.tid		= host.threads[0],
		.vcpu_id	= changed->vcpu_id,
		.previous	= host.silent ? 0 : changed->map.offset,
		.next		= map->offset,
		.vm_fd		= -1,
	};

	if (host.patched) {
		event.previous_ratio = changed->map.ratio;
		event.ratio = map->ratio;
		event.frac_bits = map->frac_bits;
		event.vm_pid = FAKE_PID;
		event.vm_fd = FAKE_VM_FD;
	}
	fake_kvmhost_event(&event);
	assert_true(changed->nr < FAKE_CHANGES);
	changed->maps[changed->nr] = *map;
	changed->since[changed->nr++] = event.host_tsc;
	changed->map = *map;
}

/**
 * fake_kvmhost_move - change the offset of a vCPU
 * @vcpu: its index in debugfs
 * @offset: the offset from now on
 */
void fake_kvmhost_move(size_t vcpu, int64_t offset)
{
	CALL;
	struct tsc_mapping map = host.vcpus[vcpu].map;

	map.offset = offset;
	fake_kvmhost_change(vcpu, &map);
}

/**
 * fake_kvmhost_flood - change offsets many times; @maps of the vCPUs does not keep these changes
 * @times: how often
 * @nr_vcpus: number of the first vCPUs to change in turn
 */
void fake_kvmhost_flood(size_t times, size_t nr_vcpus)
{
	CALL;

	host.flood = times;
	host.flooded = nr_vcpus;
}

/**
 * fake_kvmhost_said - count the messages that contain a word
 * @word: the word
 */
size_t fake_kvmhost_said(const char *word)
{
	CALL;
	const char *line = host.said, *found;
	size_t nr = 0;

	while (*line && (found = strstr(line, word))) {
		nr++;
		line = strchr(found, '\n') + 1;
	}
	return nr;
}

/**
 * fake_kvmhost_pending - count the events that wait in the recording's instance
 */
size_t fake_kvmhost_pending(void)
{
	CALL;

	return host.nr_events;
}

/**
 * fake_kvmhost_pass - advance the time
 * @cycles: how far
 *
 * Returns: the TSC then.
 */
uint64_t fake_kvmhost_pass(uint64_t cycles)
{
	CALL;

	return host.tsc += cycles;
}

/**
 * fake_kvmhost_values_read - count the reads of a vCPU's offset from debugfs
 */
unsigned int fake_kvmhost_values_read(void)
{
	CALL;

	return host.values_read;
}

/**
 * fake_kvmhost_end_nested - a vCPU stops running a nested guest
 * @vcpu: its index in debugfs
 */
void fake_kvmhost_end_nested(size_t vcpu)
{
	CALL;

	host.vcpus[vcpu].nested = 0;
}

uint64_t fake_tsc(void)
{
	CALL;

	return fake_kvmhost_pass(FAKE_TSC_STEP);
}

void message(const char *format, ...)
{
	CALL;
	size_t used = strlen(host.said);
	va_list args;

	va_start(args, format);
	vsnprintf(host.said + used, sizeof(host.said) - used, format, args);
	va_end(args);
	used = strlen(host.said);
	assert_true(used + 2 < sizeof(host.said));
	strcpy(host.said + used, "\n");
}

bool vm_process_has_thread(pid_t pid, pid_t tid)
{
	CALL;

	for (size_t i = 0; i < host.nr_threads && pid == host.threads[0]; i++) {
		if (host.threads[i] == tid)
			return true;
	}
	return false;
}

bool vm_process_exists(pid_t tid)
{
	return vm_process_has_thread(FAKE_PID, tid);
}

size_t vm_process_nr_vms(pid_t pid)
{
	return host.nr_vms;
}

bool tsc_event_names_vm(void)
{
	return host.patched;
}

int record_instance_sweep(void)
{
	return host.swept;
}

int record_instance_lock(void)
{
	return -1;
}

bool record_instance_removes(const struct record_instance *instance)
{
	return host.removes;
}

int record_instance_nr_removing(bool left)
{
	return host.nr_removing + (left ? host.nr_left_removing : 0);
}

bool record_instance_wait(const struct record_instance *instance, int wake_fd, int ms)
{
	struct pollfd wake = { .fd = wake_fd, .events = POLLIN };

	assert_non_null(instance->dir);
	__atomic_add_fetch(&host.waits, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&host.fills, __ATOMIC_RELAXED))
		return true;
	poll(&wake, 1, ms < 10 ? ms : 10);
	return false;
}

void record_instance_set_loads(struct record_instance *instance, bool on)
{
	CALL;

	assert_non_null(instance->dir);
	host.loads = on;
}

int record_instance_open(struct record_instance *instance, unsigned int number, enum record_events events)
{
	CALL;

	*instance = (struct record_instance) { 0 };
	if (events == RECORD_READS) {
		instance->dir = reads_name;
		host.reading = true;
		return 0;
	}
	if (host.open_error)
		return host.open_error;
	host.removes = number == RECORD_NUMBER_REMOVES;
	snprintf(instance_name, sizeof(instance_name), RECORD_INSTANCE_PREFIX "%u", number);
	instance->dir = instance_name;
	/* The code under test only checks whether the kernel has the field */
	if (host.patched)
		instance->formats.formats[0].ratio = (struct tep_format_field *)instance_name;
	host.instances++;
	host.loads = events == RECORD_PROBES;
	host.opened = host.tsc;
	return 0;
}

static int flood(tsc_event_func take, void *context)
{
	int ret = 0;

	for (; host.flood; host.flood--) {
		struct fake_vcpu *vcpu = &host.vcpus[host.flood % host.flooded];
		struct tsc_offset_event made = {
			.host_tsc = ++host.tsc, .tid = FAKE_PID, .vcpu_id = vcpu->vcpu_id, .vm_fd = -1,
			.previous = vcpu->map.offset, .next = vcpu->map.offset + FAKE_FLOOD_MOVE,
		};

		/* The offset changes even if the event is not read */
		if (!ret)
			ret = take(&made, context);
		vcpu->map.offset = made.next;
	}
	return ret;
}

/* The host has two CPUs: each event is on the other CPU than the event before it */
int record_instance_drain(struct record_instance *instance, tsc_event_func take, void *context, bool *lost)
{
	CALL;
	int ret = 0;

	assert_non_null(instance->dir);
	if (instance->dir == reads_name) {
		for (size_t i = 0; i < host.nr_reads && !ret; i++)
			ret = take(&host.reads[i], context);
		host.nr_reads = 0;
		return ret;
	}
	ret = flood(take, context);
	for (size_t cpu = 0; cpu < 2; cpu++) {
		for (size_t i = cpu; i < host.nr_events && !ret; i += 2)
			ret = take(&host.events[i], context);
	}
	host.nr_events = 0;
	if (host.lost)
		*lost = true;
	host.lost = false;
	return ret ? ret : host.drain_error;
}

void record_instance_close_fds(struct record_instance *instance)
{
	CALL;

	host.closed_fds++;
}

int record_instance_close(struct record_instance *instance)
{
	CALL;

	if (!instance->dir)
		return 0;
	if (instance->dir == reads_name) {
		instance->dir = NULL;
		host.reading = false;
		return 0;
	}
	if (host.close_error)
		return host.close_error;
	instance->dir = NULL;
	host.instances--;
	return 0;
}

int boot_instance_history(struct vm_history *history, const struct kvm_debugfs_vm *vm)
{
	CALL;
	bool lost = host.boot_lost;

	assert_int_equal(history->vm, host.threads[0]);
	if (!host.boot_instance)
		return -ENOENT;
	for (size_t i = 0; i < host.nr_boot; i++) {
		if (vm_process_has_thread(host.threads[0], host.boot[i].tid))
			assert_int_equal(vm_history_add(history, &host.boot[i]), 0);
	}
	for (size_t i = 0; i < history->nr_vcpus; i++)
		history->vcpus[i].lost_after = lost;
	return 0;
}

const char *tracefs_debug_dir(void)
{
	return host.has_debugfs ? "/debug" : NULL;
}

int kvm_debugfs_open(struct kvm_debugfs_vm *vm, const char *kvm_dir, pid_t pid)
{
	CALL;

	*vm = (struct kvm_debugfs_vm) { 0 };
	assert_string_equal(kvm_dir, "/debug/kvm");
	assert_int_equal(pid, host.threads[0]);
	if (host.debugfs_error)
		return host.debugfs_error;
	*vm = (struct kvm_debugfs_vm) {
		.path = strdup(kvm_dir), .creator = FAKE_PID, .fd = FAKE_VM_FD, .id = host.vm_id,
		.vcpu_ids = calloc(FAKE_VCPUS, sizeof(*vm->vcpu_ids)), .nr_vcpus = host.nr_vcpus,
	};
	assert_true(vm->path && vm->vcpu_ids);
	for (size_t i = 0; i < host.nr_vcpus; i++)
		vm->vcpu_ids[i] = host.vcpus[i].vcpu_id;
	return 0;
}

int kvm_debugfs_list(struct kvm_debugfs_vm **vms, size_t *nr, const char *kvm_dir)
{
	CALL;

	*vms = calloc(1, sizeof(**vms));
	*nr = 0;
	assert_non_null(*vms);
	if (host.debugfs_error)
		return host.debugfs_error;
	*nr = 1;
	return kvm_debugfs_open(*vms, kvm_dir, host.threads[0]);
}

void kvm_debugfs_list_free(struct kvm_debugfs_vm *vms, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		kvm_debugfs_close(&vms[i]);
	free(vms);
}

pid_t kvm_debugfs_thread(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	return host.threads[0];
}

void kvm_debugfs_close(struct kvm_debugfs_vm *vm)
{
	free(vm->path);
	free(vm->vcpu_ids);
	*vm = (struct kvm_debugfs_vm) { 0 };
}

static struct fake_vcpu *by_id(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	assert_non_null(vm->path);
	for (size_t i = 0; i < host.nr_vcpus; i++) {
		if (host.vcpus[i].vcpu_id == vcpu_id)
			return &host.vcpus[i];
	}
	return NULL;
}

bool kvm_debugfs_tsc_protected(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	CALL;

	return by_id(vm, vcpu_id) && host.tsc_protected;
}

static void report_read(const struct fake_vcpu *vcpu)
{
	if (!host.reading)
		return;
	if (host.missed) {
		host.missed--;
		return;
	}
	assert_true(host.nr_reads < FAKE_VCPUS);
	host.reads[host.nr_reads++] = (struct tsc_offset_event) {
		.host_tsc = fake_kvmhost_pass(FAKE_TSC_STEP), .kind = TSC_EVENT_STATE, .tid = 1,
		.vcpu_id = vcpu->vcpu_id,
		.next = vcpu->map.offset, .ratio = vcpu->map.ratio ? vcpu->map.ratio : 1ULL << 32,
		.frac_bits = vcpu->map.ratio ? vcpu->map.frac_bits : 32, .vm_pid = FAKE_PID, .vm_fd = FAKE_VM_FD,
		.vm = FAKE_VM_NUMBER, .tsc_protected = host.tsc_protected,
	};
}

int kvm_debugfs_active(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	CALL;
	const struct fake_vcpu *vcpu = by_id(vm, vcpu_id);

	if (!vcpu)
		return -ENOENT;
	report_read(vcpu);
	*map = vcpu->nested ? (struct tsc_mapping) { .offset = 4711 } : vcpu->map;
	return 0;
}

bool kvm_debugfs_shows_l1(const struct kvm_debugfs_vm *vm)
{
	return host.patched;
}

int kvm_debugfs_l1(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	CALL;
	struct fake_vcpu *vcpu = by_id(vm, vcpu_id);

	if (!vcpu)
		return -ENOENT;
	if (vcpu->nested) {
		vcpu->nested--;
		return -EAGAIN;
	}
	host.values_read++;
	*map = vcpu->map;
	return 0;
}
