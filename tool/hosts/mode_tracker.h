/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * When each vCPU was in guest mode, as far as kvm_entry, kvm_exit and lost events show it.
 *
 * Host time is divided into spans, for each vCPU without gaps. A vCPU did not run before its first entry or after its
 * last exit, unless the host lost events. An entry without an exit before it is a fast path of KVM, on hosts that have
 * it: the vCPU was in guest mode all the time. On other hosts a kvm_exit is missing, and the mode since the entry
 * before is unknown. Where the ring buffer lost events, a mode is unknown if a lost event could contradict it:
 *
 * - a vCPU out of guest mode may enter on any CPU: its mode is unknown from the first loss on;
 * - a vCPU in guest mode leaves it on the CPU on which it entered. Losses of other CPUs do not matter if its kvm_exit
 * is also on that CPU and that CPU lost nothing. Only kvm_exit itself may come from another CPU: AMD records it when
 * the thread can already be moved.
 *
 * A CPU that is in guest mode runs nothing else. If another thread has an event there, the vCPU left guest mode
 * before. If its next event is not a kvm_exit, that of this entry is missing, as where it was filtered. One that comes
 * later may be late: on AMD the thread can lose the CPU before it is recorded.
 */
#ifndef TSC_OFFSET_MODE_TRACKER_H
#define TSC_OFFSET_MODE_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_modes.h"

/**
 * struct mode_span - a span of host time
 * @vcpu: index of the vCPU
 * @mode: its mode
 * @from, @to: first and last host TSC of the span, in cycles. For guest mode: those of kvm_entry and kvm_exit.
 */
struct mode_span {
	uint32_t	vcpu;
	enum vcpu_mode	mode;
	uint64_t	from;
	uint64_t	to;
};

/*
 * The last spans of a vCPU: guest mode for one cycle; unknown until another thread had its CPU; out of guest mode until
 * events are lost; and unknown until the end of the recording and after it
 */
#define MODE_SPANS_AT_ONCE 5

/**
 * struct mode_tracker - the spans while they are made
 * @vcpus: what is known of each vCPU now; owned
 * @nr_vcpus: how many
 * @losses: the host's losses, then those of each of its CPUs; owned
 * @nr_cpus: how many CPUs the host has
 * @fast_path: an entry may follow an entry without an exit between them
 * @begun: an event was seen
 * @begin: host TSC of the first one
 * @missing_exits: entries that came without the exit before them
 * @ready: spans that ended
 * @nr_ready: number of @ready
 */
struct mode_tracker {
	struct tracked_vcpu	*vcpus;
	size_t			nr_vcpus;
	struct loss_list	*losses;
	size_t			nr_cpus;
	bool			fast_path;
	bool			begun;
	uint64_t		begin;
	uint64_t		missing_exits;
	struct mode_span	ready[MODE_SPANS_AT_ONCE];
	size_t			nr_ready;
};

int mode_tracker_init(struct mode_tracker *tracker, size_t nr_vcpus, size_t nr_cpus, bool fast_path);
void mode_tracker_release(struct mode_tracker *tracker);
int mode_tracker_lose(struct mode_tracker *tracker, size_t cpu, uint64_t from, uint64_t to);
void mode_tracker_enter(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc);
void mode_tracker_exit(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc);
void mode_tracker_leave(struct mode_tracker *tracker, uint32_t vcpu, size_t cpu, uint64_t host_tsc);
void mode_tracker_end(struct mode_tracker *tracker, uint32_t vcpu, uint64_t last);
bool mode_tracker_in_guest(const struct mode_tracker *tracker, uint32_t vcpu);

#endif /* TSC_OFFSET_MODE_TRACKER_H */
