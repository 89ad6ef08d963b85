/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of kvm:kvm_write_tsc_offset, found by name.
 *
 * A stock kernel has vcpu_id, previous_tsc_offset and next_tsc_offset. A kernel with our patches
 * appends the scaling ratio, its fraction bits and the VM. Where records come from is not known here.
 */
#ifndef TSC_OFFSET_EVENT_H
#define TSC_OFFSET_EVENT_H

#include <stddef.h>
#include <stdint.h>

#define TSC_OFFSET_SYSTEM	"kvm"
#define TSC_OFFSET_EVENT	"kvm_write_tsc_offset"

struct tep_event;
struct tep_format_field;

/**
 * struct tsc_offset_event - one change of a vCPU's TSC offset
 * @host_tsc: when it was written, by the trace clock of the buffer (x86-tsc: host cycles)
 * @tid: the thread that wrote it (common_pid); mostly the vCPU's
 * @vcpu_id: KVM's vcpu_id, unique within its VM only
 * @previous: the L1 offset until then, in guest cycles
 * @next: the L1 offset from then on, in guest cycles
 * @ratio: scaling ratio, 0 if the record does not tell or the guest is not scaled
 * @frac_bits: fraction bits of @ratio
 * @vm_pid: the thread that made the VM, 0 if the record does not tell
 */
struct tsc_offset_event {
	uint64_t	host_tsc;
	int		tid;
	uint32_t	vcpu_id;
	int64_t		previous;
	int64_t		next;
	uint64_t	ratio;
	uint32_t	frac_bits;
	int		vm_pid;
};

/**
 * struct tsc_offset_format - where the fields lie in a record; filled by tsc_offset_format_init()
 *
 * The last three are NULL where the kernel does not have the field.
 */
struct tsc_offset_format {
	struct tep_format_field	*pid;
	struct tep_format_field	*vcpu_id;
	struct tep_format_field	*previous;
	struct tep_format_field	*next;
	struct tep_format_field	*ratio;
	struct tep_format_field	*frac_bits;
	struct tep_format_field	*vm_pid;
};

int tsc_offset_format_init(struct tsc_offset_format *format, struct tep_event *event);
int tsc_offset_event_decode(const struct tsc_offset_format *format, uint64_t host_tsc,
			    const void *data, size_t size, struct tsc_offset_event *event);

#endif /* TSC_OFFSET_EVENT_H */
