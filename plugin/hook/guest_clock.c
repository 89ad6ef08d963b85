// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <tracefs.h>

#include "array.h"
#include "boot_instance.h"
#include "cleanup.h"
#include "current_offsets.h"
#include "guest_clock.h"
#include "guest_probe.h"
#include "guest_threads.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "record_instance.h"
#include "time_shift.h"
#include "vm_process.h"

/* How often the buffer is emptied; what it holds is said in record_instance.c */
#define DRAIN_INTERVAL_NS	(100 * 1000 * 1000)
/* The last sync points lie this far ahead, so that a guest that runs on stays on the line: some seconds */
#define HOST_TSC_AHEAD		(1ULL << 34)

/* How many backward jumps of a vCPU are worth a line each */
#define MAX_JUMPS		5
/*
 * A guest can change its TSC at any rate, and all CPUs get as many sync points as the one with most, including those
 * that only its agent reports. This is the limit for all CPUs together: 96 MiB in the guest's file, and less than half
 * a GiB of memory, in which there are several copies.
 */
#define MAX_POINTS		(3 << 20)
/* Two for each change, and two more at the begin and at the end */
#define POINTS_OF_CHANGE		2
#define POINTS_OF_ENDS		4
#define MAX_CHANGES		(MAX_POINTS / POINTS_OF_CHANGE)
/* With room for fewer changes of each CPU the guest is refused */
#define MIN_CHANGES		32
/* Events among them; the rest is for what is polled after that */
#define MAX_EVENTS(changes)	((changes) - (changes) / 8)

/**
 * struct vcpu_use - what became of a vCPU's initial offset and events
 * @guessed: neither its own events nor anything else reported the offset when sync points were made
 * @in_points: events of the vCPU that went into the last sync points
 */
struct vcpu_use {
	bool	guessed;
	size_t	in_points;
};

/**
 * struct guest_clock - a guest that is being watched
 * @pid: process of its VMM
 * @nr_cpus: CPUs that the guest has configured
 * @nr_vcpus: vCPUs that are of a CPU; CPUs after the first so many were plugged in later, or are not there
 * @nr_seen: vCPUs that the host shows; those after the first @nr_vcpus are of no CPU
 * @max_changes: how many of a vCPU are kept
 * @host_from: host TSC, in cycles, at which watching began
 * @debugfs: the VM there; without a path: it is not there
 * @lock: for all that follows
 * @instance: where the events come from; without a directory: offsets are polled instead
 * @initial: the initial offset of each vCPU, by the guest's number of the CPU; @nr_seen of them
 * @uses: by the same number
 * @probes: what the guest's TSC was on a CPU; @nr_cpus of them
 * @misfits: how many CPUs have probes that fit no vCPU
 * @misfit: one of them
 * @history: the events
 * @nr_changes: how many of them, and of those that were polled, were taken up
 * @batch: the events of one drain
 * @nr_batch: how many
 * @batch_capacity: how many fit
 * @threads: which are the guest's
 * @lost: the ring buffer dropped events
 * @error: why the events are not read any more: offsets are polled since then
 * @full: even polled changes are too many; they are dropped since then
 * @points_error: why the last sync points are not made from all that is known
 * @drainer: empties the buffer from time to time
 * @wake: ends the drainer's sleep
 * @draining: the drainer runs
 * @stop: it shall end
 */
struct guest_clock {
	pid_t			pid;
	size_t			nr_cpus;
	size_t			nr_vcpus;
	size_t			nr_seen;
	size_t			max_changes;
	uint64_t		host_from;
	struct kvm_debugfs_vm	debugfs;

	pthread_mutex_t		lock;
	struct record_instance	instance;
	struct current_offset	*initial;
	struct vcpu_use		*uses;
	struct guest_probes	*probes;
	size_t			misfits;
	size_t			misfit;
	struct vm_history	history;
	size_t			nr_changes;
	struct tsc_offset_event	*batch;
	size_t			nr_batch;
	size_t			batch_capacity;
	struct guest_threads	threads;
	bool			lost;
	int			error;
	bool			full;
	int			points_error;

	pthread_t		drainer;
	pthread_cond_t		wake;
	bool			draining;
	bool			stop;
};

/* A patched kernel's events name the VM as debugfs does, whichever thread wrote them */
static bool is_guest_event(struct guest_clock *clock, const struct tsc_offset_event *event)
{
	if (event->vm_pid && event->vm_fd >= 0 && clock->debugfs.path)
		return event->vm_pid == clock->debugfs.creator && event->vm_fd == clock->debugfs.fd;
	return guest_threads_has(&clock->threads, event->tid);
}

static int take_event(const struct tsc_offset_event *event, void *context)
{
	struct guest_clock *clock = context;

	if (!is_guest_event(clock, event))
		return 0;
	/* More cannot be kept */
	if (clock->nr_changes + clock->nr_batch > MAX_EVENTS(MAX_CHANGES))
		return -E2BIG;
	if (array_reserve(clock->batch, clock->nr_batch, clock->batch_capacity))
		return -ENOMEM;
	clock->batch[clock->nr_batch++] = *event;
	return 0;
}

static ssize_t cpu_of(const struct guest_clock *clock, uint32_t vcpu_id)
{
	for (size_t cpu = 0; cpu < clock->nr_seen; cpu++) {
		if (clock->initial[cpu].vcpu_id == vcpu_id)
			return cpu;
	}
	return -1;
}

static int add_event(struct guest_clock *clock, struct tsc_offset_event *event)
{
	ssize_t cpu = cpu_of(clock, event->vcpu_id);
	const struct vcpu_history *vcpu = vm_history_vcpu(&clock->history, event->vcpu_id);

	if (!vcpu)
		return -ENOMEM;
	if (clock->nr_changes >= MAX_EVENTS(MAX_CHANGES) || vcpu->nr_segments >= MAX_EVENTS(clock->max_changes))
		return -E2BIG;
	clock->nr_changes++;
	/* A kernel whose event does not tell the scaling has it in debugfs; it seldom changes */
	if (!clock->instance.formats.offset.ratio && cpu >= 0) {
		event->ratio = clock->initial[cpu].map.ratio;
		event->previous_ratio = event->ratio;
		event->frac_bits = clock->initial[cpu].map.frac_bits;
	}
	return vm_history_add(&clock->history, event);
}

/* Consume what the buffer holds; called with the lock */
static void drain(struct guest_clock *clock)
{
	int ret;

	if (!clock->instance.dir || clock->error)
		return;
	clock->nr_batch = 0;
	guest_threads_look(&clock->threads);
	clock->error = record_instance_drain(&clock->instance, take_event, clock, &clock->lost);
	/* CPU by CPU is how they come; a vCPU that migrated has some in several */
	if (clock->nr_batch)
		qsort(clock->batch, clock->nr_batch, sizeof(*clock->batch),
		      tsc_offset_event_compare);
	for (size_t i = 0; i < clock->nr_batch; i++) {
		ret = add_event(clock, &clock->batch[i]);
		if (ret && !clock->error)
			clock->error = ret;
	}
	if (clock->error)
		message("guest pid %d: cannot continue reading offset changes (%s): offsets are polled at each synchronisation instead",
			clock->pid, clock->error == -E2BIG ? "there are too many" : strerror(-clock->error));
}

/* For want of events: a change is seen when it is looked for; called with the lock */
static void poll_debugfs(struct guest_clock *clock)
{
	for (size_t cpu = 0; cpu < clock->nr_seen && clock->debugfs.path; cpu++) {
		struct vcpu_history *vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);
		uint64_t host_tsc = __rdtsc();
		struct tsc_mapping map, last;

		if (!vcpu || !clock->initial[cpu].offset_known ||
		    kvm_debugfs_l1(&clock->debugfs, vcpu->vcpu_id, &map))
			continue;
		last = vcpu->nr_segments ? vcpu->segments[vcpu->nr_segments - 1].map :
					   clock->initial[cpu].map;
		if (tsc_mapping_equal(&map, &last))
			continue;
		if (clock->nr_changes >= MAX_CHANGES || vcpu->nr_segments >= clock->max_changes) {
			if (!clock->full)
				message("guest pid %d: too many offset changes; later changes are ignored and later timestamps will be wrong",
					clock->pid);
			clock->full = true;
			continue;
		}
		clock->nr_changes++;
		vcpu_history_add(vcpu, host_tsc, &map, &last);
	}
}

/* Read in debugfs what it did not show before; called with the lock */
static void complete_initial_offsets(struct guest_clock *clock)
{
	for (size_t cpu = 0; cpu < clock->nr_seen && clock->debugfs.path; cpu++) {
		struct current_offset *initial = &clock->initial[cpu];
		bool known = initial->scaling_known;
		size_t vcpu;

		current_offsets_complete(initial, 1, &clock->debugfs);
		vcpu = vm_history_find(&clock->history, initial->vcpu_id);
		/* Events that came before it was known do not report it */
		if (initial->scaling_known && !known && vcpu < clock->history.nr_vcpus)
			vcpu_history_set_scaling(&clock->history.vcpus[vcpu], &initial->map);
	}
}

static void *drain_thread(void *context)
{
	struct guest_clock *clock = context;
	struct timespec until;

	pthread_mutex_lock(&clock->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	while (!clock->stop) {
		until.tv_nsec += DRAIN_INTERVAL_NS;
		if (until.tv_nsec >= 1000 * 1000 * 1000) {
			until.tv_sec++;
			until.tv_nsec -= 1000 * 1000 * 1000;
		}
		while (!clock->stop &&
		       !pthread_cond_timedwait(&clock->wake, &clock->lock, &until))
			;
		drain(clock);
		complete_initial_offsets(clock);
	}
	pthread_mutex_unlock(&clock->lock);
	return NULL;
}

static int start_drainer(struct guest_clock *clock)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int ret;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&clock->wake, &attr);
	pthread_condattr_destroy(&attr);

	/* Signals are for trace-cmd's threads */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&clock->drainer, NULL, drain_thread, clock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	clock->draining = !ret;
	return -ret;
}

/*
 * Which of KVM's vCPUs is which CPU of the guest: both count in the order of the vcpu_id. A guest that is
 * made for more CPUs than it has been given numbers those that it has first.
 */
static int find_vcpus(struct guest_clock *clock, const struct vm_history *boot)
{
	size_t found = clock->debugfs.path ? clock->debugfs.nr_vcpus : boot->nr_vcpus;

	if (!found) {
		message("guest pid %d: neither debugfs nor the instance " BOOT_INSTANCE
			" shows its vCPUs", clock->pid);
		return -ENODATA;
	}
	if (found > clock->nr_cpus)
		message("guest pid %d has %zu CPUs and %zu vCPUs: the vCPUs after the first %zu are assumed to be unused",
			clock->pid, clock->nr_cpus, found, clock->nr_cpus);
	clock->nr_vcpus = found < clock->nr_cpus ? found : clock->nr_cpus;
	clock->nr_seen = found;
	clock->uses = calloc(found, sizeof(*clock->uses));
	clock->probes = calloc(clock->nr_cpus, sizeof(*clock->probes));
	if (!clock->debugfs.path)
		clock->initial = calloc(found, sizeof(*clock->initial));
	if (!clock->initial || !clock->uses || !clock->probes)
		return -ENOMEM;
	for (size_t i = 0; i < boot->nr_vcpus && !clock->debugfs.path; i++)
		clock->initial[i].vcpu_id = boot->vcpus[i].vcpu_id;
	return 0;
}

static void settle(struct guest_clock *clock, const struct vcpu_history *boot, struct current_offset *offset)
{
	int64_t shown = offset->map.offset;

	if (!current_offset_settle(offset, boot))
		message("guest pid %d: vCPU %u: the instance " BOOT_INSTANCE " says offset %" PRId64 ", debugfs says %" PRId64 ": using the instance's",
			clock->pid, offset->vcpu_id, offset->map.offset, shown);
}

/* Then neither events nor debugfs tell what the guest has */
static bool has_protected_tsc(const struct guest_clock *clock, const struct vm_history *boot)
{
	for (size_t cpu = 0; cpu < clock->nr_vcpus && clock->debugfs.path; cpu++) {
		if (kvm_debugfs_tsc_protected(&clock->debugfs, clock->initial[cpu].vcpu_id))
			return true;
	}
	for (size_t i = 0; i < boot->nr_vcpus; i++) {
		if (boot->vcpus[i].tsc_protected)
			return true;
	}
	return false;
}

static int read_initial_offsets(struct guest_clock *clock)
{
	struct vm_history boot = { .vm = clock->pid };
	int ret = clock->debugfs.path ? current_offsets_read(&clock->initial, &clock->debugfs) : 0;

	if (ret)
		return ret;
	boot_instance_history(&boot, &clock->debugfs);
	ret = find_vcpus(clock, &boot);
	if (!ret && has_protected_tsc(clock, &boot))
		ret = -EOPNOTSUPP;
	for (size_t i = 0; i < clock->nr_seen && !ret; i++) {
		size_t vcpu = vm_history_find(&boot, clock->initial[i].vcpu_id);

		if (vcpu < boot.nr_vcpus)
			settle(clock, &boot.vcpus[vcpu], &clock->initial[i]);
	}
	vm_history_release(&boot);
	return ret;
}

/* Returns: 0 also without it: the boot-time instance may do */
static int find_debugfs(struct guest_clock *clock)
{
	const char *dir = tracefs_debug_dir();
	_cleanup_(freep) char *kvm_dir = NULL;
	int ret = -ENOENT;

	if (dir && asprintf(&kvm_dir, "%s/kvm", dir) >= 0)
		ret = kvm_debugfs_open(&clock->debugfs, kvm_dir, clock->pid);
	if (ret != -EEXIST && (!ret || vm_process_nr_vms(clock->pid) <= 1))
		return 0;
	message("guest pid %d runs several VMs: unknown which one is the guest", clock->pid);
	return -EEXIST;
}

static void open_instance(struct guest_clock *clock, unsigned int number)
{
	char name[64];
	int ret;

	snprintf(name, sizeof(name), RECORD_INSTANCE_PREFIX "%d-%u", getpid(), number);
	ret = record_instance_open(&clock->instance, name);
	if (!ret)
		return;
	clock->error = ret;
	message("guest pid %d: no tracefs instance for offset changes (%s): offsets are polled at each synchronisation instead",
		clock->pid, strerror(-ret));
}

static void clock_free(struct guest_clock *clock)
{
	kvm_debugfs_close(&clock->debugfs);
	vm_history_release(&clock->history);
	free(clock->initial);
	free(clock->uses);
	free(clock->probes);
	free(clock->batch);
	guest_threads_close(&clock->threads);
	free(clock);
}

/**
 * guest_clock_open - begin to watch a guest's TSC
 * @result: close with guest_clock_close()
 * @pid: process of the guest's VMM
 * @nr_cpus: CPUs that the guest has configured
 * @number: of this guest in this process: tells the tracefs instances of several guests apart
 *
 * Returns: 0, -EOPNOTSUPP if the guest's TSC is protected, so that the host cannot read it, -E2BIG if it has more
 * CPUs than there is room for, or another negative errno. Where only the events are missing, the offsets are polled
 * instead, and a message says so.
 */
int guest_clock_open(struct guest_clock **result, pid_t pid, size_t nr_cpus, unsigned int number)
{
	struct guest_clock *clock = calloc(1, sizeof(*clock));
	int ret = -ENOMEM;

	if (!clock)
		return ret;
	if (!nr_cpus || MAX_POINTS / nr_cpus < POINTS_OF_CHANGE * MIN_CHANGES + POINTS_OF_ENDS) {
		free(clock);
		return -E2BIG;
	}
	clock->pid = pid;
	clock->nr_cpus = nr_cpus;
	clock->max_changes = (MAX_POINTS / nr_cpus - POINTS_OF_ENDS) / POINTS_OF_CHANGE;
	clock->history.vm = pid;
	clock->host_from = __rdtsc();
	pthread_mutex_init(&clock->lock, NULL);
	guest_threads_open(&clock->threads, pid);
	ret = find_debugfs(clock);
	if (ret)
		goto error;
	/* Events first, values second: no change can fall between */
	open_instance(clock, number);
	ret = read_initial_offsets(clock);
	if (!ret && !clock->error)
		ret = start_drainer(clock);
	if (!ret) {
		*result = clock;
		return 0;
	}
	record_instance_close(&clock->instance);
error:
	clock_free(clock);
	return ret;
}

/* Take the news; called with the lock */
static void update(struct guest_clock *clock)
{
	drain(clock);
	if (clock->error)
		poll_debugfs(clock);
}

/**
 * guest_clock_offset - the offset of a vCPU as far as is known
 * @clock: open
 * @cpu: the guest's number of the vCPU
 *
 * Returns: the L1 offset in guest cycles, 0 if it is not known.
 */
int64_t guest_clock_offset(struct guest_clock *clock, size_t cpu)
{
	struct vcpu_history *vcpu;
	int64_t offset;

	if (cpu >= clock->nr_vcpus)
		return 0;
	pthread_mutex_lock(&clock->lock);
	vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);
	offset = vcpu && vcpu->nr_segments ? vcpu->segments[vcpu->nr_segments - 1].map.offset :
					     clock->initial[cpu].map.offset;
	pthread_mutex_unlock(&clock->lock);
	return offset;
}

/* KVM gives the vCPUs of a VM the same offset unless somebody moves one: so another's is a good guess */
static void guess_offset(const struct guest_clock *clock, const struct vcpu_history *vcpu,
			 struct tsc_mapping *map)
{
	if (vcpu->nr_segments) {
		map->offset = vcpu->segments[0].map.offset;
		return;
	}
	for (size_t cpu = 0; cpu < clock->nr_vcpus; cpu++) {
		if (clock->initial[cpu].offset_known) {
			map->offset = clock->initial[cpu].map.offset;
			return;
		}
	}
	if (clock->debugfs.path)
		kvm_debugfs_active(&clock->debugfs, vcpu->vcpu_id, map);
}

/*
 * What held before the first event. A value that was read after that event is the event's doing, not
 * what it changed; then the event itself tells. Of a vCPU that runs a guest of its own all the time, or
 * without debugfs, nothing may be known: the recording is worth more with a value that may be off, and
 * with a message, than without any.
 */
static void apply_initial_offset(struct guest_clock *clock, size_t cpu, struct vcpu_history *vcpu)
{
	const struct current_offset *initial = &clock->initial[cpu];
	struct tsc_mapping map = initial->map;

	clock->uses[cpu].guessed = false;
	if (initial->offset_known &&
	    (!vcpu->nr_segments || vcpu->segments[0].host_tsc > initial->host_tsc)) {
		vcpu_history_set_initial(vcpu, &map);
		return;
	}
	vcpu->initial_known = false;
	if (vcpu_history_before(vcpu, 0, &map))
		return;
	map = initial->map;
	guess_offset(clock, vcpu, &map);
	vcpu_history_set_initial(vcpu, &map);
	clock->uses[cpu].guessed = true;
}

/* Without what cannot be expressed: as if nothing had ever changed. Stock trace-cmd does no better. */
static int build_flat(struct time_shift *shift, const struct vcpu_history **vcpus, size_t nr_cpus,
		      uint64_t host_from)
{
	_cleanup_(freep) struct vcpu_history *flat = calloc(nr_cpus, sizeof(*flat));

	if (!flat)
		return -ENOMEM;
	for (size_t cpu = 0; cpu < nr_cpus; cpu++) {
		vcpu_history_at(vcpus[cpu], host_from, &flat[cpu].initial);
		flat[cpu].initial_known = true;
		vcpus[cpu] = &flat[cpu];
	}
	return time_shift_build(shift, vcpus, nr_cpus, host_from, host_from + 1);
}

/*
 * CPUs that KVM does not seem to have: they have a place in the option all the same. A CPU that is plugged in later
 * usually gets the current offset of the others, so the first vCPU's last mapping is used for them.
 */
static void make_absent(struct vcpu_history *absent, const struct vcpu_history *first)
{
	*absent = (struct vcpu_history) { .initial_known = true };
	vcpu_history_at(first, UINT64_MAX, &absent->initial);
	if (first->nr_segments)
		absent->begins = first->segments[first->nr_segments - 1].host_tsc;
}

/**
 * guest_clock_probe - take the guest's word for what its TSC was
 * @clock: open
 * @cpu: the guest's number of the CPU
 * @probe: what it said, and when
 *
 * What follows from it is seen with the next guest_clock_time_shift().
 */
void guest_clock_probe(struct guest_clock *clock, size_t cpu, const struct guest_probe *probe)
{
	pthread_mutex_lock(&clock->lock);
	if (cpu < clock->nr_cpus)
		guest_probes_add(&clock->probes[cpu], probe);
	pthread_mutex_unlock(&clock->lock);
}

/* Do the probes of a CPU fit the vCPU that is number @vcpu? What is not known of that contradicts nothing. */
static bool probes_fit(struct guest_clock *clock, size_t cpu, size_t vcpu)
{
	return cpu >= clock->nr_vcpus || clock->uses[vcpu].guessed ||
	       guest_probes_fit(&clock->probes[cpu], vm_history_vcpu(&clock->history, clock->initial[vcpu].vcpu_id),
				!clock->error);
}

static void exchange_vcpus(struct guest_clock *clock, size_t a, size_t b)
{
	struct current_offset initial = clock->initial[a];
	struct vcpu_use use = clock->uses[a];

	clock->initial[a] = clock->initial[b];
	clock->uses[a] = clock->uses[b];
	clock->initial[b] = initial;
	clock->uses[b] = use;
}

/* Give a CPU a vCPU that is of no CPU, or that of another one whose answers contradict it as well */
static bool find_vcpu(struct guest_clock *clock, size_t cpu)
{
	for (size_t other = 0; other < clock->nr_seen; other++) {
		if (other == cpu || clock->uses[other].guessed || !probes_fit(clock, cpu, other) ||
		    (other < clock->nr_vcpus && probes_fit(clock, other, other)))
			continue;
		exchange_vcpus(clock, cpu, other);
		message("guest pid %d: CPU %zu is vCPU %u: its TSC was that one's when it answered, and not vCPU %u's",
			clock->pid, cpu, clock->initial[cpu].vcpu_id, clock->initial[other].vcpu_id);
		return true;
	}
	return false;
}

/*
 * Are the CPUs the vCPUs that they were taken for? A guest numbers its CPUs as they come, so that after hot-plug the
 * order may be another one. Where changes were lost nothing is known for certain. Called with the lock.
 */
static void judge_probes(struct guest_clock *clock)
{
	clock->misfits = 0;
	for (size_t cpu = 0; cpu < clock->nr_vcpus && !clock->lost; cpu++) {
		if (probes_fit(clock, cpu, cpu) || find_vcpu(clock, cpu) ||
		    !guest_probes_contradict(&clock->probes[cpu],
					     vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id), !clock->error))
			continue;
		clock->misfit = cpu;
		clock->misfits++;
	}
}

/*
 * Which vCPU a CPU is that KVM does not seem to have. Guests leave out numbers of CPUs: then it is there, and another
 * one is not, the agent of which answers on any CPU. So its last answer decides, and other CPUs keep their vCPUs.
 * Called with the lock, after judge_probes().
 */
static const struct vcpu_history *absent_vcpu(struct guest_clock *clock, size_t cpu, const struct vcpu_history *absent)
{
	const struct guest_probes last = guest_probes_last(&clock->probes[cpu]);
	bool unknown = false;

	if (clock->lost || guest_probes_fit(&last, absent, true))
		return absent;
	for (size_t vcpu = 0; vcpu < clock->nr_seen; vcpu++) {
		const struct vcpu_history *history = vm_history_vcpu(&clock->history, clock->initial[vcpu].vcpu_id);

		unknown |= clock->uses[vcpu].guessed;
		if (!clock->uses[vcpu].guessed && guest_probes_fit(&last, history, !clock->error))
			return history;
	}
	if (!unknown) {
		clock->misfit = cpu;
		clock->misfits++;
	}
	return absent;
}

/**
 * guest_clock_time_shift - all that is known by now, as sync points
 * @clock: open
 * @shift: result; release with time_shift_release()
 *
 * Returns: 0 or a negative errno.
 */
int guest_clock_time_shift(struct guest_clock *clock, struct time_shift *shift)
{
	_cleanup_(freep) const struct vcpu_history **vcpus =
		calloc(clock->nr_cpus, sizeof(*vcpus));
	struct vcpu_history absent;
	int ret = -ENOMEM;
	size_t cpu;

	*shift = (struct time_shift) { 0 };
	if (!vcpus)
		return ret;
	pthread_mutex_lock(&clock->lock);
	update(clock);
	/* Made first, pointed to second: making one moves the others */
	for (cpu = 0; cpu < clock->nr_seen; cpu++) {
		if (!vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id))
			goto out;
	}
	for (cpu = 0; cpu < clock->nr_seen; cpu++)
		apply_initial_offset(clock, cpu, vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id));
	judge_probes(clock);
	for (cpu = 0; cpu < clock->nr_vcpus; cpu++) {
		struct vcpu_history *vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);

		clock->uses[cpu].in_points = vcpu->nr_segments;
		vcpus[cpu] = vcpu;
	}
	make_absent(&absent, vcpus[0]);
	for (; cpu < clock->nr_cpus; cpu++)
		vcpus[cpu] = absent_vcpu(clock, cpu, &absent);
	ret = time_shift_build(shift, vcpus, clock->nr_cpus, clock->host_from,
			       __rdtsc() + HOST_TSC_AHEAD);
	clock->points_error = ret;
	for (cpu = clock->nr_vcpus; ret && cpu < clock->nr_cpus; cpu++)
		vcpus[cpu] = vcpus[0];
	if (ret)
		ret = build_flat(shift, vcpus, clock->nr_cpus, clock->host_from);
out:
	pthread_mutex_unlock(&clock->lock);
	return ret;
}

/**
 * guest_clock_forked - in a child that does not exec: let go of what would keep the instance alive
 * @clock: open in the parent
 */
void guest_clock_forked(struct guest_clock *clock)
{
	record_instance_close_fds(&clock->instance);
}

static void stop_watching(struct guest_clock *clock)
{
	if (!clock->draining)
		return;
	pthread_mutex_lock(&clock->lock);
	clock->stop = true;
	pthread_cond_signal(&clock->wake);
	pthread_mutex_unlock(&clock->lock);
	pthread_join(clock->drainer, NULL);
	clock->draining = false;
}

/* Does debugfs contradict the last event? Both may change while one looks: then there is no answer. */
static bool contradicted(struct guest_clock *clock, size_t cpu, struct tsc_mapping *last,
			 struct tsc_mapping *now)
{
	struct vcpu_history *vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);
	size_t nr_segments = vcpu->nr_segments;

	if (!clock->debugfs.path || kvm_debugfs_l1(&clock->debugfs, vcpu->vcpu_id, now))
		return false;
	drain(clock);
	vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);
	return vcpu->nr_segments == nr_segments && !vcpu_history_previous_unreported(vcpu) &&
	       vcpu_history_at(vcpu, UINT64_MAX, last) && last->offset != now->offset;
}

/* Say what a reader of the trace has to know of one vCPU; returns how much that was */
static int review_vcpu(struct guest_clock *clock, size_t cpu)
{
	struct vcpu_history *vcpu = vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id);
	const struct vcpu_use *use = &clock->uses[cpu];
	struct tsc_mapping last, now;
	size_t gaps = 0, jumps = 0, late;
	uint64_t from, to;
	int doubts = 0;

	if (use->guessed && ++doubts)
		message("guest pid %d: vCPU %u: initial offset unknown, assuming %" PRId64 ": times before its first change may be wrong",
			clock->pid, vcpu->vcpu_id, vcpu->initial.offset);
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		gaps += vcpu_history_gap(vcpu, i);
		if (vcpu_history_backward(vcpu, i, &from, &to) && ++doubts && ++jumps <= MAX_JUMPS)
			message("guest pid %d: vCPU %u: its TSC moved backward: guest times from %"
				PRIu64 " to %" PRIu64 " are ambiguous", clock->pid, vcpu->vcpu_id,
				from, to);
	}
	if (jumps > MAX_JUMPS)
		message("guest pid %d: vCPU %u: and %zu more times", clock->pid, vcpu->vcpu_id,
			jumps - MAX_JUMPS);
	if (gaps && ++doubts)
		message("guest pid %d: vCPU %u: history incomplete, changes were lost in %zu places",
			clock->pid, vcpu->vcpu_id, gaps);
	late = vcpu->nr_segments - use->in_points;
	if (late && ++doubts)
		message("guest pid %d: vCPU %u: %zu changes came after the last synchronisation; later events of the guest have wrong times",
			clock->pid, vcpu->vcpu_id, late);
	if (contradicted(clock, cpu, &last, &now) && ++doubts)
		message("guest pid %d: vCPU %u: the last event left offset %" PRId64 ", debugfs says %"
			PRId64, clock->pid, vcpu->vcpu_id, last.offset, now.offset);
	return doubts;
}

static void review(struct guest_clock *clock)
{
	size_t changes = 0, unscaled = 0;
	int doubts = 0;

	drain(clock);
	for (size_t cpu = 0; cpu < clock->nr_vcpus; cpu++) {
		if (!vm_history_vcpu(&clock->history, clock->initial[cpu].vcpu_id))
			return;
		doubts += review_vcpu(clock, cpu);
		changes += clock->uses[cpu].in_points;
		unscaled += !clock->initial[cpu].scaling_known;
	}
	if (unscaled && ++doubts)
		message("guest pid %d: unknown whether its TSC is scaled, assuming 1:1 for %zu vCPUs", clock->pid,
			unscaled);
	if (clock->nr_vcpus < clock->nr_cpus && clock->history.nr_vcpus > clock->nr_vcpus && ++doubts)
		message("guest pid %d got new vCPUs while it was recorded: their times are wrong",
			clock->pid);
	if (clock->misfits && ++doubts)
		message("guest pid %d: CPU %zu%s answered with a time that the TSC of no vCPU had then; its times are wrong",
			clock->pid, clock->misfit, clock->misfits > 1 ? " (and others)" : "");
	if (clock->lost && ++doubts)
		message("guest pid %d: the host's ring buffer lost events%s", clock->pid,
			doubts > 1 ? "" : "; what is left is without a gap");
	if (clock->points_error && ++doubts)
		message("guest pid %d: its times cannot be expressed (%s): only the initial offsets are used",
			clock->pid,
			clock->points_error == -E2BIG ? "there are too many" : strerror(-clock->points_error));
	if (!clock->error)
		message("guest pid %d: %zu vCPUs, %zu changes of the TSC offset%s", clock->pid,
			clock->nr_vcpus, changes, doubts ? "; see above" : "");
}

/**
 * guest_clock_close - end, say what was seen, remove the instance
 * @clock: open; freed, and not to be used any more by any thread
 */
void guest_clock_close(struct guest_clock *clock)
{
	stop_watching(clock);
	review(clock);
	if (record_instance_close(&clock->instance))
		message("guest pid %d: the instance %s is still in use and was not removed", clock->pid,
			clock->instance.dir);
	clock_free(clock);
}

/**
 * guest_clock_abandon - at the end of the process: remove the instance, leave all else as it is
 * @clock: open; other threads may still use it
 */
void guest_clock_abandon(struct guest_clock *clock)
{
	stop_watching(clock);
	pthread_mutex_lock(&clock->lock);
	clock->error = -ESHUTDOWN;
	record_instance_close(&clock->instance);
	pthread_mutex_unlock(&clock->lock);
}
