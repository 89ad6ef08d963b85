/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Proves that a guest's recording fits its host's. A vCPU runs while it records an event, so each event of a guest's
 * CPU lies in a span of host time in which the host had that vCPU in guest mode. This needs no tolerance: KVM records
 * kvm_entry before it enters and kvm_exit after it has left.
 *
 * Guest times are those that stock readers show (time_shift_reader.h), whichever tool synchronised them. The guest's
 * file is read as a stream: memory does not grow with it.
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

/* No event limits how far all events may be moved */
#define GUEST_MODE_NO_LIMIT UINT64_MAX

/**
 * struct guest_mode_span - a span in which a vCPU was in guest mode
 * @entry: host TSC of kvm_entry, 0 if unknown
 * @exit: host TSC of kvm_exit, 0 if unknown
 */
struct guest_mode_span {
	uint64_t	entry;
	uint64_t	exit;
};

/**
 * struct guest_mode_violation - an event at a time at which its vCPU did not run
 * @guest_tsc: the guest's own time, in cycles
 * @host_tsc: the time at which readers show it
 * @impossible: the vCPU's TSC never had that value on this host, because it jumped over it
 * @before: the vCPU's last span in guest mode before the event
 * @after: its first span in guest mode after it
 */
struct guest_mode_violation {
	uint64_t		guest_tsc;
	uint64_t		host_tsc;
	bool			impossible;
	struct guest_mode_span	before;
	struct guest_mode_span	after;
};

/**
 * struct guest_mode_counts - numbers of events of a guest, by result
 * @events: all events
 * @inside: in guest mode, as is correct
 * @violations: out of guest mode, or impossible
 * @impossible: of @violations: with guest times that the vCPU's TSC never had
 * @outside: before or after the host's recording
 * @doubtful: of @outside: those that may have been recorded within it; see quiet_time.h
 * @unprovable: at times at which the host lost events
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
 * struct guest_mode_cpu - the result for one CPU of the guest
 * @cpu: number of the CPU in the guest
 * @has_vcpu: @vcpu_id is known
 * @vcpu_id: KVM's vcpu_id of its vCPU
 * @corrected: readers correct the times of this CPU
 * @counts: numbers of its events
 * @earlier: the number of cycles by which all events inside can be moved to earlier times together and still be in
 *	their spans, GUEST_MODE_NO_LIMIT without a limit
 * @later: the same for later times
 * @listed: the first violations; owned
 * @nr_listed: number of @listed
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
 * struct guest_mode_buffer - the result for one buffer of the guest
 * @buffer: the buffer
 * @clock: the name of its clock
 * @checked: its clock is the TSC, so it was checked
 * @cpus: CPUs with data; owned
 * @nr_cpus: number of @cpus
 */
struct guest_mode_buffer {
	const struct trace_dat_buffer	*buffer;
	char				clock[64];
	bool				checked;
	struct guest_mode_cpu		*cpus;
	size_t				nr_cpus;
};

/**
 * struct guest_mode_check - the result for a guest's file
 * @buffers: buffers in the order of the file; owned
 * @nr_buffers: number of @buffers
 */
struct guest_mode_check {
	struct guest_mode_buffer	*buffers;
	size_t			nr_buffers;
};

/**
 * struct guest_mode_check_input - what to check
 * @guest: the guest's file, open
 * @vcpus: the vCPUs of its CPUs
 * @begin, @end: first and last host TSC, in cycles, for which the vCPUs in guest mode are known
 * @file: the times at which readers show the file's events
 * @any_clock: treat times as TSC values, whatever clock the file names
 * @only: the buffer to check, as if it were the top buffer; NULL for all
 * @max_listed: most violations to list for each CPU
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
