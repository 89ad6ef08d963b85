// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "exit_reasons.h"
#include "host.h"
#include "host_vcpus.h"
#include "merged_events.h"
#include "perfetto_writer.h"
#include "vcpu_slices.h"

struct slice_thread {
	int		tid;
	uint64_t	track;
};

/* Why the mode of a vCPU is unknown */
static const char *const causes[] = {
	[CAUSE_BEFORE]	= "before the first kvm event",
	[CAUSE_AFTER]	= "after the last kvm event",
	[CAUSE_LOST]	= "events lost",
	[CAUSE_MISSING]	= "kvm_exit missing",
};

static uint64_t text_of(struct slice_ctx *ctx, enum slice_cause cause)
{
	if (!ctx->causes[cause])
		ctx->causes[cause] = perfetto_writer_intern(ctx->writer, causes[cause]);
	return ctx->causes[cause];
}

/* The process of a thread. If events do not have it, it is the VM's first thread, which created it. */
static int process_of(const struct host_vm *vm)
{
	return vm->vm_pid > 0 ? vm->vm_pid : vm->id;
}

/**
 * vcpu_slices_thread - set the thread of a vCPU
 * @slices: slices of the vCPU
 * @ctx: common data of all vCPUs
 * @tid: the thread
 * @comm: its name, NULL if unknown
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_slices_thread(struct vcpu_slices *slices, struct slice_ctx *ctx, int tid, const char *comm)
{
	const struct perfetto_track track = { .tid = tid, .pid = process_of(slices->vm), .name = comm };
	size_t i;

	if (slices->nr_threads && slices->threads[slices->thread].tid == tid)
		return 0;
	for (i = 0; i < slices->nr_threads && slices->threads[i].tid != tid; i++)
		;
	if (i == slices->nr_threads) {
		if (array_reserve(slices->threads, slices->nr_threads, slices->capacity))
			return -ENOMEM;
		slices->threads[slices->nr_threads++] = (struct slice_thread) {
			tid, perfetto_writer_track(ctx->writer, 0, &track)
		};
	}
	slices->thread = i;
	return 0;
}

/* @cause: for a slice of unknown mode */
static void begin(struct vcpu_slices *slices, struct slice_ctx *ctx, enum slice_state state, enum slice_cause cause,
		  uint64_t ns)
{
	struct perfetto_detail details[SLICE_DETAILS];
	struct perfetto_slice slice = {
		.track = slices->threads[slices->thread].track, .details = details,
		.name = state == SLICE_GUEST ? NAME_GUEST_MODE : NAME_UNKNOWN,
	};

	details[slice.nr_details++] = (struct perfetto_detail) { DETAIL_VM, true, slices->vm_text };
	details[slice.nr_details++] = (struct perfetto_detail) { DETAIL_VCPU, false, slices->vcpu->vcpu->vcpu_id };
	if (slices->vcpu->file) {
		details[slice.nr_details++] = (struct perfetto_detail) {
			DETAIL_MACHINE, false, slices->vcpu->file->number
		};
		details[slice.nr_details++] = (struct perfetto_detail) { DETAIL_GUEST_CPU, false, slices->vcpu->cpu };
	}
	if (state == SLICE_UNKNOWN)
		details[slice.nr_details++] = (struct perfetto_detail) {
			DETAIL_CAUSE, true, text_of(ctx, cause)
		};
	perfetto_writer_begin(ctx->writer, ns, &slice);
	slices->state = state;
	slices->since = ns;
	if (state != SLICE_GUEST || !slices->vcpu->file)
		return;
	slice = (struct perfetto_slice) {
		.machine = (uint32_t)slices->vcpu->file->number, .track = slices->guest_track, .name = NAME_RUNNING,
	};
	perfetto_writer_begin(ctx->writer, ns, &slice);
}

static void end(struct vcpu_slices *slices, struct slice_ctx *ctx, uint64_t ns, struct exit_reason_name *reason)
{
	struct perfetto_detail details[SLICE_DETAILS];
	size_t nr = 0;

	if (slices->state == SLICE_NONE)
		return;
	if (slices->state == SLICE_ENTERED)
		begin(slices, ctx, SLICE_GUEST, 0, slices->since);
	if (reason) {
		if (!reason->user)
			reason->user = perfetto_writer_intern(ctx->writer, reason->name);
		details[nr++] = (struct perfetto_detail) { DETAIL_EXIT_REASON, true, reason->user };
		details[nr++] = (struct perfetto_detail) { DETAIL_EXIT_REASON_CODE, false, reason->reason.code };
	}
	perfetto_writer_end(ctx->writer, 0, slices->threads[slices->thread].track, ns, details, nr);
	if (slices->state == SLICE_GUEST && slices->vcpu->file)
		perfetto_writer_end(ctx->writer, (uint32_t)slices->vcpu->file->number, slices->guest_track, ns, NULL,
				    0);
	ctx->nr_guest += slices->state == SLICE_GUEST && reason;
	slices->state = SLICE_NONE;
}

/**
 * vcpu_slices_start - begin with an unknown mode
 * @slices: slices of the vCPU, with its first thread
 * @ctx: common data of all vCPUs
 * @begin_ns: begin of the first span of its modes
 */
void vcpu_slices_start(struct vcpu_slices *slices, struct slice_ctx *ctx, uint64_t begin_ns)
{
	slices->until = vcpu_modes_from(&slices->vcpu->vcpu->modes, 0) - 1;
	if (ctx->first < begin_ns)
		begin(slices, ctx, SLICE_UNKNOWN, CAUSE_BEFORE, ctx->first);
}

/**
 * vcpu_slices_span - begin a span of a vCPU's modes
 * @slices: slices of the vCPU
 * @ctx: common data of all vCPUs
 * @span: index of the span
 * @ns: its begin, in nanoseconds
 * @before: one cycle earlier, in nanoseconds: the time of the event that ends the span before
 */
void vcpu_slices_span(struct vcpu_slices *slices, struct slice_ctx *ctx, size_t span, uint64_t ns, uint64_t before)
{
	const struct vcpu_modes *modes = &slices->vcpu->vcpu->modes;
	enum vcpu_mode mode = vcpu_modes_at(modes, span);

	/* A kvm_entry is the first cycle of guest mode; any other span begins after the last cycle of an event */
	end(slices, ctx, mode == MODE_GUEST || !span ? ns : before, NULL);
	slices->until = span + 1 < modes->nr ? vcpu_modes_from(modes, span + 1) - 1 : UINT64_MAX;
	if (mode == MODE_GUEST) {
		slices->state = SLICE_ENTERED;
		slices->since = ns;
	} else if (mode == MODE_UNKNOWN && before < ctx->last) {
		begin(slices, ctx, SLICE_UNKNOWN, span + 1 == modes->nr ? CAUSE_AFTER : ctx->lossy ? CAUSE_LOST :
		      CAUSE_MISSING, before);
	}
}

/**
 * vcpu_slices_enter - a vCPU enters guest mode
 * @slices: slices of the vCPU, with its thread
 * @ctx: common data of all vCPUs
 */
void vcpu_slices_enter(struct vcpu_slices *slices, struct slice_ctx *ctx)
{
	if (slices->state == SLICE_ENTERED)
		begin(slices, ctx, SLICE_GUEST, 0, slices->since);
}

/**
 * vcpu_slices_exit - a vCPU leaves guest mode
 * @slices: slices of the vCPU
 * @ctx: common data of all vCPUs
 * @host_tsc: its time, in cycles
 * @ns: its time, in nanoseconds
 * @reason: the exit reason
 */
void vcpu_slices_exit(struct vcpu_slices *slices, struct slice_ctx *ctx, uint64_t host_tsc, uint64_t ns,
		      struct exit_reason_name *reason)
{
	/* If events are missing, its mode may be unknown before and after */
	if (host_tsc == slices->until)
		end(slices, ctx, ns, reason);
}

/**
 * vcpu_slices_finish - end the recording
 * @slices: slices of the vCPU
 * @ctx: common data of all vCPUs
 */
void vcpu_slices_finish(struct vcpu_slices *slices, struct slice_ctx *ctx)
{
	end(slices, ctx, ctx->last > slices->since ? ctx->last : slices->since, NULL);
}

/**
 * vcpu_slices_release - free the slices
 * @slices: the slices, in any state
 */
void vcpu_slices_release(struct vcpu_slices *slices)
{
	free(slices->threads);
	slices->threads = NULL;
}
