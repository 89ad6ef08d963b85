// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "event.h"
#include "guest_option.h"
#include "host.h"
#include "host_vms.h"
#include "order.h"
#include "trace_dat.h"
#include "tree.h"

/* A thread whose VM is unknown so far */
#define NO_OWNER	SIZE_MAX
/* KVM's own limit of vcpu_ids on x86: four times the limit of 4096 vCPUs */
#define MAX_VCPUS	(1U << 14)

/* A VM as its events name it, in a tree */
struct vm_name {
	int		vm_pid;
	int		vm_fd;
	uint32_t	vm_life;
	size_t		vm;
};

/* A vCPU that one of a VM's threads ran, in a tree */
struct vcpu_runner {
	size_t		vm;
	uint32_t	vcpu_id;
};

/**
 * host_thread_compare - compare threads, for qsort()
 * @a, @b: each a struct host_thread
 *
 * Returns: less than, equal to or greater than 0.
 */
ORDER_BY(host_thread_compare, struct host_thread, tid, vcpu_id, vm_pid, vm_fd, vm_life)

/**
 * host_thread_add_entries - add entries of a thread
 * @thread: the thread
 * @more: their number, and the first and the last time
 */
void host_thread_add_entries(struct host_thread *thread, const struct host_thread *more)
{
	if (!more->entries)
		return;
	if (!thread->entries || more->first < thread->first)
		thread->first = more->first;
	if (!thread->entries || more->last > thread->last)
		thread->last = more->last;
	thread->entries += more->entries;
}

static bool is_same(const struct host_thread *a, const struct host_thread *b)
{
	return a->tid == b->tid && a->vcpu_id == b->vcpu_id;
}

/*
 * Do they belong to VMs that had the same name in sequence? VMs of which only the number is known may have had a thread
 * at the same time.
 */
static bool are_lives(const struct host_thread *threads, size_t nr)
{
	return nr == 1 || (nr && !any_of(i, nr, threads[i].vm_pid != threads[0].vm_pid ||
					 threads[i].vm_fd != threads[0].vm_fd ||
					 (threads[i].vm_id && threads[i].vm_fd < 0)));
}

/* Distribute entries to the VMs that existed meanwhile. Only the first, the last and the number are known. */
static void share_entries(struct host_thread *threads, size_t nr, const struct host_thread *entered)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t until = i + 1 < nr ? threads[i + 1].since : UINT64_MAX;
		struct host_thread share = {
			.entries = entered->entries / nr + 1, .first = entered->first, .last = entered->last,
		};

		if (entered->last < threads[i].since || entered->first >= until)
			continue;
		if (share.first < threads[i].since)
			share.first = threads[i].since;
		if (share.last >= until)
			share.last = until - 1;
		host_thread_add_entries(&threads[i], &share);
	}
}

/* kvm_entry does not have the VM: a thread that entered guest mode is that of its other events */
static size_t join_threads(struct host_thread *threads, size_t nr)
{
	size_t kept = 0;

	for (size_t i = 0, end; i < nr; i = end) {
		/* The one without a name comes first */
		size_t named = i + !threads[i].vm_pid;

		for (end = i + 1; end < nr && is_same(&threads[i], &threads[end]);)
			end++;
		/* With several others, it is unknown which */
		if (named > i && are_lives(&threads[named], end - named)) {
			if (end - named == 1)
				host_thread_add_entries(&threads[named], &threads[i]);
			else
				share_entries(&threads[named], end - named, &threads[i]);
			i = named;
		}
		while (i < end)
			threads[kept++] = threads[i++];
	}
	return kept;
}

/**
 * host_vms_set_threads - set the threads that run a vCPU or wrote its offset
 * @host: a host being read
 * @threads: in the order of host_thread_compare(); owned by @host afterwards
 * @nr: number of @threads
 *
 * Returns: 0 or -ENOMEM.
 */
int host_vms_set_threads(struct host *host, struct host_thread *threads, size_t nr)
{
	nr = join_threads(threads, nr);
	host->threads = threads;
	host->nr_threads = nr;
	host->owners = malloc((nr + 1) * sizeof(*host->owners));
	for (size_t i = 0; host->owners && i < nr; i++)
		host->owners[i] = NO_OWNER;
	return host->owners ? 0 : -ENOMEM;
}

/**
 * host_vms_add - add a VM without threads
 * @host: a host being read
 * @id: its number, which is its name until host_vm_set_name()
 * @evidence: why its threads belong to one VM
 *
 * Returns: the VM, or NULL without memory. Other VMs move in memory.
 */
struct host_vm *host_vms_add(struct host *host, int id, enum vm_evidence evidence)
{
	size_t capacity = host->nr_vms;
	struct host_vm *vms = host->vms;

	/* Grows at powers of two */
	if (!(capacity & (capacity - 1)))
		vms = reallocarray(vms, capacity ? 2 * capacity : 1, sizeof(*vms));
	if (!vms)
		return NULL;
	host->vms = vms;
	vms[host->nr_vms] = (struct host_vm) {
		.id = id, .evidence = evidence, .history.vm = id, .vm_fd = -1,
	};
	snprintf(vms[host->nr_vms].name, HOST_VM_NAME_SIZE, "%d", id);
	return &vms[host->nr_vms++];
}

/**
 * host_vm_set_name - name a VM as events and KVM's debugfs do
 * @vm: the VM
 * @vm_pid: the thread that created it
 * @vm_fd: its file descriptor, -1 if unknown
 * @vm_life: number of earlier VMs of the same name
 * @vm_id: the number that KVM gives it, 0 if unknown
 */
void host_vm_set_name(struct host_vm *vm, int vm_pid, int vm_fd, uint32_t vm_life, uint64_t vm_id)
{
	size_t length;

	vm->vm_pid = vm_pid;
	vm->vm_fd = vm_fd;
	vm->vm_life = vm_life;
	vm->vm_id = vm_id;
	/* Its thread may have made others */
	if (vm_fd < 0 && vm_id) {
		snprintf(vm->name, sizeof(vm->name), "id%" PRIu64, vm_id);
		return;
	}
	if (vm_fd >= 0)
		snprintf(vm->name, sizeof(vm->name), "%d-%d", vm_pid, vm_fd);
	length = strlen(vm->name);
	if (vm_life)
		snprintf(vm->name + length, sizeof(vm->name) - length, ".%" PRIu32, vm_life + 1);
}

static ORDER_BY(compare_names, struct vm_name, vm_pid, vm_fd, vm_life)

/* VMs get their names in sequence: index those that got one since the last call */
static void index_names(struct host *host)
{
	for (; host->nr_indexed < host->nr_vms; host->nr_indexed++) {
		const struct host_vm *vm = &host->vms[host->nr_indexed];
		const struct vm_name name = { vm->vm_pid, vm->vm_fd, vm->vm_life, host->nr_indexed };

		if (vm->vm_pid && !tree_find_or_add(&host->names, &name, sizeof(name), compare_names))
			return;
	}
}

/**
 * host_vms_by_name - find a VM by name
 * @host: a host being read; all VMs that have a name must have it by now
 * @vm_pid: the thread that created it
 * @vm_fd: its file descriptor, -1 if unknown
 * @vm_life: number of earlier VMs of the same name
 *
 * Returns: the VM, the first of several; or NULL.
 */
struct host_vm *host_vms_by_name(struct host *host, int vm_pid, int vm_fd, uint32_t vm_life)
{
	const struct vm_name key = { .vm_pid = vm_pid, .vm_fd = vm_fd, .vm_life = vm_life };
	struct vm_name **found;

	if (!vm_pid)
		return NULL;
	index_names(host);
	found = tfind(&key, &host->names, compare_names);
	if (found)
		return &host->vms[(*found)->vm];
	/* Some are left only if memory was short */
	for (size_t i = host->nr_indexed; i < host->nr_vms; i++) {
		const struct host_vm *vm = &host->vms[i];

		if (vm->vm_pid == vm_pid && vm->vm_fd == vm_fd && vm->vm_life == vm_life)
			return &host->vms[i];
	}
	return NULL;
}

/**
 * host_vm_add_thread - add a thread to a VM
 * @vm: the VM
 * @thread: the thread
 *
 * Returns: 0 or -ENOMEM.
 */
int host_vm_add_thread(struct host_vm *vm, const struct host_thread *thread)
{
	size_t capacity = vm->nr_threads;
	struct host_thread *threads = vm->threads;

	/* Grows at powers of two */
	if (!(capacity & (capacity - 1)))
		threads = reallocarray(threads, capacity ? 2 * capacity : 1, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	vm->threads = threads;
	threads[vm->nr_threads++] = *thread;
	return 0;
}

/**
 * host_vms_give_thread - assign a thread to a VM
 * @host: a host being read
 * @i: index of the thread
 * @vm: a VM of @host
 *
 * Returns: 0 or -ENOMEM.
 */
int host_vms_give_thread(struct host *host, size_t i, const struct host_vm *vm)
{
	host->owners[i] = vm - host->vms;
	return host_vm_add_thread(&host->vms[host->owners[i]], &host->threads[i]);
}

/**
 * host_vms_first_of_thread - find a thread
 * @host: a host with its threads
 * @tid: the thread's id
 *
 * Returns: index of the first entry of the thread, or the number of threads without one.
 */
size_t host_vms_first_of_thread(const struct host *host, int tid)
{
	size_t low = first_where(i, host->nr_threads, host->threads[i].tid >= tid);

	return low < host->nr_threads && host->threads[low].tid == tid ? low : host->nr_threads;
}

/**
 * host_vms_of_thread - find the VM of a thread
 * @host: a host being read
 * @tid: the thread's id
 *
 * Returns: the VM, NULL if unknown.
 */
struct host_vm *host_vms_of_thread(struct host *host, int tid)
{
	for (size_t i = host_vms_first_of_thread(host, tid);
	     i < host->nr_threads && host->threads[i].tid == tid; i++) {
		if (host->owners[i] != NO_OWNER)
			return &host->vms[host->owners[i]];
	}
	return NULL;
}

/* VMs that the events distinguish */
static int group_by_event(struct host *host)
{
	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		struct host_vm *vm;

		if (!thread->vm_pid)
			continue;
		vm = host_vms_by_name(host, thread->vm_pid, thread->vm_fd, thread->vm_life);
		if (!vm) {
			vm = host_vms_add(host, thread->vm_pid, VM_BY_EVENT);
			if (vm)
				host_vm_set_name(vm, thread->vm_pid, thread->vm_fd, thread->vm_life, thread->vm_id);
		}
		if (!vm || host_vms_give_thread(host, i, vm))
			return -ENOMEM;
		/* Probes do not report it */
		if (!vm->vm_id)
			vm->vm_id = thread->vm_id;
	}
	return 0;
}

static ORDER_BY(compare_runners, struct vcpu_runner, vm, vcpu_id)

/* Record that a thread ran its vCPU, if it did and its VM is known. Returns: 0 or -ENOMEM. */
static int add_runner(const struct host *host, size_t i, void **runners)
{
	const struct vcpu_runner runner = { host->owners[i], host->threads[i].vcpu_id };

	if (host->owners[i] == NO_OWNER || !host->threads[i].entries)
		return 0;
	return tree_find_or_add(runners, &runner, sizeof(runner), compare_runners) ? 0 : -ENOMEM;
}

/**
 * host_vms_share_thread - do several VMs use a thread?
 * @host: a host with its VMs
 * @tid: the thread's id
 *
 * In some VMMs, one thread creates the vCPUs of all VMs, and a VM may have the threads of another one that ended.
 *
 * Returns: true if so.
 */
bool host_vms_share_thread(const struct host *host, int tid)
{
	size_t first = host_vms_first_of_thread(host, tid);

	for (size_t i = first; i < host->nr_threads && host->threads[i].tid == tid; i++) {
		if (host->owners[i] != host->owners[first])
			return true;
	}
	return false;
}

/* The VM by events of a thread's neighbour, if the thread may belong to that VM too */
static struct host_vm *vm_of_neighbour(struct host *host, const struct host_thread *thread,
				       size_t neighbour, void *const *runners)
{
	const struct host_thread *other = &host->threads[neighbour];
	bool in_order = other->tid < thread->tid ? other->vcpu_id < thread->vcpu_id :
						   other->vcpu_id > thread->vcpu_id;
	const struct vcpu_runner runner = { host->owners[neighbour], thread->vcpu_id };
	struct host_vm *vm;

	if (host->owners[neighbour] == NO_OWNER || host_vms_share_thread(host, other->tid))
		return NULL;
	vm = &host->vms[host->owners[neighbour]];
	/* A thread that only wrote offsets may have done so for all vCPUs, before it started their threads */
	return vm->evidence == VM_BY_EVENT &&
	       (in_order || (!other->entries && other->tid < thread->tid)) &&
	       !tfind(&runner, runners, compare_runners) ? vm : NULL;
}

/* Threads without events, between those of VMs known by events: assigned by the order in which VMMs start them */
static int adopt_between(struct host *host, void **runners)
{
	size_t next = 0;

	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		struct host_vm *vm = NULL;

		if (host->owners[i] != NO_OWNER)
			continue;
		if (i)
			vm = vm_of_neighbour(host, thread, i - 1, runners);
		/*
		 * The next thread with a VM, unless another VM's threads begin before it. If that is another VM, the
		 * thread belongs to the VM of the thread before.
		 */
		if (next <= i)
			next = i + 1;
		while (next < host->nr_threads && host->owners[next] == NO_OWNER &&
		       host->threads[next].vcpu_id > host->threads[next - 1].vcpu_id)
			next++;
		if (!vm && next < host->nr_threads)
			vm = vm_of_neighbour(host, thread, next, runners);
		if (vm && (host_vms_give_thread(host, i, vm) || add_runner(host, i, runners)))
			return -ENOMEM;
	}
	return 0;
}

static int adopt_threads(struct host *host)
{
	void *runners = NULL;
	int ret = 0;

	for (size_t i = 0; i < host->nr_threads && !ret; i++)
		ret = add_runner(host, i, &runners);
	if (!ret)
		ret = adopt_between(host, &runners);
	tdestroy(runners, free);
	return ret;
}

/* @vm: result: the VM of these threads, NULL if the guest's threads run no vCPU */
static int give_guest_threads(struct host *host, const struct guest_option *guest, bool *given,
			      struct host_vm **vm)
{
	*vm = NULL;
	/* Events may show only some of them */
	for (size_t i = 0; i < guest->nr_cpus && !*vm; i++)
		*vm = host_vms_of_thread(host, guest->cpus[i].tid);
	for (size_t i = 0; i < guest->nr_cpus; i++) {
		int tid = guest->cpus[i].tid;
		size_t first = host_vms_first_of_thread(host, tid);

		/* All entries of a thread are assigned at once, so that other CPUs with this thread need no search */
		if (given[first])
			continue;
		given[first] = true;
		for (size_t j = first; j < host->nr_threads && host->threads[j].tid == tid; j++) {
			if (!*vm)
				*vm = host_vms_add(host, tid, VM_BY_GUEST_OPTION);
			if (!*vm ||
			    (host->owners[j] == NO_OWNER && host_vms_give_thread(host, j, *vm)))
				return -ENOMEM;
		}
	}
	return 0;
}

static int take_guest(struct host *host, const struct trace_dat_option *option, bool *given)
{
	_cleanup_(guest_option_release) struct guest_option guest;
	struct host_vm *vm;
	int ret;

	ret = guest_option_decode(&guest, option->data, option->size);
	if (ret == -EBADMSG)
		return trace_dat_fail(host->dat, ret, option->offset, "option GUEST is too short");
	if (!ret)
		ret = give_guest_threads(host, &guest, given, &vm);
	/* trace-cmd does not always find the guest's threads; then the option has none */
	if (ret || !vm || vm->guest_name)
		return ret;
	vm->guest_trace_id = guest.trace_id;
	vm->guest_name = strdup(guest.name);
	return vm->guest_name ? 0 : -ENOMEM;
}

static int group_by_guest_option(struct host *host)
{
	/* By the first entry of a thread; threads without an entry come last */
	_cleanup_(freep) bool *given = calloc(host->nr_threads + 1, sizeof(*given));
	int ret = given ? 0 : -ENOMEM;

	for (size_t i = 0; i < host->dat->nr_options && !ret; i++) {
		if (host->dat->options[i].id == TRACE_DAT_GUEST)
			ret = take_guest(host, &host->dat->options[i], given);
	}
	return ret;
}

/*
 * A thread of several vCPUs either created them, like the first thread of some VMMs, and precedes their threads; or it
 * runs all of them, like each thread of a gVisor sandbox.
 */
static bool is_creator(const struct host *host, size_t i)
{
	const struct host_thread *threads = host->threads;

	return (i && threads[i - 1].tid == threads[i].tid) ||
	       (i + 1 < host->nr_threads && threads[i + 1].tid == threads[i].tid);
}

static int group_by_threads(struct host *host)
{
	bool creating = false, running = false, sharing = false;
	uint32_t last_vcpu = 0;
	size_t current = 0;
	bool any = false;

	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		bool creator = is_creator(host, i), begins;

		if (host->owners[i] != NO_OWNER)
			continue;
		if (creator)
			begins = !creating || running || host->vms[current].threads[0].tid != thread->tid;
		else
			/* Threads that each run any vCPU do not start others that run one */
			begins = (running && thread->vcpu_id <= last_vcpu) || sharing;
		if (!any || begins) {
			if (!host_vms_add(host, thread->tid, VM_BY_THREADS))
				return -ENOMEM;
			current = host->nr_vms - 1;
			running = false;
			sharing = false;
			any = true;
		}
		sharing |= creator && thread->entries;
		creating = creator;
		if (!creator) {
			running = true;
			last_vcpu = thread->vcpu_id;
		}
		if (host_vms_give_thread(host, i, &host->vms[current]))
			return -ENOMEM;
	}
	return 0;
}

/**
 * host_vms_group - find the VMs and assign threads to them
 * @host: a host from a file, with its events and threads
 *
 * Returns: 0 or a negative errno.
 */
int host_vms_group(struct host *host)
{
	int ret = group_by_event(host);

	if (!ret)
		ret = group_by_guest_option(host);
	if (!ret)
		ret = adopt_threads(host);
	return ret ? ret : group_by_threads(host);
}

static ORDER_BY(compare_losses, struct lost_range, to)

/**
 * host_vms_sort_losses - sort losses by their ends, as needed for marking them
 * @host: a host being read
 */
void host_vms_sort_losses(struct host *host)
{
	uint64_t earliest = UINT64_MAX;

	array_sort(host->lost, host->nr_lost, compare_losses);
	for (size_t i = host->nr_lost; i--;) {
		if (host->lost[i].from < earliest)
			earliest = host->lost[i].from;
		host->lost[i].earliest = earliest;
	}
}

/* Returns: index of the first loss that ends after a time; the number of losses if all have ended by then */
static size_t first_loss_after(const struct host *host, uint64_t time)
{
	return first_where(i, host->nr_lost, host->lost[i].to > time);
}

/*
 * Events of other CPUs may lie inside the time of a loss, with losses before and after each of them. A segment is
 * therefore doubtful if a loss begins before it and ends after the segment before it.
 */
static void mark_losses(const struct host *host, struct vcpu_history *vcpu)
{
	for (size_t i = 0; i <= vcpu->nr_segments; i++) {
		size_t loss = i ? first_loss_after(host, vcpu->segments[i - 1].host_tsc) : 0;

		if (loss == host->nr_lost)
			return;
		if (i == vcpu->nr_segments)
			vcpu->lost_after = true;
		else if (host->lost[loss].earliest < vcpu->segments[i].host_tsc)
			vcpu->segments[i].lost_before = true;
	}
}

static ORDER_NUMBERS(compare_ids, uint32_t)

/**
 * host_vm_add_vcpus - give each vCPU of a VM's threads a history
 * @host: a host
 * @vm: the VM
 *
 * The history of a vCPU without events is empty.
 *
 * Returns: 0 or -ENOMEM.
 */
int host_vm_add_vcpus(const struct host *host, struct host_vm *vm)
{
	_cleanup_(freep) uint32_t *ids = calloc(vm->nr_threads + 1, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < vm->nr_threads; i++)
		ids[i] = vm->threads[i].vcpu_id;
	/* Adding them in the order of their ids is fast */
	array_sort(ids, vm->nr_threads, compare_ids);
	for (size_t i = 0; i < vm->nr_threads; i++) {
		if (!vm_history_vcpu(&vm->history, ids[i]))
			return -ENOMEM;
	}
	for (size_t i = 0; i < vm->nr_threads; i++) {
		struct vcpu_history *vcpu = vm_history_vcpu(&vm->history, vm->threads[i].vcpu_id);

		if (!vm->threads[i].entries)
			continue;
		vcpu->entries_from = host->modes_from;
		if (!vcpu->first_entry || vm->threads[i].first < vcpu->first_entry)
			vcpu->first_entry = vm->threads[i].first;
	}
	return 0;
}

/**
 * host_vms_mark_losses - mark lost events in a VM's history
 * @host: a host with its losses
 * @vm: the VM, with its history
 */
void host_vms_mark_losses(const struct host *host, struct host_vm *vm)
{
	for (size_t i = 0; i < vm->history.nr_vcpus; i++)
		mark_losses(host, &vm->history.vcpus[i]);
}

static struct host_vm *vm_of_event(struct host *host, const struct tsc_offset_event *event)
{
	struct host_vm *vm = host_vms_by_name(host, event->vm_pid, event->vm_fd, event->vm_life);

	/* It got the name of another that has ended since */
	if (vm && event->vm_id && vm->vm_id && vm->vm_id != event->vm_id)
		return NULL;
	return vm || event->vm_pid ? vm : host_vms_of_thread(host, event->tid);
}

static const struct tsc_segment *last_segment(struct host_vm *vm, uint32_t vcpu_id)
{
	const struct vcpu_history *vcpu = vm_history_vcpu(&vm->history, vcpu_id);

	return vcpu && vcpu->nr_segments ? &vcpu->segments[vcpu->nr_segments - 1] : NULL;
}

/* The constant that is added to the host's TSC in an epoch, in cycles of the guest */
static uint64_t guest_cycles(const struct host *host, size_t epoch, const struct tsc_offset_event *event)
{
	struct tsc_mapping map = { .ratio = event->ratio, .frac_bits = event->frac_bits };

	return tsc_guest_from_host(&map, host->clock.added[epoch]);
}

/*
 * The time of a host that slept does not go back here, and offsets are converted accordingly. KVM detects that its TSC
 * went back before a vCPU runs again, and writes an offset with which the guest's TSC continues. This counts from the
 * wake-up.
 */
static struct tsc_offset_event in_epoch(const struct host *host, struct host_vm *vm,
					const struct tsc_offset_event *event)
{
	size_t epoch = host_clock_epoch(&host->clock, event->host_tsc), before;
	struct tsc_offset_event result = *event;
	const struct tsc_segment *last;

	if (!host_clock_went_back(&host->clock))
		return result;
	last = last_segment(vm, event->vcpu_id);
	before = last ? host_clock_epoch(&host->clock, last->host_tsc) : epoch ? epoch - 1 : 0;
	/* Another change before it was lost */
	if (last && (uint64_t)last->map.offset + guest_cycles(host, before, event) != (uint64_t)event->previous)
		before = epoch;
	if (before < epoch)
		result.host_tsc = host_clock_begin(&host->clock, epoch);
	/* Offsets wrap around, like the kernel's */
	result.previous = (int64_t)((uint64_t)result.previous - guest_cycles(host, before, event));
	result.next = (int64_t)((uint64_t)result.next - guest_cycles(host, epoch, event));
	return result;
}

static int check_vcpus(struct host *host, const struct host_vm *vm)
{
	if (vm->history.nr_vcpus <= MAX_VCPUS)
		return 0;
	return trace_dat_refuse(host->dat, -E2BIG, "VM %s has %zu vCPUs, KVM has at most %u", vm->name,
			      vm->history.nr_vcpus, MAX_VCPUS);
}

/**
 * host_vms_build_histories - build the histories of all VMs from the events
 * @host: a host with its events, losses, VMs and threads
 *
 * Returns: 0 or a negative errno.
 */
int host_vms_build_histories(struct host *host)
{
	int ret = 0;

	for (size_t i = 0; i < host->nr_vms && !ret; i++) {
		ret = host_vm_add_vcpus(host, &host->vms[i]);
		if (!ret)
			ret = check_vcpus(host, &host->vms[i]);
	}
	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		struct host_vm *vm = vm_of_event(host, &host->events[i]);

		struct tsc_offset_event event;

		if (!vm)
			continue;
		event = in_epoch(host, vm, &host->events[i]);
		ret = vm_history_add(&vm->history, &event);
	}
	for (size_t i = 0; i < host->nr_vms && !ret; i++)
		host_vms_mark_losses(host, &host->vms[i]);
	return ret;
}

/* Convert a segment's times and offsets into the kernel's; @before: the epoch of the previous offset */
static void use_tsc(const struct host_clock *clock, struct tsc_segment *segment, size_t before)
{
	struct tsc_mapping map = { .ratio = segment->map.ratio, .frac_bits = segment->map.frac_bits };
	size_t epoch = host_clock_epoch(clock, segment->host_tsc);

	segment->map.offset =
		(int64_t)((uint64_t)segment->map.offset + tsc_guest_from_host(&map, clock->added[epoch]));
	segment->previous.offset =
		(int64_t)((uint64_t)segment->previous.offset + tsc_guest_from_host(&map, clock->added[before]));
	segment->host_tsc -= clock->added[epoch];
}

/**
 * host_vms_use_tsc - convert times and offsets back into those that the kernel reported
 * @host: a host; afterwards only for showing it
 *
 * If the host's TSC went back, so do the times of its VMs afterwards.
 */
void host_vms_use_tsc(struct host *host)
{
	const struct host_clock *clock = &host->clock;

	if (!host_clock_went_back(clock))
		return;
	for (size_t vm = 0; vm < host->nr_vms; vm++) {
		for (size_t v = 0; v < host->vms[vm].history.nr_vcpus; v++) {
			struct vcpu_history *vcpu = &host->vms[vm].history.vcpus[v];
			size_t last = 0;

			for (size_t i = 0; i < vcpu->nr_segments; i++) {
				size_t epoch = host_clock_epoch(clock, vcpu->segments[i].host_tsc), before = epoch;

				/* It was moved to the begin of the epoch: see in_epoch() */
				if (epoch && vcpu->segments[i].host_tsc == host_clock_begin(clock, epoch) &&
				    last < epoch)
					before = i ? last : epoch - 1;
				use_tsc(clock, &vcpu->segments[i], before);
				last = epoch;
			}
		}
	}
	for (size_t i = 0; i < host->nr_lost; i++) {
		host->lost[i].from = host_clock_tsc(clock, host->lost[i].from);
		if (host->lost[i].to != UINT64_MAX)
			host->lost[i].to = host_clock_tsc(clock, host->lost[i].to);
	}
	host->first = host_clock_tsc(clock, host->first);
	host->last = host_clock_tsc(clock, host->last);
}

/**
 * host_vm_label - what a VM is called where its guest matters
 * @host: the host
 * @vm: one of its VMs
 *
 * Returns: the name of its guest, or its own if the file has none, or one that another VM has as well; not sanitized.
 */
const char *host_vm_label(const struct host *host, const struct host_vm *vm)
{
	const char *guest = vm->guest_name;

	if (!guest || !*guest)
		return vm->name;
	for (size_t i = 0; i < host->nr_vms; i++) {
		const struct host_vm *other = &host->vms[i];

		if (other != vm &&
		    (!strcmp(other->name, guest) || (other->guest_name && !strcmp(other->guest_name, guest))))
			return vm->name;
	}
	return guest;
}

static void release_vm(struct host_vm *vm)
{
	free(vm->guest_name);
	free(vm->threads);
	free(vm->now);
	vm_history_release(&vm->history);
}

/**
 * host_vms_release - free the VMs
 * @host: a host; without VMs afterwards
 */
void host_vms_release(struct host *host)
{
	for (size_t i = 0; i < host->nr_vms; i++)
		release_vm(&host->vms[i]);
	free(host->vms);
	free(host->owners);
	tdestroy(host->names, free);
	host->vms = NULL;
	host->owners = NULL;
	host->names = NULL;
	host->nr_vms = host->nr_indexed = 0;
}

/**
 * host_vm_thread - find the thread of a vCPU
 * @vm: the VM
 * @vcpu_id: KVM's vcpu_id
 *
 * Returns: its thread id; of several the one with most entries into guest mode; 0 if unknown.
 */
int host_vm_thread(const struct host_vm *vm, uint32_t vcpu_id)
{
	const struct host_thread *best = NULL;

	for (size_t i = 0; i < vm->nr_threads; i++) {
		const struct host_thread *thread = &vm->threads[i];

		if (thread->vcpu_id == vcpu_id && (!best || thread->entries > best->entries))
			best = thread;
	}
	return best ? best->tid : 0;
}
