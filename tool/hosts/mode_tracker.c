// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "mode_tracker.h"
#include "order.h"

/* No event is missing */
#define NEVER UINT64_MAX

/* A loss, until one with a higher number and an earlier begin follows: all kept losses after it begin no earlier */
struct loss {
	size_t		number;
	uint64_t	from;
};

/**
 * struct loss_list - losses in reported order
 * @losses: the losses that still matter; owned
 * @nr: number of @losses
 * @capacity: number of losses that fit without growing
 * @nr_reported: number of all losses so far
 * @until: latest end of all
 */
struct loss_list {
	struct loss	*losses;
	size_t		nr;
	size_t		capacity;
	size_t		nr_reported;
	uint64_t	until;
};

/**
 * struct tracked_vcpu - the state of a vCPU
 * @seen: it had an event
 * @mode: its mode
 * @at: host TSC of the event that began this mode
 * @since: first host TSC of this mode
 * @cpu: the CPU on which it entered guest mode
 * @left: host TSC at which another thread had that CPU, if @has_left
 * @has_left: one had, since the vCPU entered
 * @lossy: the host was missing events at @at
 * @lossy_here: @cpu was missing events at @at
 * @losses: number of the host's losses at that time
 * @losses_here: number of the losses of @cpu at that time
 */
struct tracked_vcpu {
	bool		seen;
	enum vcpu_mode	mode;
	uint64_t	at;
	uint64_t	since;
	size_t		cpu;
	uint64_t	left;
	bool		has_left;
	bool		lossy;
	bool		lossy_here;
	size_t		losses;
	size_t		losses_here;
};

/**
 * mode_tracker_init - begin with unknown modes
 * @tracker: result; must be released in any case
 * @nr_vcpus: number of vCPUs
 * @nr_cpus: number of the host's CPUs with events
 * @fast_path: KVM may enter again without kvm_exit
 *
 * Returns: 0 or -ENOMEM.
 */
int mode_tracker_init(struct mode_tracker *tracker, size_t nr_vcpus, size_t nr_cpus, bool fast_path)
{
	*tracker = (struct mode_tracker) {
		.vcpus = calloc(nr_vcpus + 1, sizeof(*tracker->vcpus)), .nr_vcpus = nr_vcpus,
		.losses = calloc(nr_cpus + 1, sizeof(*tracker->losses)), .nr_cpus = nr_cpus,
		.fast_path = fast_path,
	};
	if (!tracker->vcpus || !tracker->losses)
		return -ENOMEM;
	return 0;
}

/**
 * mode_tracker_release - free a tracker
 * @tracker: the tracker, also after a failed init
 */
void mode_tracker_release(struct mode_tracker *tracker)
{
	for (size_t i = 0; tracker->losses && i <= tracker->nr_cpus; i++)
		free(tracker->losses[i].losses);
	free(tracker->losses);
	free(tracker->vcpus);
	*tracker = (struct mode_tracker) { 0 };
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct loss_list *losses_of_host(const struct mode_tracker *tracker)
{
	return &tracker->losses[0];
}

static struct loss_list *losses_of_cpu(const struct mode_tracker *tracker, size_t cpu)
{
	return &tracker->losses[cpu + 1];
}

static int add_loss(struct loss_list *list, uint64_t from, uint64_t to)
{
	while (list->nr && list->losses[list->nr - 1].from >= from)
		list->nr--;
	if (array_reserve(list->losses, list->nr, list->capacity))
		return -ENOMEM;
	list->losses[list->nr++] = (struct loss) { list->nr_reported++, from };
	list->until = later(list->until, to);
	return 0;
}

/* Returns: begin of the first of the losses from @number on, or NEVER */
static uint64_t first_loss(const struct loss_list *list, size_t number)
{
	size_t low = first_where(i, list->nr, list->losses[i].number >= number);

	return low < list->nr ? list->losses[low].from : NEVER;
}

/* Last host TSC for which a vCPU's mode is certain, whatever follows: after it, events are missing */
static uint64_t sure_until(const struct mode_tracker *tracker, const struct tracked_vcpu *v)
{
	return v->lossy ? v->at : first_loss(losses_of_host(tracker), v->losses);
}

/* The same by the losses of only the CPU on which it entered guest mode */
static uint64_t sure_until_here(const struct mode_tracker *tracker, const struct tracked_vcpu *v)
{
	return v->lossy_here ? v->at : first_loss(losses_of_cpu(tracker, v->cpu), v->losses_here);
}

/* An empty span is skipped */
static void put(struct mode_tracker *tracker, uint32_t vcpu, enum vcpu_mode mode, uint64_t from, uint64_t to)
{
	if (from <= to)
		tracker->ready[tracker->nr_ready++] = (struct mode_span) {
			.vcpu = vcpu, .mode = mode, .from = from, .to = to
		};
}

/* A known mode until @sure, then unknown until @to */
static void put_uncertain(struct mode_tracker *tracker, uint32_t vcpu, uint64_t sure, uint64_t to)
{
	const struct tracked_vcpu *v = &tracker->vcpus[vcpu];

	put(tracker, vcpu, v->mode, v->since, earlier(sure, to));
	if (sure < to)
		put(tracker, vcpu, MODE_UNKNOWN, later(sure + 1, v->since), to);
}

/* Did a vCPU certainly leave guest mode before another thread had its CPU, because no event was lost until then? */
static bool surely_left(const struct tracked_vcpu *v, uint64_t sure)
{
	return v->has_left && v->left <= sure;
}

/*
 * A vCPU whose kvm_exit is missing left guest mode at any time since it entered, and before another thread had its CPU.
 * It did not enter again up to @sure, and from there to @to that is not known.
 */
static void put_left(struct mode_tracker *tracker, uint32_t vcpu, uint64_t sure, uint64_t to)
{
	const struct tracked_vcpu *v = &tracker->vcpus[vcpu];
	uint64_t before = earlier(v->left - 1, to);

	put(tracker, vcpu, MODE_GUEST, v->since, v->since);
	put(tracker, vcpu, MODE_UNKNOWN, v->since + 1, before);
	put(tracker, vcpu, MODE_HOST, v->left, earlier(sure, to));
	if (sure < to)
		put(tracker, vcpu, MODE_UNKNOWN, later(sure + 1, v->left), to);
}

/*
 * The time before a vCPU's first event, until @to. If that event is an entry, it was out of guest mode, unless a loss
 * hides its exit.
 */
static void put_beginning(struct mode_tracker *tracker, uint32_t vcpu, uint64_t to, bool entry)
{
	bool known = entry && first_loss(losses_of_host(tracker), 0) == NEVER;

	if (tracker->begin)
		put(tracker, vcpu, MODE_UNKNOWN, 0, earlier(tracker->begin - 1, to));
	put(tracker, vcpu, known ? MODE_HOST : MODE_UNKNOWN, tracker->begin, to);
}

static void begin(struct mode_tracker *tracker, uint64_t host_tsc)
{
	tracker->nr_ready = 0;
	if (!tracker->begun)
		tracker->begin = host_tsc;
	tracker->begun = true;
}

static void set_mode(struct mode_tracker *tracker, struct tracked_vcpu *v, enum vcpu_mode mode, size_t cpu,
		     uint64_t host_tsc)
{
	const struct loss_list *host = losses_of_host(tracker), *here = losses_of_cpu(tracker, cpu);

	*v = (struct tracked_vcpu) {
		.seen		= true,
		.mode		= mode,
		.at		= host_tsc,
		/* kvm_exit is the last cycle in guest mode */
		.since		= host_tsc + (mode == MODE_HOST && host_tsc < UINT64_MAX),
		.cpu		= cpu,
		.lossy		= host->until > host_tsc,
		.lossy_here	= here->until > host_tsc,
		.losses		= host->nr_reported,
		.losses_here	= here->nr_reported,
	};
}

/**
 * mode_tracker_lose - add a loss of one of the host's CPUs
 * @tracker: the tracker
 * @cpu: index of the CPU
 * @from: host TSC of its last event before. Must be reported after all events up to it and before any later one
 * @to: host TSC of its first event after, UINT64_MAX without
 *
 * Returns: 0 or -ENOMEM.
 */
int mode_tracker_lose(struct mode_tracker *tracker, size_t cpu, uint64_t from, uint64_t to)
{
	int ret = add_loss(losses_of_host(tracker), from, to);

	return ret ? ret : add_loss(losses_of_cpu(tracker, cpu), from, to);
}

/**
 * mode_tracker_enter - a vCPU enters guest mode
 * @tracker: the tracker; @tracker->ready gets the spans that end now and loses the old ones
 * @vcpu: index of the vCPU
 * @cpu: index of the host's CPU that recorded it
 * @host_tsc: its time
 */
void mode_tracker_enter(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc)
{
	struct tracked_vcpu *v = &tracker->vcpus[vcpu];
	uint64_t before = host_tsc ? host_tsc - 1 : 0, sure;
	bool again;

	begin(tracker, host_tsc);
	sure = v->seen ? sure_until(tracker, v) : NEVER;
	again = v->mode == MODE_GUEST && sure == NEVER;
	if (again && tracker->fast_path && v->cpu == cpu && !v->has_left)
		return;
	if (!v->seen)
		put_beginning(tracker, vcpu, before, true);
	else if (surely_left(v, sure))
		put_left(tracker, vcpu, sure, before);
	else if (again)
		/* It left guest mode at any time since */
		put_uncertain(tracker, vcpu, v->since, before);
	else
		put_uncertain(tracker, vcpu, sure, before);
	tracker->missing_exits += again;
	set_mode(tracker, v, MODE_GUEST, cpu, host_tsc);
}

/**
 * mode_tracker_exit - a vCPU leaves guest mode
 * @tracker: the tracker; @tracker->ready gets the spans that end now and loses the old ones
 * @vcpu: index of the vCPU
 * @cpu: index of the host's CPU that recorded it
 * @host_tsc: its time
 */
void mode_tracker_exit(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc)
{
	struct tracked_vcpu *v = &tracker->vcpus[vcpu];
	uint64_t sure;

	begin(tracker, host_tsc);
	if (!v->seen) {
		put_beginning(tracker, vcpu, host_tsc, false);
	} else if (v->mode == MODE_GUEST) {
		sure = sure_until(tracker, v);
		/* It did not enter again on this CPU: this is the exit that belongs to that entry */
		if (v->cpu == cpu && sure_until_here(tracker, v) >= host_tsc)
			sure = NEVER;
		put_uncertain(tracker, vcpu, sure, host_tsc);
	} else if (sure_until(tracker, v) == NEVER) {
		/* It entered guest mode at any time since */
		put(tracker, vcpu, MODE_UNKNOWN, v->since, host_tsc);
	} else {
		put_uncertain(tracker, vcpu, sure_until(tracker, v), host_tsc);
	}
	set_mode(tracker, v, MODE_HOST, cpu, host_tsc);
}

/**
 * mode_tracker_leave - another thread has the CPU on which a vCPU entered guest mode
 * @tracker: begun
 * @vcpu: number of the vCPU
 * @cpu: number of the CPU. Another than that which the vCPU entered on last shows nothing.
 * @host_tsc: when
 *
 * It matters if no kvm_exit of the vCPU follows: that of this entry is missing then. One that follows may be late.
 */
void mode_tracker_leave(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc)
{
	struct tracked_vcpu *v = &tracker->vcpus[vcpu];

	if (v->mode != MODE_GUEST || v->cpu != cpu || v->has_left || host_tsc <= v->at)
		return;
	v->has_left = true;
	v->left = host_tsc;
}

/**
 * mode_tracker_end - end the events of a vCPU
 * @tracker: the tracker; @tracker->ready gets the last spans and loses the old ones
 * @vcpu: index of the vCPU
 * @last: host TSC of the last event of the host's recording
 */
void mode_tracker_end(struct mode_tracker *tracker, uint32_t vcpu, uint64_t last)
{
	const struct tracked_vcpu *v = &tracker->vcpus[vcpu];
	uint64_t since = v->since, sure = sure_until(tracker, v);

	tracker->nr_ready = 0;
	if (v->seen && since <= last) {
		if (surely_left(v, sure))
			put_left(tracker, vcpu, sure, last);
		/* If exits are missing, the last one may be too */
		else
			put_uncertain(tracker, vcpu, v->mode == MODE_GUEST && tracker->missing_exits ? v->at : sure,
				      last);
		if (last == UINT64_MAX)
			return;
		since = last + 1;
	}
	put(tracker, vcpu, MODE_UNKNOWN, since, UINT64_MAX);
}

/**
 * mode_tracker_in_guest - is a vCPU in guest mode now, as far as known?
 * @tracker: the tracker
 * @vcpu: index of the vCPU
 *
 * Returns: true if so.
 */
bool mode_tracker_in_guest(const struct mode_tracker *tracker, uint32_t vcpu)
{
	return tracker->vcpus[vcpu].mode == MODE_GUEST;
}
