/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The slices of a vCPU on the track of its thread: guest mode, and unknown mode. Between them is host mode. The guest's
 * CPU has slices of guest mode as well, because Perfetto has no arrows from one machine to another.
 */
#ifndef TSC_OFFSET_VCPU_SLICES_H
#define TSC_OFFSET_VCPU_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exit_reason_name;
struct host_vm;
struct merged_vcpu;
struct perfetto_writer;
struct slice_thread;

/* Most details of a slice */
#define SLICE_DETAILS	8

/**
 * enum slice_state - the open slice of a vCPU
 * @SLICE_NONE: none: host mode
 * @SLICE_ENTERED: guest mode, which begins with the next kvm_entry
 * @SLICE_GUEST: guest mode
 * @SLICE_UNKNOWN: unknown mode
 */
enum slice_state {
	SLICE_NONE, SLICE_ENTERED, SLICE_GUEST, SLICE_UNKNOWN,
};

/* Why a mode is unknown */
enum slice_cause {
	CAUSE_BEFORE, CAUSE_AFTER, CAUSE_LOST, CAUSE_MISSING, NR_CAUSES,
};

/**
 * struct slice_ctx - common data of a recording's vCPUs
 * @writer: the file
 * @first, @last: begin and end of the host's recording, in nanoseconds
 * @lossy: the host lost events
 * @causes: texts of enum slice_cause, from perfetto_writer_intern(); 0 before their first use
 * @nr_guest: result: number of slices of guest mode that end with a kvm_exit
 */
struct slice_ctx {
	struct perfetto_writer	*writer;
	uint64_t		first;
	uint64_t		last;
	bool			lossy;
	uint64_t		causes[NR_CAUSES];
	uint64_t		nr_guest;
};

/**
 * struct vcpu_slices - the slices of a vCPU
 * @vcpu: the vCPU
 * @vm: its VM
 * @vm_text: name of the VM, from perfetto_writer_intern()
 * @guest_track: the track of guest mode of the guest's CPU, 0 without a file of the guest
 * @state: the open slice
 * @since: its begin, in nanoseconds
 * @until: last host TSC, in cycles, of the vCPU's mode
 * @threads: its threads and their tracks; owned
 * @nr_threads: number of @threads
 * @capacity: number of threads that fit without growing
 * @thread: index of the thread that runs it
 */
struct vcpu_slices {
	const struct merged_vcpu	*vcpu;
	const struct host_vm		*vm;
	uint64_t			vm_text;
	uint64_t			guest_track;
	enum slice_state		state;
	uint64_t			since;
	uint64_t			until;
	struct slice_thread		*threads;
	size_t				nr_threads;
	size_t				capacity;
	size_t				thread;
};

int vcpu_slices_thread(struct vcpu_slices *slices, struct slice_ctx *ctx, int tid, const char *comm);
void vcpu_slices_start(struct vcpu_slices *slices, struct slice_ctx *ctx, uint64_t begin_ns);
void vcpu_slices_span(struct vcpu_slices *slices, struct slice_ctx *ctx, size_t span, uint64_t ns, uint64_t before);
void vcpu_slices_enter(struct vcpu_slices *slices, struct slice_ctx *ctx);
void vcpu_slices_exit(struct vcpu_slices *slices, struct slice_ctx *ctx, uint64_t host_tsc, uint64_t ns,
		      struct exit_reason_name *reason);
void vcpu_slices_finish(struct vcpu_slices *slices, struct slice_ctx *ctx);
void vcpu_slices_release(struct vcpu_slices *slices);

#endif /* TSC_OFFSET_VCPU_SLICES_H */
