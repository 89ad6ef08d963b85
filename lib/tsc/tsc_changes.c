// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "event.h"
#include "tsc_changes.h"

/*
 * One after the other, VMs can have the same name: the thread that made them and the file descriptor. All that have
 * it are lives of that name.
 */
struct life {
	int		vm_pid;
	int		vm_fd;
	uint32_t	vm;	/* 0 while no event reported it */
	uint32_t	number;
	bool		ended;
};

/* What holds for a vCPU, in a tree */
struct vcpu_state {
	size_t			life;
	uint32_t		vcpu_id;
	bool			known;
	struct tsc_offset_event	event;		/* the last that reported anything */
	struct tsc_offset_event	first;		/* that did so */
	bool			reported;	/* an event of the result is of it */
};

/* A thread, in a tree */
struct thread_state {
	int			tid;
	bool			has_life;
	size_t			life;
	uint32_t		vcpu_id;
	bool			pending;	/* @write may be the beginning of one that a probe reports too */
	struct tsc_offset_event	write;
};

struct ctx {
	struct life		*lives;
	size_t			nr_lives, capacity;
	void			*vcpus;
	void			*threads;
	struct tsc_offset_event	*events;	/* the result takes the place of what was read */
	size_t			nr;
};

static int compare_vcpus(const void *a, const void *b)
{
	const struct vcpu_state *x = a, *y = b;

	if (x->life != y->life)
		return x->life < y->life ? -1 : 1;
	return (x->vcpu_id > y->vcpu_id) - (x->vcpu_id < y->vcpu_id);
}

static int compare_threads(const void *a, const void *b)
{
	const struct thread_state *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* Returns: the node that is like @key, added if there was none; NULL without memory */
static void *node_of(void **tree, const void *key, size_t size, int (*compare)(const void *, const void *))
{
	void **found = tsearch(key, tree, compare);

	if (!found || *found != key)
		return found ? *found : NULL;
	*found = calloc(1, size);
	if (*found)
		return memcpy(*found, key, size);
	tdelete(key, tree, compare);
	return NULL;
}

static struct vcpu_state *vcpu_of(struct ctx *ctx, size_t life, uint32_t vcpu_id)
{
	const struct vcpu_state key = { .life = life, .vcpu_id = vcpu_id };

	return node_of(&ctx->vcpus, &key, sizeof(key), compare_vcpus);
}

static struct thread_state *thread_of(struct ctx *ctx, int tid)
{
	const struct thread_state key = { .tid = tid };

	return node_of(&ctx->threads, &key, sizeof(key), compare_threads);
}

/* @life: result */
static int begin_life(struct ctx *ctx, const struct tsc_offset_event *event, size_t *life)
{
	uint32_t number = 0;

	if (array_reserve(ctx->lives, ctx->nr_lives, ctx->capacity))
		return -ENOMEM;
	for (size_t i = 0; i < ctx->nr_lives; i++)
		number += ctx->lives[i].vm_pid == event->vm_pid && ctx->lives[i].vm_fd == event->vm_fd;
	*life = ctx->nr_lives++;
	ctx->lives[*life] = (struct life) {
		.vm_pid = event->vm_pid, .vm_fd = event->vm_fd, .vm = event->vm, .number = number,
	};
	return 0;
}

/* The life that an event is of; @life: result, which may be a new one */
static int find_life(struct ctx *ctx, const struct tsc_offset_event *event, size_t *life)
{
	for (size_t i = ctx->nr_lives; i--;) {
		struct life *it = &ctx->lives[i];

		if (it->ended || it->vm_pid != event->vm_pid || it->vm_fd != event->vm_fd)
			continue;
		if (it->vm && event->vm && it->vm != event->vm)
			continue;
		if (event->vm)
			it->vm = event->vm;
		*life = i;
		return 0;
	}
	return begin_life(ctx, event, life);
}

static void end_life(struct ctx *ctx, const struct tsc_offset_event *event)
{
	for (size_t i = 0; i < ctx->nr_lives; i++) {
		if (ctx->lives[i].vm_pid == event->vm_pid && ctx->lives[i].vm == event->vm)
			ctx->lives[i].ended = true;
	}
}

static void report(struct ctx *ctx, struct vcpu_state *vcpu, const struct tsc_offset_event *event)
{
	struct tsc_offset_event *result = &ctx->events[ctx->nr++];

	*result = *event;
	result->kind = TSC_EVENT_CHANGE;
	if (!vcpu)
		return;
	result->vm_pid = ctx->lives[vcpu->life].vm_pid;
	result->vm_fd = ctx->lives[vcpu->life].vm_fd;
	result->vm = ctx->lives[vcpu->life].vm;
	result->vm_life = ctx->lives[vcpu->life].number;
	vcpu->reported = vcpu->known = true;
	vcpu->event = *result;
}

/* A write that no probe reports: of the VM whose vCPU the thread has, if that is known */
static int report_pending(struct ctx *ctx, struct thread_state *thread)
{
	struct vcpu_state *vcpu = NULL;

	if (!thread->pending)
		return 0;
	thread->pending = false;
	if (thread->has_life && thread->vcpu_id == thread->write.vcpu_id) {
		vcpu = vcpu_of(ctx, thread->life, thread->vcpu_id);
		if (!vcpu)
			return -ENOMEM;
		/* The event does not report the ratio, which is as it was */
		thread->write.previous_ratio = thread->write.ratio = vcpu->event.ratio;
		thread->write.frac_bits = vcpu->event.frac_bits;
	}
	report(ctx, vcpu, &thread->write);
	return 0;
}

/* One that names its VM, of a kernel with our patches: where it makes a vCPU that there is already, the VM is another */
static int take_named(struct ctx *ctx, const struct tsc_offset_event *event)
{
	struct vcpu_state *vcpu;
	size_t life;
	int ret = find_life(ctx, event, &life);

	vcpu = ret ? NULL : vcpu_of(ctx, life, event->vcpu_id);
	if (vcpu && vcpu->reported && event->ratio && !event->previous_ratio) {
		ctx->lives[life].ended = true;
		ret = begin_life(ctx, event, &life);
		vcpu = ret ? NULL : vcpu_of(ctx, life, event->vcpu_id);
	}
	if (!vcpu)
		return -ENOMEM;
	report(ctx, vcpu, event);
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

/* What holds for a vCPU, by a probe */
static int take_state(struct ctx *ctx, const struct tsc_offset_event *probe)
{
	struct thread_state *thread = thread_of(ctx, probe->tid);
	struct tsc_offset_event event = *probe;
	struct vcpu_state *vcpu;
	bool is_new, is_pending;
	size_t life;
	int ret = thread ? find_life(ctx, probe, &life) : -ENOMEM;

	vcpu = ret ? NULL : vcpu_of(ctx, life, probe->vcpu_id);
	if (!vcpu)
		return -ENOMEM;
	is_pending = thread->pending && thread->write.vcpu_id == probe->vcpu_id;
	/* Preempted between the event and the write that it announces: that comes later */
	if (is_pending && probe->kind == TSC_EVENT_STATE && probe->next != thread->write.next)
		return 0;
	is_pending &= probe->next == thread->write.next;
	if (is_pending)
		thread->pending = false;
	else
		ret = report_pending(ctx, thread);
	if (ret)
		return ret;
	thread->has_life = true;
	thread->life = life;
	thread->vcpu_id = probe->vcpu_id;
	is_new = !vcpu->known;
	if (is_new) {
		vcpu->known = true;
		vcpu->first = vcpu->event = *probe;
	}
	event.previous_ratio = vcpu->event.ratio;
	if (is_pending) {
		event.host_tsc = thread->write.host_tsc;
		event.previous = thread->write.previous;
	} else if (is_new || (vcpu->event.next == probe->next && vcpu->event.ratio == probe->ratio)) {
		/* Nothing changes; at the end of all, one that never does is reported as such */
		return 0;
	} else if (probe->kind == TSC_EVENT_STATE) {
		/* The change itself was lost: an event that does not find what was left says so */
		event.previous = probe->next;
		event.previous_ratio = probe->ratio;
	} else {
		event.previous = vcpu->event.next;
	}
	report(ctx, vcpu, &event);
	return 0;
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

	if ((order != postorder && order != leaf) || vcpu->reported)
		return;
	vcpu->first.previous = vcpu->first.next;
	vcpu->first.previous_ratio = vcpu->first.ratio;
	report(visit->ctx, vcpu, &vcpu->first);
}

/**
 * tsc_changes_make - make a list of changes of the events of all sources
 * @events: in the order of time; result: the changes, in the order of time, each with its VM if that is known. One of a
 *	vCPU that never changes as far as the events report says what it has, as previous value and as next.
 * @nr: how many; result
 *
 * Of a write that several sources report, one remains, with the earliest of their times: the vCPU does not run between
 * them. Of events that find what they found before, none remains.
 *
 * Returns: 0 or -ENOMEM.
 */
int tsc_changes_make(struct tsc_offset_event *events, size_t *nr)
{
	struct ctx ctx = { .events = events };
	struct visit visit = { .ctx = &ctx };

	for (size_t i = 0; i < *nr && !visit.ret; i++) {
		const struct tsc_offset_event event = events[i];

		visit.ret = take(&ctx, &event);
	}
	twalk_r(ctx.threads, end_thread, &visit);
	twalk_r(ctx.vcpus, end_vcpu, &visit);
	tdestroy(ctx.threads, free);
	tdestroy(ctx.vcpus, free);
	free(ctx.lives);
	if (ctx.nr)
		qsort(events, ctx.nr, sizeof(*events), tsc_offset_event_compare);
	*nr = ctx.nr;
	return visit.ret;
}
