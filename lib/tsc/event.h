/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The events that report the TSC offsets of vCPUs, found by name, and their fields.
 *
 * A stock kernel has kvm:kvm_write_tsc_offset with vcpu_id, previous_tsc_offset and next_tsc_offset. A kernel with our
 * patches adds the scaling ratio, its fraction bits and the VM, and has kvm:kvm_write_tsc_multiplier for changes of the
 * ratio. The VM is a number, vm_id; with the patches as they were before, it is vm_pid and vm_fd. On any kernel the probes of lib/kvmhost/kvm_probes.h report the same, but for the values until then, and
 * besides what holds while nothing changes. tsc_changes.h makes one list of changes of all of them. Where records come
 * from is not known here.
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
 * One more probe, in a system of its own so that no recorder of the others has it enabled: what a vCPU has when debugfs
 * is asked for it, whichever thread asks
 */
#define TSC_READ_SYSTEM		"tsc_offset_now"
#define TSC_READ_EVENT		"vcpu"

struct tep_event;
struct tep_format_field;
struct tep_handle;

/**
 * enum tsc_event_kind - what an event reports
 * @TSC_EVENT_CHANGE: a write, with the values until then and from then on
 * @TSC_EVENT_WRITE: a write, with the values from then on
 * @TSC_EVENT_STATE: the values that hold, after whatever was written
 * @TSC_EVENT_VM_END: the end of a VM: what comes later under its name is another's
 */
enum tsc_event_kind { TSC_EVENT_CHANGE, TSC_EVENT_WRITE, TSC_EVENT_STATE, TSC_EVENT_VM_END };

/**
 * struct tsc_offset_event - what a vCPU's TSC offset and scaling are
 * @host_tsc: when, by the trace clock of the buffer (x86-tsc: host cycles)
 * @tid: the thread that did it (common_pid); mostly the vCPU's
 * @kind: which of the following are reported
 * @vcpu_id: KVM's vcpu_id, unique within its VM only
 * @previous: the L1 offset until then, in guest cycles; that of @next if the scaling changed
 * @next: the L1 offset from then on, in guest cycles
 * @previous_ratio: scaling ratio until then, 0 if the record does not report it
 * @ratio: scaling ratio from then on, 0 if the record does not report it or the guest is not scaled
 * @frac_bits: fraction bits of @ratio
 * @vm_pid: the thread that made the VM, 0 if the record does not report it
 * @vm_fd: the file descriptor that it got for it, -1 if the record does not report it: of two VMs of one process
 *	they are different. Both make the name of the VM's directory in KVM's debugfs.
 * @vm: a number that differs between VMs of one process, 0 if the record does not report it
 * @vm_id: the number that KVM gives each VM, 0 if the record does not report it. No other VM gets it until kvm.ko is
 *	unloaded, and then the kernel drops all events of KVM. The file id in a VM's directory in debugfs has it,
 *	while the VM is there. tsc_changes_make() sets @vm_pid and @vm_fd of an event that has it.
 * @vm_ended: KVM's debugfs has no VM with this @vm_id any more; set by boot_instance_events()
 * @vm_life: how many VMs of the same name were before it; set by tsc_changes_make()
 * @tsc_protected: the vCPU's TSC is out of KVM's reach (TDX, SEV-SNP with Secure TSC): offset and ratio are
 *	what KVM reckons with, and need not be what the guest has. Nothing else is ever reported of such a vCPU.
 * @protection_known: the record shows whether it is
 * @writes_ratio: a probe's, of a write of the ratio, of which a kernel's own events report nothing
 * @lost_before: changes before it may not have been reported; set by tsc_changes_make()
 */
struct tsc_offset_event {
	uint64_t		host_tsc;
	int			tid;
	enum tsc_event_kind	kind;
	uint32_t		vcpu_id;
	int64_t			previous;
	int64_t			next;
	uint64_t		previous_ratio;
	uint64_t		ratio;
	uint32_t		frac_bits;
	int			vm_pid;
	int			vm_fd;
	uint32_t		vm;
	uint64_t		vm_id;
	bool			vm_ended;
	uint32_t		vm_life;
	bool			tsc_protected;
	bool			protection_known;
	bool			writes_ratio;
	bool			lost_before;
};

/**
 * struct tsc_offset_format - where the fields lie in a record of one of the events
 * @kind: what the event reports
 * @writes_ratio: as in struct tsc_offset_event
 * @shows_protection: this kernel reports each vCPU whose TSC is protected, if not by this event
 *
 * The fields are NULL where the kernel, or the event, does not have them.
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

/* All of them; the first is the one that each kernel has. Those of writes come before the others. */
#define NR_TSC_EVENTS	6
#define NR_TSC_WRITES	4
extern const struct tsc_event_name tsc_event_names[NR_TSC_EVENTS];

/* No event has this number */
#define TSC_EVENT_NONE	(-1)

/**
 * struct tsc_event_formats - the events, as one kernel numbers and formats them
 * @ids: of each of tsc_event_names its number, TSC_EVENT_NONE if the kernel does not have it
 * @formats: of each its fields
 */
struct tsc_event_formats {
	int				ids[NR_TSC_EVENTS];
	struct tsc_offset_format	formats[NR_TSC_EVENTS];
};

/**
 * typedef tsc_event_func - takes up one event
 * @event: the event; of one CPU in the order of time, of several CPUs not
 * @context: the caller's
 *
 * Returns: 0 to go on, anything else to stop with it.
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
 * tsc_event_format - where the fields of a record lie
 * @formats: of the kernel that the record is from
 * @id: number of the record's event
 *
 * Returns: the format for tsc_offset_event_decode(), NULL if it is another event.
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
