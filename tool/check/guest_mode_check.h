/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The proof that a guest's recording fits its host's: a vCPU that records an event runs, so that each event
 * of a guest's CPU lies in a span of host time in which the host had that vCPU in guest mode. No clock
 * tolerance is needed: KVM records kvm_entry before it enters and kvm_exit after it has left.
 *
 * Guest times are taken as stock readers show them (time_shift_reader.h), whoever synchronised them. The guest's
 * file is read as a stream: what is kept of it does not grow with it.
 */
#ifndef TSC_OFFSET_GUEST_MODE_CHECK_H
#define TSC_OFFSET_GUEST_MODE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_vcpus;
struct merged_times;
struct progress;
struct trace_dat;
struct trace_dat_buffer;

/* No event limits how far all may be moved */
#define GUEST_MODE_NO_LIMIT UINT64_MAX

/**
 * struct guest_mode_span - a span in which a vCPU was in guest mode
 * @entry: host TSC of kvm_entry, 0 if it is not known
 * @exit: host TSC of kvm_exit, 0 if it is not known
 */
struct guest_mode_span {
	uint64_t	entry;
	uint64_t	exit;
};

/**
 * struct guest_mode_violation - an event at a time at which its vCPU did not run
 * @guest_tsc: the guest's own time, in cycles
 * @host_tsc: the time at which readers show it
 * @impossible: the vCPU's TSC never had that value on this host: it jumped over it
 * @before: the vCPU's last span in guest mode before
 * @after: its first one after
 */
struct guest_mode_violation {
	uint64_t		guest_tsc;
	uint64_t		host_tsc;
	bool			impossible;
	struct guest_mode_span	before;
	struct guest_mode_span	after;
};

/**
 * struct guest_mode_counts - what some events of a guest come to
 * @events: all of them
 * @inside: in guest mode, as they must be
 * @violations: out of guest mode, or impossible
 * @impossible: of these: with guest times that the vCPU's TSC never had
 * @outside: before or after the host's recording
 * @doubtful: of these: they may have been within it; see quiet_time.h
 * @unprovable: where the host lost events
 */
struct guest_mode_counts {
	uint64_t	events;
	uint64_t	inside;
	uint64_t	violations;
	uint64_t	impossible;
	uint64_t	outside;
	uint64_t	doubtful;
	uint64_t	unprovable;
};

/**
 * struct guest_mode_cpu - what the events of one CPU of the guest come to
 * @cpu: the guest's number of it
 * @has_vcpu: it is known which vCPU it is
 * @vcpu_id: KVM's vcpu_id of that
 * @corrected: readers correct the times of this CPU
 * @counts: of its events
 * @earlier: how many cycles all those inside may be moved to earlier times together, so that each stays in
 *	its span, GUEST_MODE_NO_LIMIT if there is none
 * @later: the same to later times
 * @listed: the first violations; owned
 * @nr_listed: how many
 */
struct guest_mode_cpu {
	uint32_t			cpu;
	bool				has_vcpu;
	uint32_t			vcpu_id;
	bool				corrected;
	struct guest_mode_counts	counts;
	uint64_t			earlier;
	uint64_t			later;
	struct guest_mode_violation	*listed;
	size_t				nr_listed;
};

/**
 * struct guest_mode_buffer - what a buffer of the guest comes to
 * @buffer: the buffer
 * @clock: the name of its clock
 * @checked: that is the TSC, so that it could be checked
 * @cpus: those with data; owned
 * @nr_cpus: how many
 */
struct guest_mode_buffer {
	const struct trace_dat_buffer	*buffer;
	char				clock[64];
	bool				checked;
	struct guest_mode_cpu		*cpus;
	size_t				nr_cpus;
};

/**
 * struct guest_mode_check - what a guest's file comes to
 * @buffers: in the order of the file; owned
 * @nr_buffers: how many
 */
struct guest_mode_check {
	struct guest_mode_buffer	*buffers;
	size_t			nr_buffers;
};

/**
 * struct guest_mode_check_input - what is to be compared with what
 * @guest: the guest's file, open
 * @vcpus: the vCPUs that its CPUs are
 * @begin, @end: first and last host TSC, in cycles, for which it is known which vCPUs were in guest mode
 * @file: where readers show the file's events
 * @any_clock: the times are TSC values whatever the file says of the clock
 * @only: the buffer to check, as if it were the file's top buffer; NULL for all
 * @max_listed: how many violations to list for each CPU
 * @progress: begun with guest_mode_check_bytes() as the total, or all zeros
 */
struct guest_mode_check_input {
	struct trace_dat		*guest;
	const struct guest_vcpus	*vcpus;
	uint64_t			begin;
	uint64_t			end;
	const struct merged_times	*file;
	bool				any_clock;
	const struct trace_dat_buffer	*only;
	size_t				max_listed;
	struct progress			*progress;
};

void guest_mode_counts_add(struct guest_mode_counts *sums, const struct guest_mode_counts *counts);
uint64_t guest_mode_check_bytes(const struct trace_dat *guest, const struct trace_dat_buffer *only);
int guest_mode_check(struct guest_mode_check *result, const struct guest_mode_check_input *input);
void guest_mode_check_release(struct guest_mode_check *result);

#endif /* TSC_OFFSET_GUEST_MODE_CHECK_H */
