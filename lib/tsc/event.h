/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The events that report the TSC offsets of vCPUs, found by name, and their fields.
 *
 * A stock kernel has kvm:kvm_write_tsc_offset with vcpu_id, previous_tsc_offset and next_tsc_offset. A kernel with our
 * patches appends the scaling ratio, its fraction bits and the number of the VM, and has kvm:kvm_write_tsc_multiplier
 * for changes of the ratio. Earlier patches had the VM's vm_pid and vm_fd instead of its number. On any kernel the
 * probes of lib/kvmhost/kvm_probes.h report the same except the previous values, and also report the current values
 * between changes. tsc_changes.h merges all of them into one list of changes. This file does not know where records
 * come from.
 */
#ifndef TSC_OFFSET_EVENT_H
#define TSC_OFFSET_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TSC_OFFSET_SYSTEM	"kvm"
#define TSC_OFFSET_EVENT	"kvm_write_tsc_offset"
#define TSC_MULTIPLIER_EVENT	"kvm_write_tsc_multiplier"

/* Probes on a kernel without our patches (lib/kvmhost/kvm_probes.h) */
#define TSC_PROBE_SYSTEM	"tsc_offset"
#define TSC_PROBE_OFFSET	"write_offset"
#define TSC_PROBE_RATIO		"write_ratio"
#define TSC_PROBE_LOAD		"vcpu_load"
#define TSC_PROBE_VM_END	"vm_end"

/*
 * A probe in a system of its own, so that recorders that enable the others do not enable it: the values of a vCPU
 * whenever a thread reads them from debugfs
 */
#define TSC_READ_SYSTEM		"tsc_offset_now"
#define TSC_READ_EVENT		"vcpu"

struct tep_event;
struct tep_format_field;
struct tep_handle;

/**
 * enum tsc_event_kind - what an event reports
 * @TSC_EVENT_CHANGE: a write, with the values before and after it
 * @TSC_EVENT_WRITE: a write, with the values after it
 * @TSC_EVENT_STATE: the current values, which any write may have set
 * @TSC_EVENT_VM_END: the end of a VM: later events with its name are another VM's
 */
enum tsc_event_kind { TSC_EVENT_CHANGE, TSC_EVENT_WRITE, TSC_EVENT_STATE, TSC_EVENT_VM_END };

/**
 * struct tsc_offset_event - the TSC offset and scaling of a vCPU at a moment
 * @host_tsc: the event's time by the trace clock of the buffer (x86-tsc: host cycles)
 * @tid: the thread that caused it (common_pid), usually the vCPU's
 * @kind: which of the members below are valid
 * @vcpu_id: KVM's vcpu_id, unique within its VM only
 * @previous: the L1 offset before, in guest cycles; equal to @next if the scaling changed
 * @next: the L1 offset after, in guest cycles
 * @previous_ratio: scaling ratio before, 0 if the record does not have it
 * @ratio: scaling ratio after, 0 if the record does not have it or the guest is not scaled
 * @frac_bits: fraction bits of @ratio
 * @vm_pid: the thread that created the VM, 0 if the record does not have it
 * @vm_fd: the VM's file descriptor in that thread, -1 if the record does not have it. It distinguishes VMs of one
 *	process. @vm_pid and @vm_fd form the name of the VM's directory in KVM's debugfs
 * @vm: a number that differs between VMs of one process, 0 if the record does not have it
 * @vm_id: the number that KVM gives each VM, 0 if the record does not have it. KVM does not reuse it until kvm.ko is
 *	unloaded, and then the kernel drops all events of KVM. While the VM exists, the file id in its directory in
 *	debugfs has it. tsc_changes_make() sets @vm_pid and @vm_fd of an event that has it
 * @vm_ended: KVM's debugfs no longer has a VM with this @vm_id; set by boot_instance_events()
 * @vm_life: number of earlier VMs with the same name; set by tsc_changes_make()
 * @tsc_protected: KVM cannot change the vCPU's TSC (TDX, SEV-SNP with Secure TSC). Offset and ratio are those that KVM
 *	computes with; the guest's may differ. Such a vCPU has no other events
 * @protection_known: the record has @tsc_protected
 * @writes_ratio: from a probe on writes of the ratio, which a kernel's own events do not report
 * @lost_before: earlier changes may be missing; set by tsc_changes_make()
 */
struct tsc_offset_event {
	uint64_t		host_tsc;
	int			tid;
	enum tsc_event_kind	kind;
	uint32_t		vcpu_id;
	uint32_t		frac_bits;
	int64_t			previous;
	int64_t			next;
	uint64_t		previous_ratio;
	uint64_t		ratio;
	int			vm_pid;
	int			vm_fd;
	uint64_t		vm_id;
	uint32_t		vm;
	uint32_t		vm_life;
	bool			vm_ended;
	bool			tsc_protected;
	bool			protection_known;
	bool			writes_ratio;
	bool			lost_before;
};

/**
 * struct tsc_offset_format - where one of the events has its fields
 * @kind: what the event reports
 * @writes_ratio: as in struct tsc_offset_event
 * @shows_protection: this kernel reports every vCPU whose TSC is protected, by this event or another
 *
 * A field is NULL if the kernel or the event does not have it.
 */
struct tsc_offset_format {
	enum tsc_event_kind	kind;
	bool			writes_ratio;
	bool			shows_protection;
	struct tep_format_field	*pid;
	struct tep_format_field	*vcpu_id;
	struct tep_format_field	*previous;
	struct tep_format_field	*next;
	struct tep_format_field	*previous_ratio;
	struct tep_format_field	*ratio;
	struct tep_format_field	*frac_bits;
	struct tep_format_field	*vm_pid;
	struct tep_format_field	*vm_fd;
	struct tep_format_field	*vm;
	struct tep_format_field	*vm_name;
	struct tep_format_field	*vm_id;
	struct tep_format_field	*tsc_protected;
};

/**
 * struct tsc_event_name - an event
 * @system: its system
 * @name: its name there
 */
struct tsc_event_name {
	const char	*system;
	const char	*name;
};

/* The first is the one that every kernel has. Events of writes come before the others. */
#define NR_TSC_EVENTS	6
#define NR_TSC_WRITES	4
extern const struct tsc_event_name tsc_event_names[NR_TSC_EVENTS];

/* Not the number of any event */
#define TSC_EVENT_NONE	(-1)

/**
 * struct tsc_event_formats - the numbers and formats of the events in one kernel
 * @ids: the number of each of tsc_event_names, TSC_EVENT_NONE if the kernel does not have it
 * @formats: the fields of each
 */
struct tsc_event_formats {
	int				ids[NR_TSC_EVENTS];
	struct tsc_offset_format	formats[NR_TSC_EVENTS];
};

/**
 * typedef tsc_event_func - handles one event
 * @event: the event; events of one CPU come in the order of time, those of several CPUs do not
 * @context: the caller's
 *
 * Returns: 0 to continue; any other value stops and is returned.
 */
typedef int (*tsc_event_func)(const struct tsc_offset_event *event, void *context);

int tsc_event_formats_init(struct tsc_event_formats *formats, struct tep_handle *tep,
			   const struct tsc_event_name **lacking);
int tsc_offset_format_init(struct tsc_offset_format *format, struct tep_event *event);
int tsc_offset_event_compare(const void *a, const void *b);
int tsc_event_read_field(struct tep_format_field *field, const void *data, size_t size,
			 unsigned long long *value);
int tsc_offset_event_decode(const struct tsc_offset_format *format, uint64_t host_tsc,
			    const void *data, size_t size, struct tsc_offset_event *event);

/**
 * tsc_event_format - find the format of a record
 * @formats: formats of the kernel that wrote the record
 * @id: number of the record's event
 *
 * Returns: the format for tsc_offset_event_decode(), or NULL for other events.
 */
static inline const struct tsc_offset_format *tsc_event_format(const struct tsc_event_formats *formats, int id)
{
	for (size_t i = 0; i < NR_TSC_EVENTS; i++) {
		if (formats->ids[i] == id)
			return id == TSC_EVENT_NONE ? NULL : &formats->formats[i];
	}
	return NULL;
}

#endif /* TSC_OFFSET_EVENT_H */
