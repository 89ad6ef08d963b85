/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The fields of kvm:kvm_write_tsc_offset and of kvm:kvm_write_tsc_multiplier, found by name.
 *
 * A stock kernel has the first event with vcpu_id, previous_tsc_offset and next_tsc_offset. A kernel with our
 * patches appends the scaling ratio, its fraction bits and the VM, and has the second event for changes of the
 * ratio, which on newer kernels also tells vCPUs whose TSC is out of KVM's reach. Both say the same, from when on
 * which offset and which ratio are in force, and are one struct from here on. Where records come from is not known
 * here.
 */
#ifndef TSC_OFFSET_EVENT_H
#define TSC_OFFSET_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TSC_OFFSET_SYSTEM	"kvm"
#define TSC_OFFSET_EVENT	"kvm_write_tsc_offset"
#define TSC_MULTIPLIER_EVENT	"kvm_write_tsc_multiplier"

struct tep_event;
struct tep_format_field;

/**
 * struct tsc_offset_event - one change of a vCPU's TSC offset, or of its scaling
 * @host_tsc: when it was written, by the trace clock of the buffer (x86-tsc: host cycles)
 * @tid: the thread that wrote it (common_pid); mostly the vCPU's
 * @vcpu_id: KVM's vcpu_id, unique within its VM only
 * @previous: the L1 offset until then, in guest cycles; that of @next if the scaling changed
 * @next: the L1 offset from then on, in guest cycles
 * @previous_ratio: scaling ratio until then, 0 if the record does not tell
 * @ratio: scaling ratio from then on, 0 if the record does not tell or the guest is not scaled
 * @frac_bits: fraction bits of @ratio
 * @vm_pid: the thread that made the VM, 0 if the record does not tell
 * @vm_fd: the file descriptor that it got for it, -1 if the record does not tell: of two VMs of one process
 *	they are different. Both make the name of the VM's directory in KVM's debugfs.
 * @tsc_protected: the vCPU's TSC is out of KVM's reach (TDX, SEV-SNP with Secure TSC): offset and ratio are
 *	what KVM reckons with, and need not be what the guest has. Nothing else is ever told of such a vCPU.
 */
struct tsc_offset_event {
	uint64_t	host_tsc;
	int		tid;
	uint32_t	vcpu_id;
	int64_t		previous;
	int64_t		next;
	uint64_t	previous_ratio;
	uint64_t	ratio;
	uint32_t	frac_bits;
	int		vm_pid;
	int		vm_fd;
	bool		tsc_protected;
};

/**
 * struct tsc_offset_format - where the fields lie in a record of one of the events
 *
 * Filled by tsc_offset_format_init() or tsc_multiplier_format_init(). Those after @next are NULL where the
 * kernel does not have the field.
 */
struct tsc_offset_format {
	struct tep_format_field	*pid;
	struct tep_format_field	*vcpu_id;
	struct tep_format_field	*previous;
	struct tep_format_field	*next;
	struct tep_format_field	*previous_ratio;
	struct tep_format_field	*ratio;
	struct tep_format_field	*frac_bits;
	struct tep_format_field	*vm_pid;
	struct tep_format_field	*vm_fd;
	struct tep_format_field	*tsc_protected;
};

/**
 * struct tsc_event_formats - both events, as one kernel numbers and formats them
 * @offset_id: number of kvm_write_tsc_offset, TSC_EVENT_NONE if the kernel does not have it
 * @offset: its fields
 * @multiplier_id: number of kvm_write_tsc_multiplier, likewise
 * @multiplier: its fields
 */
struct tsc_event_formats {
	int				offset_id;
	struct tsc_offset_format	offset;
	int				multiplier_id;
	struct tsc_offset_format	multiplier;
};

/* No event has this number */
#define TSC_EVENT_NONE	(-1)

/**
 * typedef tsc_event_func - takes up one event
 * @event: the event; of one CPU in the order of time, of several CPUs not
 * @context: the caller's
 *
 * Returns: 0 to go on, anything else to stop with it.
 */
typedef int (*tsc_event_func)(const struct tsc_offset_event *event, void *context);

int tsc_event_formats_init(struct tsc_event_formats *formats, struct tep_event *offset,
			   struct tep_event *multiplier);
const struct tsc_offset_format *tsc_event_format(const struct tsc_event_formats *formats, int id);
int tsc_offset_format_init(struct tsc_offset_format *format, struct tep_event *event);
int tsc_multiplier_format_init(struct tsc_offset_format *format, struct tep_event *event);
int tsc_offset_event_compare(const void *a, const void *b);
int tsc_event_read_field(struct tep_format_field *field, const void *data, size_t size,
			 unsigned long long *value);
int tsc_offset_event_decode(const struct tsc_offset_format *format, uint64_t host_tsc,
			    const void *data, size_t size, struct tsc_offset_event *event);

#endif /* TSC_OFFSET_EVENT_H */
