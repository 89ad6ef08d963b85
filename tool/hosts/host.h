/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host and its VMs, from a file (host_file.h) or from this machine now (live_host.h): the VMs, the threads of their
 * vCPUs, and the history of each vCPU's TSC offset.
 */
#ifndef TSC_OFFSET_HOST_H
#define TSC_OFFSET_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu_stats.h"
#include "estimate_bound.h"
#include "history.h"
#include "host_clock.h"
#include "host_marks.h"
#include "mapping.h"

struct trace_dat;
struct trace_dat_buffer;
struct tsc_offset_event;

/**
 * enum vm_evidence - why threads belong to one VM
 * @VM_BY_EVENT: the events have the VM
 * @VM_BY_GUEST_OPTION: trace-cmd knew the guest during the recording
 * @VM_BY_THREADS: by the order of threads
 * @VM_BY_USER: the user named all threads
 * @VM_BY_PROCESS: the VM runs in one process of this machine
 */
enum vm_evidence {
	VM_BY_EVENT,
	VM_BY_GUEST_OPTION,
	VM_BY_THREADS,
	VM_BY_USER,
	VM_BY_PROCESS,
};

/**
 * struct host_thread - a thread that runs a vCPU or wrote its offset
 * @tid: its thread id
 * @vcpu_id: KVM's vcpu_id of that vCPU
 * @vm_pid, @vm_fd, @vm_life: the VM as its events name it (event.h); 0, -1 and 0 if they do not
 * @vm_id: the VM's number (event.h), 0 if events do not have it
 * @since: host TSC, in cycles, from which on it belongs to that VM; 0 unless the thread had an earlier VM of this name
 * @entries: number of its entries into guest mode; 0 if it only wrote offsets, for example when it created the vCPU
 * @first, @last: host TSC of its first and last entry, in cycles
 */
struct host_thread {
	int		tid;
	uint32_t	vcpu_id;
	int		vm_pid;
	int		vm_fd;
	uint32_t	vm_life;
	uint64_t	vm_id;
	uint64_t	since;
	uint64_t	entries;
	uint64_t	first;
	uint64_t	last;
};

/**
 * struct vcpu_now - a vCPU's TSC at the end of the recording, or now on a live host
 * @known: the members below are valid
 * @host_tsc: a host TSC, in cycles, at which or since which @map is valid
 * @map: L1's offset and scaling
 * @bound: error bound of @map
 */
struct vcpu_now {
	bool			known;
	uint64_t		host_tsc;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/* Three numbers with their signs, a hyphen, a point and a terminator */
#define HOST_VM_NAME_SIZE	36

/**
 * struct host_vm - a VM
 * @id: its number: the VMM's thread that created it if events have it, else its lowest thread; on a live host, the
 *	process
 * @vm_pid, @vm_fd, @vm_life: as events and KVM's debugfs name it; 0, -1 and 0 if unknown. If only @vm_id is known,
 *	@vm_pid is the lowest thread of its events
 * @vm_id: the number that KVM gives it (event.h), 0 if unknown
 * @name: its name: PID-FD; if these are unknown, idN with @vm_id, or else @id; PID-FD.2 for the second VM of that name
 * @evidence: why its threads belong to one VM
 * @guest_name: name in the GUEST option, NULL without; owned
 * @guest_trace_id: TRACEID of the guest's file in the GUEST option, 0 without
 * @threads: threads in the order of tid; owned
 * @nr_threads: number of @threads
 * @history: the histories of its vCPUs, in the order of vcpu_id, which is the guest's order of CPUs. vCPUs without
 *	events have a history without segments
 * @now: values from other sources than events, as on a live host, for each vCPU of @history; NULL without; owned
 */
struct host_vm {
	int			id;
	int			vm_pid;
	int			vm_fd;
	uint32_t		vm_life;
	uint64_t		vm_id;
	char			name[HOST_VM_NAME_SIZE];
	enum vm_evidence	evidence;
	char			*guest_name;
	uint64_t		guest_trace_id;
	struct host_thread	*threads;
	size_t			nr_threads;
	struct vm_history	history;
	struct vcpu_now		*now;
};

/**
 * struct counted_loss - a loss of a CPU by the kernel's counts
 * @cpu: number of the CPU
 * @lost: its time
 */
struct counted_loss {
	uint32_t		cpu;
	struct lost_range	lost;
};

/**
 * struct host - a host
 * @dat: the file; stays open by the caller; NULL for a live host, see live_host.h
 * @clock: the time scale of all host times here
 * @offsets: the buffer of the offset events, of several the best; NULL if the file has none
 * @missed: a buffer with offset events by another clock, which cannot be used; NULL without
 * @guest_modes: the buffer with kvm_entry and kvm_exit; NULL without
 * @vms: the VMs; owned
 * @nr_vms: number of @vms
 * @names: index of those of @vms that have a name; owned
 * @nr_indexed: number of @vms that were considered for @names
 * @lost: losses in the buffers of the offset events, in the order of their ends; owned
 * @nr_lost: number of @lost
 * @first, @last: times of the first and last event in these buffers, or in @guest_modes without them
 * @recorded_first, @recorded_last: times of the first and last event in all buffers with the clock TSC, and
 *	@guest_modes
 * @modes_from: the host TSC from which on @guest_modes lacks no event, UINT64_MAX if its clock is not the TSC
 * @modes_last: time of the last event in @guest_modes
 * @modes_lost: losses in @guest_modes that its pages do not report; owned
 * @nr_modes_lost: number of @modes_lost
 * @isa: instruction set of KVM, see guest_mode_isa(); 0 if no kvm_exit has it
 * @nr_events: number of events in the buffers of the offset events
 * @events: events that wrote an offset, in the order of time; owned
 * @nr_offset_events: number of @events
 * @reports_changes: changes were recorded, or would have been recorded
 * @marks: the lines of tsc-offset mark
 * @threads: all threads that run a vCPU or wrote its offset, in the order of tid and vcpu_id; owned
 * @owners: for each of @threads the index of its VM; owned
 * @nr_threads: number of @threads
 */
struct host {
	struct trace_dat		*dat;
	struct host_clock		clock;
	const struct trace_dat_buffer	*offsets;
	const struct trace_dat_buffer	*missed;
	const struct trace_dat_buffer	*guest_modes;
	struct host_vm			*vms;
	size_t				nr_vms;
	void				*names;
	size_t				nr_indexed;
	struct lost_range		*lost;
	size_t				nr_lost;
	uint64_t			first;
	uint64_t			last;
	uint64_t			changes_first;
	uint64_t			recorded_first;
	uint64_t			recorded_last;
	uint64_t			modes_from;
	uint64_t			modes_last;
	struct counted_loss		*modes_lost;
	size_t				nr_modes_lost;
	int				isa;
	uint64_t			nr_events;
	struct tsc_offset_event		*events;
	size_t				nr_offset_events;
	bool				reports_changes;
	struct host_marks		marks;
	struct host_thread		*threads;
	size_t				*owners;
	size_t				nr_threads;
};

#endif /* TSC_OFFSET_HOST_H */
