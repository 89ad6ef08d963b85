// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * This machine's KVM reports what was done to it.
 *
 * Two VMs with two vCPUs each, none of which ever runs, get exact TSC offsets (KVM_VCPU_TSC_OFFSET) and TSC values
 * (KVM_SET_MSRS of IA32_TSC). The resulting events, read from a separate tracefs instance with the x86-tsc clock and
 * decoded by the core, must be exactly these, at their host TSCs, and so must the history built from them.
 *
 * Needs root, /dev/kvm and tracefs, and is skipped without. tracefs is mounted in a separate mount namespace. A
 * separate process removes the instance after this one has ended in any way.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#include <x86intrin.h>

#include <tracefs.h>

#include "event.h"
#include "history.h"

#define SKIPPED		77
#define NR_VMS		2
#define NR_VCPUS	2
#define MSR_IA32_TSC	0x10
#define TRACING_DIR	"/sys/kernel/tracing"

enum how { CREATED, BY_OFFSET, BY_MSR };

/* Something done to a vCPU, between two readings of the host's TSC */
struct deed {
	enum how	how;
	int		vm;		/* thread that owns the VM */
	uint32_t	vcpu;
	uint64_t	value;		/* the offset, or the guest's TSC */
	uint64_t	before;
	uint64_t	after;
};

#define MAX_DEEDS	256
#define MAX_EVENTS	1024

struct test {
	int				kvm;
	bool				has_offset_attr;
	struct deed			deeds[MAX_DEEDS];
	size_t				nr_deeds;
	int				vms[NR_VMS];
	int				nr_vms;
	struct tsc_offset_format	format;
	int				event_id;
	struct tep_handle		*tep;
	struct tsc_offset_event		events[MAX_EVENTS];
	size_t				nr_events;
	size_t				foreign;
	bool				lost;
};

static __attribute__((noreturn, format(printf, 2, 3)))
void leave(int status, const char *fmt, ...)
{
	va_list args;

	printf(status == SKIPPED ? "skipped: " : "FAILED: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(status);
}

#define require(condition, ...)	do { if (!(condition)) leave(SKIPPED, __VA_ARGS__); } while (0)
#define check(condition, ...)	do { if (!(condition)) leave(1, __VA_ARGS__); } while (0)

static void do_deed(struct test *t, int fd, enum how how, uint32_t vcpu, uint64_t value)
{
	struct deed *deed = &t->deeds[t->nr_deeds++];
	struct kvm_device_attr attr = {
		.group	= KVM_VCPU_TSC_CTRL,
		.attr	= KVM_VCPU_TSC_OFFSET,
		.addr	= (uintptr_t)&value,
	};
	_Alignas(struct kvm_msrs) char
		buffer[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	struct kvm_msrs *msrs = (struct kvm_msrs *)buffer;

	*msrs = (struct kvm_msrs) { .nmsrs = 1 };
	msrs->entries[0] = (struct kvm_msr_entry) { .index = MSR_IA32_TSC, .data = value };
	check(t->nr_deeds <= MAX_DEEDS, "too many deeds");
	*deed = (struct deed) { how, gettid(), vcpu, value, __rdtsc(), 0 };
	if (how == BY_OFFSET)
		check(!ioctl(fd, KVM_SET_DEVICE_ATTR, &attr), "KVM_VCPU_TSC_OFFSET: %m");
	else
		check(ioctl(fd, KVM_SET_MSRS, msrs) == 1, "KVM_SET_MSRS of IA32_TSC: %m");
	deed->after = __rdtsc();
}

/* A separate thread for each VM, as in a VMM: the tid in its events distinguishes the VMs */
static int run_vm(void *arg)
{
	static const int64_t offsets[] = {
		0, -1, 1, INT64_MIN, INT64_MAX, 0, INT64_MAX - 1, INT64_MIN + 1, -20000000000,
		20000000000,
	};
	static const uint64_t tscs[] = { 1000, 0, 1ULL << 40, 1ULL << 63, 12345678901234 };
	struct test *t = arg;
	int fds[NR_VCPUS], vm;

	t->vms[t->nr_vms++] = gettid();
	vm = ioctl(t->kvm, KVM_CREATE_VM, 0);
	require(vm >= 0, "KVM_CREATE_VM: %m");
	for (int i = 0; i < NR_VCPUS; i++) {
		struct kvm_device_attr attr = {
			.group	= KVM_VCPU_TSC_CTRL,
			.attr	= KVM_VCPU_TSC_OFFSET,
		};
		struct deed *deed = &t->deeds[t->nr_deeds++];

		*deed = (struct deed) { CREATED, gettid(), i, 0, __rdtsc(), 0 };
		fds[i] = ioctl(vm, KVM_CREATE_VCPU, i);
		require(fds[i] >= 0, "KVM_CREATE_VCPU: %m");
		deed->after = __rdtsc();
		t->has_offset_attr = !ioctl(fds[i], KVM_HAS_DEVICE_ATTR, &attr);
	}
	for (size_t i = 0; i < sizeof(tscs) / sizeof(*tscs); i++)
		for (int v = 0; v < NR_VCPUS; v++)
			do_deed(t, fds[v], BY_MSR, v, tscs[i] + v);
	for (size_t i = 0; t->has_offset_attr && i < sizeof(offsets) / sizeof(*offsets); i++)
		for (int v = 0; v < NR_VCPUS; v++)
			do_deed(t, fds[v], BY_OFFSET, v,
				(uint64_t)offsets[i] + (uint64_t)v * t->nr_vms);
	for (int i = 0; i < NR_VCPUS; i++)
		close(fds[i]);
	close(vm);
	return 0;
}

static int take(struct tep_event *event, struct tep_record *record, int cpu, void *context)
{
	struct test *t = context;
	struct tsc_offset_event *e = &t->events[t->nr_events];

	if (record->missed_events)
		t->lost = true;
	if (event->id != t->event_id)
		return 0;
	check(t->nr_events < MAX_EVENTS, "more than %d events", MAX_EVENTS);
	check(!tsc_offset_event_decode(&t->format, record->ts, record->data, record->size, e),
	      "an event that cannot be decoded");
	/* Other VMs of this machine */
	if (e->tid != t->vms[0] && e->tid != t->vms[1]) {
		t->foreign++;
		return 0;
	}
	t->nr_events++;
	return 0;
}

/* Wait in a session of its own for the test's end, however it ends, and remove the instance */
static void start_cleaner(const char *name, pid_t *cleaner, int *alive)
{
	char path[128];
	int fds[2];

	snprintf(path, sizeof(path), TRACING_DIR "/instances/%s", name);
	check(!pipe2(fds, O_CLOEXEC), "pipe: %m");
	*cleaner = fork();
	check(*cleaner >= 0, "fork: %m");
	if (!*cleaner) {
		char end;

		setsid();
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		close(fds[1]);
		while (read(fds[0], &end, 1) < 0 && errno == EINTR)
			;
		/* The instance is busy until the last of the test's files is closed */
		for (int i = 0; i < 50 && rmdir(path) && errno == EBUSY; i++)
			usleep(100000);
		_exit(0);
	}
	close(fds[0]);
	*alive = fds[1];
}

/* Is the event what was done? */
static void check_event(const struct test *t, const struct deed *deed,
			const struct tsc_offset_event *event, const int64_t *last_of_vm)
{
	int64_t lowest = (int64_t)(deed->value - deed->after);

	check(event->vcpu_id == deed->vcpu, "vCPU %u instead of %u", event->vcpu_id, deed->vcpu);
	check(event->host_tsc >= deed->before && event->host_tsc <= deed->after,
	      "an event at %" PRIu64 " of what was done from %" PRIu64 " to %" PRIu64,
	      event->host_tsc, deed->before, deed->after);
	if (deed->how == BY_OFFSET)
		check(event->next == (int64_t)deed->value, "next %" PRId64 " instead of %" PRId64,
		      event->next, (int64_t)deed->value);
	/* KVM takes a TSC that is about another vCPU's for an attempt to match it, and does so */
	if (deed->how == BY_MSR && event->next != *last_of_vm)
		check((uint64_t)event->next - (uint64_t)lowest <= deed->after - deed->before,
		      "next %" PRId64 " puts the guest's TSC not at %" PRIu64, event->next,
		      deed->value);
}

static void check_events(struct test *t)
{
	int64_t last_of_vm[NR_VMS] = { 0 }, previous[NR_VMS][NR_VCPUS] = { 0 };
	size_t reported = 0, wrong = 0, matched = 0;
	struct tsc_history history = { 0 };
	struct tsc_mapping map;

	check(!t->lost, "the ring buffer lost events");
	check(t->nr_events == t->nr_deeds, "%zu events instead of %zu", t->nr_events, t->nr_deeds);
	for (size_t i = 0; i < t->nr_deeds; i++) {
		const struct deed *deed = &t->deeds[i];
		const struct tsc_offset_event *event = &t->events[i];
		int vm = deed->vm != t->vms[0];
		int64_t *before = &previous[vm][deed->vcpu];

		check(event->tid == deed->vm, "an event of another VM");
		check_event(t, deed, event, &last_of_vm[vm]);
		matched += deed->how == BY_MSR && event->next == last_of_vm[vm];
		reported += event->previous != 0;
		wrong += event->previous != *before;
		*before = last_of_vm[vm] = event->next;
		check(!vm_history_add(tsc_history_vm(&history, event->tid), event), "no history");
	}
	printf("%zu events, each as done: %d VMs, %d vCPUs each, next and time exact; %zu times "
	       "KVM matched a TSC with the vCPU's before it; %zu events of other VMs\n",
	       t->nr_events, NR_VMS, NR_VCPUS, matched, t->foreign);
	if (!reported)
		printf("this KVM reports previous = 0 in every event, as hypervisors that emulate "
		       "the tracepoint do: previous is not checked\n");
	else
		check(!wrong, "%zu events with another previous than the next before", wrong);

	check(history.nr_vms == NR_VMS, "%zu VMs in the history", history.nr_vms);
	for (size_t i = 0; i < t->nr_deeds; i++) {
		const struct deed *deed = &t->deeds[i];
		struct vm_history *vm = tsc_history_vm(&history, deed->vm);
		struct vcpu_history *vcpu = vm_history_vcpu(vm, deed->vcpu);

		check(vm->nr_vcpus == NR_VCPUS, "%zu vCPUs in a history", vm->nr_vcpus);
		check(vcpu_history_at(vcpu, deed->after, &map), "nobody knows what held");
		check(map.offset == t->events[i].next,
		      "the history has another offset than was set");
		for (size_t s = 0; s <= vcpu->nr_segments; s++)
			check(!vcpu_history_gap(vcpu, s), "the history has a gap");
		check(vcpu_history_at(vcpu, vcpu->segments[0].host_tsc - 1, &map) == !!reported,
		      "what held before the first event is %sknown", reported ? "un" : "");
	}
	tsc_history_release(&history);
	printf("the history of each vCPU has what was set, when it was set, and no gap\n");
}

int main(void)
{
	const char *systems[] = { TSC_OFFSET_SYSTEM, NULL };
	struct tracefs_instance *instance;
	static struct test t;
	struct tep_event *event;
	int alive, tracing_status;
	char name[64];
	pid_t cleaner;

	setlinebuf(stdout);
	require(!geteuid(), "not root");
	t.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	require(t.kvm >= 0, "/dev/kvm: %m");
	require(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL),
		"no mount namespace: %m");
	require(!access(TRACING_DIR "/instances", F_OK) ||
			!mount("nodev", TRACING_DIR, "tracefs", 0, NULL),
		"no tracefs at " TRACING_DIR ": %m");
	require(!access(TRACING_DIR "/events/" TSC_OFFSET_SYSTEM "/" TSC_OFFSET_EVENT, F_OK),
		"this kernel has no " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT);
	tracing_status = tracefs_tracing_dir_is_mounted(false, NULL);
	require(tracing_status > 0, "libtracefs does not find tracefs");

	t.tep = tracefs_local_events_system(NULL, systems);
	event = t.tep ? tep_find_event_by_name(t.tep, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT) : NULL;
	check(event && !tsc_offset_format_init(&t.format, event),
	      "the event's format is not understood");
	t.event_id = event->id;

	snprintf(name, sizeof(name), "tsc_offset_test_%d", getpid());
	start_cleaner(name, &cleaner, &alive);
	instance = tracefs_instance_create(name);
	require(instance, "no tracefs instance: %m");
	require(tracefs_instance_file_write(instance, "trace_clock", "x86-tsc") > 0,
		"no x86-tsc clock");
	check(!tracefs_event_enable(instance, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT), "enable: %m");
	check(!tracefs_trace_on(instance), "tracing_on: %m");

	for (int i = 0; i < NR_VMS; i++) {
		thrd_t thread;

		check(thrd_create(&thread, run_vm, &t) == thrd_success, "no thread");
		thrd_join(thread, NULL);
	}
	if (!t.has_offset_attr)
		printf("this KVM has no KVM_VCPU_TSC_OFFSET: TSCs through KVM_SET_MSRS only\n");

	tracefs_trace_off(instance);
	check(!tracefs_iterate_raw_events(t.tep, instance, NULL, 0, take, &t), "reading back: %m");
	tracefs_instance_free(instance);
	check_events(&t);

	close(alive);
	waitpid(cleaner, NULL, 0);
	check(access(TRACING_DIR "/instances", F_OK) || !tracefs_instance_exists(name),
	      "the instance %s is still there", name);
	tep_free(t.tep);
	return 0;
}
