// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "event.h"
#include "order.h"
#include "tree.h"
#include "tsc_changes.h"

/* A name of VMs, in a tree: the thread that created them, and the file descriptor */
struct name {
	int		vm_pid;
	int		vm_fd;
	uint32_t	nr_lives;
	struct life	*last;
};

/*
 * A VM, in a tree: by the number that probes report, else by its name. Several VMs can have the same name: they are the
 * lives of that name. One that has ended was destroyed, or another got its name.
 */
struct life {
	int		vm_pid;
	uint32_t	vm;
	int		vm_fd;
	uint32_t	number;
	uint64_t	id;
	bool		ended;
	bool		destroyed;
	bool		has_vm_id;
};

/* A VM by KVM's number, in a tree. Its name is that of debugfs, or the lowest thread of its events. */
struct numbered_vm {
	uint64_t	vm_id;
	int		vm_pid;
	int		vm_fd;
	struct life	life;
};

/* The values of a vCPU, in a tree */
struct vcpu_state {
	uint64_t		life;
	uint32_t		vcpu_id;
	bool			known;
	struct tsc_offset_event	event;	/* the last event */
	size_t			first;	/* index in the result of the first event, as long as nothing changed */
	bool			changed;
};

/* A thread, in a tree */
struct thread_state {
	int			tid;
	bool			has_life;
	struct life		life;
	uint32_t		vcpu_id;
	bool			pending;	/* a probe may report @write too */
	struct tsc_offset_event	write;
};

struct ctx {
	void			*names;
	void			*lives;
	void			*numbered;
	uint64_t		nr_lives;
	void			*vcpus;
	void			*threads;
	struct tsc_offset_event	*events;	/* the result replaces the input */
	size_t			nr;
	bool			with_kernel;
};

static ORDER_BY(compare_vcpus, struct vcpu_state, life, vcpu_id)

static ORDER_BY(compare_threads, struct thread_state, tid)

static ORDER_BY(compare_names, struct name, vm_pid, vm_fd)

static ORDER_BY(compare_numbered, struct numbered_vm, vm_id)

static ORDER_BY(compare_vm_ids, struct tsc_vm_name, vm_id)

static ORDER_BY(compare_vm_names, struct tsc_vm_name, vm_id, vm_pid, vm_fd)

static int compare_lives(const void *a, const void *b)
{
	const struct life *x = a, *y = b;

	return order_of(x->vm_pid, y->vm_pid) ?: order_of(x->vm, y->vm) ?: (x->vm ? 0 : order_of(x->vm_fd, y->vm_fd));
}

static struct vcpu_state *vcpu_of(struct ctx *ctx, const struct life *life, uint32_t vcpu_id)
{
	const struct vcpu_state key = { .life = life->id, .vcpu_id = vcpu_id };

	return tree_find_or_add(&ctx->vcpus, &key, sizeof(key), compare_vcpus);
}

static struct thread_state *thread_of(struct ctx *ctx, int tid)
{
	const struct thread_state key = { .tid = tid };

	return tree_find_or_add(&ctx->threads, &key, sizeof(key), compare_threads);
}

static struct name *name_of(struct ctx *ctx, int vm_pid, int vm_fd)
{
	const struct name key = { .vm_pid = vm_pid, .vm_fd = vm_fd };

	return tree_find_or_add(&ctx->names, &key, sizeof(key), compare_names);
}

static int begin_life(struct ctx *ctx, struct life *life)
{
	struct name *name = name_of(ctx, life->vm_pid, life->vm_fd);

	if (!name)
		return -ENOMEM;
	/* A VM that debugfs reported before a probe did: debugfs has no number for it */
	if (name->last && name->last != life && !name->last->ended && !name->last->vm && life->vm && life->vm_fd >= 0) {
		life->number = name->last->number;
		life->id = name->last->id;
		life->ended = life->destroyed = false;
		life->has_vm_id |= name->last->has_vm_id;
		name->last = life;
		return 0;
	}
	/* Two existing VMs cannot share a directory in debugfs */
	if (name->last && life->vm_fd >= 0)
		name->last->ended = true;
	name->last = life;
	life->number = name->nr_lives++;
	life->id = ++ctx->nr_lives;
	life->ended = life->destroyed = false;
	return 0;
}

/* A number belongs to one VM. Probes may have reported this VM before, by its name in debugfs. */
static struct life *life_of_number(struct ctx *ctx, const struct tsc_offset_event *event)
{
	const struct numbered_vm key = { .vm_id = event->vm_id, .vm_pid = event->vm_pid, .vm_fd = event->vm_fd };
	struct numbered_vm *vm = tree_find_or_add(&ctx->numbered, &key, sizeof(key), compare_numbered);
	struct name *name;

	if (!vm || vm->life.id)
		return vm ? &vm->life : NULL;
	name = name_of(ctx, vm->vm_pid, vm->vm_fd);
	if (!name)
		return NULL;
	if (name->last && !name->last->ended && !name->last->has_vm_id && vm->vm_fd >= 0) {
		name->last->has_vm_id = true;
		vm->life = *name->last;
		return &vm->life;
	}
	vm->life = (struct life) { .vm_pid = vm->vm_pid, .vm_fd = vm->vm_fd, .has_vm_id = true };
	return begin_life(ctx, &vm->life) ? NULL : &vm->life;
}

/* Returns: the life of an event, begun if missing; NULL without memory */
static struct life *life_of(struct ctx *ctx, const struct tsc_offset_event *event)
{
	const struct life key = { .vm_pid = event->vm_pid, .vm = event->vm, .vm_fd = event->vm_fd };
	struct name *name;
	struct life *life;

	if (event->vm_id)
		return life_of_number(ctx, event);
	name = event->vm ? NULL : name_of(ctx, event->vm_pid, event->vm_fd);
	if (name && name->last && !name->last->ended && event->vm_fd >= 0)
		return name->last;
	life = tree_find_or_add(&ctx->lives, &key, sizeof(key), compare_lives);
	if (!life || (life->id && !life->ended))
		return life;
	life->vm_fd = event->vm_fd;
	life->has_vm_id = false;
	return begin_life(ctx, life) ? NULL : life;
}

static struct life *known_life(const struct ctx *ctx, const struct tsc_offset_event *event)
{
	const struct life key = { .vm_pid = event->vm_pid, .vm = event->vm };
	struct life **life = tfind(&key, &ctx->lives, compare_lives);

	return life ? *life : NULL;
}

static void end_life(struct ctx *ctx, const struct tsc_offset_event *event)
{
	struct life *life = known_life(ctx, event);

	if (life)
		life->ended = life->destroyed = true;
}

/* KVM loads each vCPU of a VM that it destroys once more, to free its memory. Another VM begins with other values. */
static bool frees_vcpu(const struct ctx *ctx, const struct tsc_offset_event *probe)
{
	struct life *life = probe->vm ? known_life(ctx, probe) : NULL;
	const struct vcpu_state key = { .life = life ? life->id : 0, .vcpu_id = probe->vcpu_id };
	struct vcpu_state **vcpu = life && life->destroyed ? tfind(&key, &ctx->vcpus, compare_vcpus) : NULL;

	return probe->kind == TSC_EVENT_STATE && vcpu && (*vcpu)->known && (*vcpu)->event.next == probe->next &&
	       (*vcpu)->event.ratio == probe->ratio;
}

/* @life, @vcpu: those of the event; NULL if unknown */
static void report(struct ctx *ctx, const struct life *life, struct vcpu_state *vcpu,
		   const struct tsc_offset_event *event)
{
	struct tsc_offset_event *result = &ctx->events[ctx->nr++];

	*result = *event;
	if (!vcpu)
		return;
	result->vm_pid = life->vm_pid;
	result->vm_fd = life->vm_fd;
	result->vm = life->vm;
	result->vm_life = life->number;
	if (!vcpu->known)
		vcpu->first = ctx->nr - 1;
	vcpu->known = true;
	vcpu->changed |= event->kind == TSC_EVENT_CHANGE;
	vcpu->event = *result;
}

/* A write that no probe reports: it belongs to the VM of the thread's vCPU, if known */
static int report_pending(struct ctx *ctx, struct thread_state *thread)
{
	struct vcpu_state *vcpu = NULL;

	if (!thread->pending)
		return 0;
	thread->pending = false;
	if (thread->has_life && thread->vcpu_id == thread->write.vcpu_id) {
		vcpu = vcpu_of(ctx, &thread->life, thread->vcpu_id);
		if (!vcpu)
			return -ENOMEM;
		/* The event lacks the ratio, which did not change */
		thread->write.previous_ratio = thread->write.ratio = vcpu->event.ratio;
		thread->write.frac_bits = vcpu->event.frac_bits;
	}
	report(ctx, &thread->life, vcpu, &thread->write);
	return 0;
}

/* An event with its VM, from a kernel with our patches: if it creates a vCPU that exists, the VM is another one */
static int take_named(struct ctx *ctx, const struct tsc_offset_event *event)
{
	struct life *life = life_of(ctx, event);
	struct vcpu_state *vcpu = life ? vcpu_of(ctx, life, event->vcpu_id) : NULL;

	if (vcpu && vcpu->changed && event->ratio && !event->previous_ratio)
		vcpu = begin_life(ctx, life) ? NULL : vcpu_of(ctx, life, event->vcpu_id);
	if (!vcpu)
		return -ENOMEM;
	report(ctx, life, vcpu, event);
	return 0;
}

static int take_change(struct ctx *ctx, const struct tsc_offset_event *event)
{
	struct thread_state *thread;
	int ret;

	if (event->vm_pid)
		return take_named(ctx, event);
	thread = thread_of(ctx, event->tid);
	ret = thread ? report_pending(ctx, thread) : -ENOMEM;
	if (ret)
		return ret;
	thread->pending = true;
	thread->write = *event;
	return 0;
}

/*
 * Is this the first event of a vCPU, and may it have changed a value? If the kernel's own events are recorded, such an
 * event precedes a probe's, except for the ratio. An offset of 0 belongs to a vCPU that is being created.
 */
static bool is_news(const struct ctx *ctx, const struct vcpu_state *vcpu, const struct tsc_offset_event *probe)
{
	return !vcpu->known && probe->kind == TSC_EVENT_WRITE && probe->next &&
	       (!ctx->with_kernel || probe->writes_ratio);
}

/* The values of a vCPU, by a probe */
static int take_state(struct ctx *ctx, const struct tsc_offset_event *probe)
{
	struct thread_state *thread = thread_of(ctx, probe->tid);
	struct tsc_offset_event event = *probe;
	bool is_pending, is_new_thread;
	struct vcpu_state *vcpu;
	struct life *life;
	int ret = 0;

	if (thread && frees_vcpu(ctx, probe))
		return 0;
	life = life_of(ctx, probe);
	vcpu = life ? vcpu_of(ctx, life, probe->vcpu_id) : NULL;
	if (!thread || !vcpu)
		return -ENOMEM;
	is_pending = thread->pending && thread->write.vcpu_id == probe->vcpu_id;
	/* Preempted between the event and the write that it announces: the write comes later */
	if (is_pending && probe->kind == TSC_EVENT_STATE && probe->next != thread->write.next)
		return 0;
	is_pending &= probe->next == thread->write.next;
	if (is_pending)
		thread->pending = false;
	else
		ret = report_pending(ctx, thread);
	if (ret)
		return ret;
	is_new_thread = !thread->has_life || thread->life.id != life->id || thread->vcpu_id != probe->vcpu_id;
	thread->has_life = true;
	thread->life = *life;
	thread->vcpu_id = probe->vcpu_id;
	/* KVM is creating the vCPU and has not set a ratio: no mapping has applied yet */
	if (!probe->ratio && !is_pending)
		return 0;
	event.kind = TSC_EVENT_CHANGE;
	event.previous_ratio = vcpu->known ? vcpu->event.ratio : probe->ratio;
	if (is_pending) {
		event.host_tsc = thread->write.host_tsc;
		event.previous = thread->write.previous;
	} else if (is_news(ctx, vcpu, probe)) {
		event.previous = probe->next;
		event.lost_before = true;
	} else if (!vcpu->known || (vcpu->event.next == probe->next && vcpu->event.ratio == probe->ratio)) {
		/* Nothing changes, but the thread's vCPU may be new */
		if (vcpu->known && !is_new_thread)
			return 0;
		event.kind = TSC_EVENT_STATE;
	} else if (probe->kind == TSC_EVENT_STATE) {
		/* The change itself was lost: an event with other previous values shows it */
		event.previous = probe->next;
		event.previous_ratio = probe->ratio;
	} else {
		event.previous = vcpu->event.next;
	}
	report(ctx, life, vcpu, &event);
	return 0;
}

/* Do the kernel's own events have their VMs? If all of them are recorded, probes add nothing. */
static bool has_names(const struct tsc_offset_event *events, size_t nr)
{
	return any_of(i, nr, events[i].kind == TSC_EVENT_CHANGE && events[i].vm_pid);
}

/* Returns: the name of the VM that has a number, NULL if there is none */
static const struct tsc_vm_name *find_name(const struct tsc_vm_name *names, size_t nr, uint64_t vm_id)
{
	const struct tsc_vm_name key = { .vm_id = vm_id };

	return nr ? bsearch(&key, names, nr, sizeof(key), compare_vm_ids) : NULL;
}

/* Each number once. Returns: how many there are. One with several names has none: some are wrong. */
static size_t sort_names(struct tsc_vm_name *names, size_t nr)
{
	size_t kept = 0;

	array_sort(names, nr, compare_vm_names);
	for (size_t i = 0, end; i < nr; i = end) {
		for (end = i + 1; end < nr && names[end].vm_id == names[i].vm_id;)
			end++;
		if (!compare_vm_names(&names[i], &names[end - 1]))
			names[kept++] = names[i];
	}
	return kept;
}

/**
 * tsc_changes_name_vms - give VMs that events know by their number the name that they have in debugfs
 * @events: any; those that have a name keep it
 * @nr: how many
 * @names: the names, in any order
 * @nr_names: how many
 *
 * Returns: 0 or -ENOMEM.
 */
int tsc_changes_name_vms(struct tsc_offset_event *events, size_t nr, const struct tsc_vm_name *names, size_t nr_names)
{
	struct tsc_vm_name *sorted = calloc(nr_names + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (nr_names)
		memcpy(sorted, names, nr_names * sizeof(*sorted));
	nr_names = sort_names(sorted, nr_names);
	for (size_t i = 0; i < nr; i++) {
		const struct tsc_vm_name *name =
			events[i].vm_id && !events[i].vm_pid ? find_name(sorted, nr_names, events[i].vm_id) : NULL;

		if (name) {
			events[i].vm_pid = name->vm_pid;
			events[i].vm_fd = name->vm_fd;
		}
	}
	free(sorted);
	return 0;
}

/* A probe reports a write after the kernel's own event of it, by the same thread, with the VM's name */
struct last_write {
	int			tid;
	struct tsc_offset_event	event;
};

static ORDER_BY(compare_writes, struct last_write, tid)

/* Names that any of the events has; @names: room for as many as there are events */
static int find_names(struct tsc_vm_name *names, size_t *nr_names, const struct tsc_offset_event *events, size_t nr)
{
	void *writes = NULL;
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		const struct tsc_offset_event *event = &events[i];
		const struct last_write key = { .tid = event->tid };
		uint64_t vm_id = event->vm_id;
		struct last_write *write;

		if (event->kind != TSC_EVENT_WRITE && !vm_id)
			continue;
		if (!event->vm_pid || event->kind == TSC_EVENT_WRITE) {
			write = tree_find_or_add(&writes, &key, sizeof(key), compare_writes);
			if (!write) {
				ret = -ENOMEM;
			} else if (event->kind == TSC_EVENT_CHANGE) {
				write->event = *event;
			} else if (write->event.vcpu_id == event->vcpu_id && write->event.next == event->next) {
				vm_id = write->event.vm_id;
				/* Of one event there is one report */
				write->event.vm_id = 0;
			}
		}
		if (vm_id && event->vm_pid && event->vm_fd >= 0)
			names[(*nr_names)++] = (struct tsc_vm_name) { vm_id, event->vm_pid, event->vm_fd };
	}
	tdestroy(writes, free);
	return ret;
}

/*
 * Where nothing says which directory a VM had, it is called by the lowest thread of its events. All of them are threads
 * of the VM's process, as KVM refuses others.
 */
static int name_by_threads(struct tsc_offset_event *events, size_t nr)
{
	void *numbered = NULL;
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		/* No thread has the number 0, which would say that the VM is not known */
		const struct numbered_vm key = { .vm_id = events[i].vm_id, .vm_pid = events[i].tid ?: INT_MAX };
		struct numbered_vm *vm;

		if (!events[i].vm_id || events[i].vm_pid)
			continue;
		vm = tree_find_or_add(&numbered, &key, sizeof(key), compare_numbered);
		if (!vm)
			ret = -ENOMEM;
		else if (key.vm_pid < vm->vm_pid)
			vm->vm_pid = key.vm_pid;
	}
	for (size_t i = 0; i < nr && !ret; i++) {
		const struct numbered_vm key = { .vm_id = events[i].vm_id };
		struct numbered_vm **vm;

		if (!key.vm_id || events[i].vm_pid)
			continue;
		vm = tfind(&key, &numbered, compare_numbered);
		events[i].vm_pid = (*vm)->vm_pid;
		events[i].vm_fd = -1;
	}
	tdestroy(numbered, free);
	return ret;
}

static int name_numbered(struct tsc_offset_event *events, size_t nr)
{
	struct tsc_vm_name *names;
	size_t nr_names = 0;
	int ret;

	if (!any_of(i, nr, events[i].vm_id && !events[i].vm_pid))
		return 0;
	names = calloc(nr, sizeof(*names));
	ret = names ? find_names(names, &nr_names, events, nr) : -ENOMEM;
	if (!ret)
		ret = tsc_changes_name_vms(events, nr, names, nr_names);
	free(names);
	return ret ? ret : name_by_threads(events, nr);
}

static int take(struct ctx *ctx, const struct tsc_offset_event *event)
{
	switch (event->kind) {
	case TSC_EVENT_CHANGE:
		return take_change(ctx, event);
	case TSC_EVENT_WRITE:
	case TSC_EVENT_STATE:
		return take_state(ctx, event);
	case TSC_EVENT_VM_END:
		end_life(ctx, event);
		return 0;
	}
	return -EINVAL;
}

struct visit {
	struct ctx	*ctx;
	int		ret;
};

static void end_thread(const void *node, VISIT order, void *closure)
{
	struct visit *visit = closure;

	if ((order == postorder || order == leaf) && !visit->ret)
		visit->ret = report_pending(visit->ctx, *(struct thread_state *const *)node);
}

static void end_vcpu(const void *node, VISIT order, void *closure)
{
	struct vcpu_state *vcpu = *(struct vcpu_state *const *)node;
	struct visit *visit = closure;

	struct tsc_offset_event *event;

	if ((order != postorder && order != leaf) || !vcpu->known || vcpu->changed)
		return;
	event = &visit->ctx->events[vcpu->first];
	event->kind = TSC_EVENT_CHANGE;
	event->previous = event->next;
	event->previous_ratio = event->ratio;
}

/**
 * tsc_changes_make - reduce the events of all sources to a list of changes
 * @events: events in the order of time; result: the changes in the order of time, each with its VM if known. For a vCPU
 *	without changes, one event has its values both as previous and as next. Events of kind TSC_EVENT_STATE between
 *	changes show when a thread begins to run a vCPU
 * @nr: number of @events; updated
 * @with_kernel: the kernel's own events of writes were recorded too
 *
 * If several sources report a write, one event remains, with the earliest of their times: the vCPU does not run between
 * them. Events that change nothing are removed. A VM of which only the number is known gets the name that another of
 * its events has, else the lowest thread of its events as @vm_pid, and no @vm_fd.
 *
 * Returns: 0 or -ENOMEM.
 */
int tsc_changes_make(struct tsc_offset_event *events, size_t *nr, bool with_kernel)
{
	struct ctx ctx = { .events = events, .with_kernel = with_kernel };
	struct visit visit = { .ctx = &ctx };
	bool named;

	visit.ret = name_numbered(events, *nr);
	named = with_kernel && has_names(events, *nr);
	for (size_t i = 0; i < *nr && !visit.ret; i++) {
		const struct tsc_offset_event event = events[i];

		/* An event without a number is from debugfs, which also has the vCPUs that never change */
		if (event.kind == TSC_EVENT_CHANGE || !named || !event.vm)
			visit.ret = take(&ctx, &event);
	}
	twalk_r(ctx.threads, end_thread, &visit);
	twalk_r(ctx.vcpus, end_vcpu, &visit);
	tdestroy(ctx.threads, free);
	tdestroy(ctx.vcpus, free);
	tdestroy(ctx.lives, free);
	tdestroy(ctx.numbered, free);
	tdestroy(ctx.names, free);
	array_sort(events, ctx.nr, tsc_offset_event_compare);
	*nr = ctx.nr;
	return visit.ret;
}
