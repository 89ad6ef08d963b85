/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What is known of a host and of its VMs, from a file (host_file.h) or of this machine as it is now (live_host.h): which
 * there are, which threads run their vCPUs, and the history of each vCPU's TSC offset.
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
 * enum vm_evidence - what tells that threads belong to one VM
 * @VM_BY_EVENT: the events name it
 * @VM_BY_GUEST_OPTION: trace-cmd knew the guest when it recorded
 * @VM_BY_THREADS: the order of threads
 * @VM_BY_USER: whoever asks has named all threads
 * @VM_BY_PROCESS: it runs on this machine, in one process
 */
enum vm_evidence {
	VM_BY_EVENT,
	VM_BY_GUEST_OPTION,
	VM_BY_THREADS,
	VM_BY_USER,
	VM_BY_PROCESS,
};

/**
 * struct host_thread - a thread that has to do with a vCPU
 * @tid: its id
 * @vcpu_id: KVM's vcpu_id of that vCPU
 * @vm_pid, @vm_fd, @vm_life: the VM as its events name it (event.h), 0, -1 and 0 if they do not
 * @vm_id: its number (event.h), 0 if they do not report it
 * @since: host TSC, in cycles, from which on it is that VM's; 0 unless the same thread had a VM of the same name before
 * @entries: how often it entered guest mode; 0 for one that only wrote offsets, as when it made the vCPU
 * @first, @last: when it did for the first and the last time, host TSC in cycles
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
 * struct vcpu_now - what a vCPU's TSC is at the end, on a live host now
 * @known: the others say
 * @host_tsc: a host TSC, in cycles, since which or at which it was so
 * @map: offset and scaling, those of a nested guest left aside
 * @bound: how far @map may be wrong
 */
struct vcpu_now {
	bool			known;
	uint64_t		host_tsc;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/* Three numbers with their signs, a hyphen, a point and a zero */
#define HOST_VM_NAME_SIZE	36

/**
 * struct host_vm - a VM
 * @id: its number: the VMM's thread that made it if the events tell, else its lowest thread; that of the
 *	process on a live host
 * @vm_pid, @vm_fd, @vm_life: as events and KVM's debugfs name it, 0, -1 and 0 if that is not known. If only its number
 *	is known, @vm_pid is the lowest thread of its events.
 * @vm_id: the number that KVM gives it (event.h), 0 if that is not known
 * @name: what it is called: PID-FD, or where those are not known idN with @vm_id, or @id; PID-FD.2 for the second of
 *	that name
 * @evidence: why the threads are one VM's
 * @guest_name: of the GUEST option, NULL without; owned
 * @guest_trace_id: TRACEID of the guest's file by the GUEST option, 0 without
 * @threads: in the order of tid; owned
 * @nr_threads: how many
 * @history: what its vCPUs' offsets were. vCPUs without any event have one without segments. In the order
 *	of vcpu_id, which is the guest's order of CPUs.
 * @now: what is known from elsewhere than from events, as on a live host: one for each vCPU of @history;
 *	NULL if nothing is; owned
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
 * struct counted_loss - what a CPU lost by the kernel's counts
 * @cpu: the CPU
 * @lost: when
 */
struct counted_loss {
	uint32_t		cpu;
	struct lost_range	lost;
};

/**
 * struct host - what is known of a host
 * @dat: the file; the caller keeps it open; NULL for a live host, see live_host.h
 * @clock: the time by which all is told here
 * @offsets: the buffer that the offset events are from, of several the best; NULL if there are none in the file
 * @missed: one with offset events by another clock, which could not be used; NULL if there is none
 * @guest_modes: the buffer that has kvm_entry and kvm_exit; NULL if none has
 * @vms: owned
 * @nr_vms: how many
 * @names: those of @vms that have a name, to find them by it; owned
 * @nr_indexed: how many of @vms were looked at for that
 * @lost: in the buffers that the offset events are from, in the order of their ends; owned
 * @nr_lost: how many
 * @first, @last: times of the first and the last event in these, or in @guest_modes without them
 * @changes_first: of the first event in the one of these that begins last
 * @recorded_first, @recorded_last: the same of all buffers by the TSC, with that of @guest_modes
 * @modes_last: time of the last event in @guest_modes
 * @modes_lost: losses in @guest_modes that its pages do not report; owned
 * @nr_modes_lost: how many
 * @isa: which instructions KVM uses, see guest_mode_isa(); 0 if no kvm_exit says it
 * @nr_events: events in the buffers that the offset events are from
 * @events: those that wrote an offset, in the order of time; owned
 * @nr_offset_events: how many
 * @reports_changes: changes were recorded, or would have been if there were any
 * @marks: what tsc-offset mark wrote
 * @threads: all that have to do with a vCPU, in the order of tid and vcpu_id; owned
 * @owners: number of the VM that each of @threads belongs to; owned
 * @nr_threads: how many
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
