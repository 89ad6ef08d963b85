/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The numbers and fields of the events that this project reads, in one trace.dat. The number identifies an event before
 * any other field is read.
 */
#ifndef TSC_OFFSET_EVENT_IDS_H
#define TSC_OFFSET_EVENT_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "ring_page.h"

struct tep_handle;
struct trace_dat;

/* The file does not have the event: not the number of any event */
#define EVENT_ID_NONE	TSC_EVENT_NONE

/**
 * struct guest_mode_format - offsets of the fields of kvm_entry or kvm_exit in a record, in bytes
 * @id: the event's number, EVENT_ID_NONE if the file does not have it
 * @pid: common_pid
 * @vcpu_id: 0 if the kernel is too old to have the field
 * @isa: in kvm_exit: the instruction set of KVM, see GUEST_MODE_VMX; 0 if the kernel is too old to have the field
 *
 * All of them have 32 bits. These two events are the majority of a host's file.
 */
struct guest_mode_format {
	int	id;
	size_t	pid;
	size_t	vcpu_id;
	size_t	isa;
};

/* KVM_ISA_VMX and KVM_ISA_SVM of the kernel (arch/x86/include/asm/kvm_host.h) */
#define GUEST_MODE_VMX	1
#define GUEST_MODE_SVM	2

/**
 * struct print_format - an event of trace_marker
 * @id: the event's number, EVENT_ID_NONE if the file does not have it
 * @text: offset of the text in the record, in bytes; it extends to the record's end
 */
struct print_format {
	int	id;
	size_t	text;
};

/**
 * struct event_ids - the events of one file
 * @tep: formats; owned
 * @tsc: kvm_write_tsc_offset and kvm_write_tsc_multiplier
 * @entry, @exit: kvm_entry and kvm_exit
 * @print: the event of writes to trace_marker
 * @sched_switch: number of the event sched_switch
 */
struct event_ids {
	struct tep_handle		*tep;
	struct tsc_event_formats	tsc;
	struct guest_mode_format	entry;
	struct guest_mode_format	exit;
	struct print_format		print;
	int				sched_switch;
};

int event_ids_read(struct event_ids *ids, struct trace_dat *dat);
void event_ids_release(struct event_ids *ids);
int guest_mode_tid(const struct guest_mode_format *format, const struct ring_event *event, int *tid);
int guest_mode_decode(const struct guest_mode_format *format, const struct ring_event *event,
		      int *tid, uint32_t *vcpu_id);
const char *print_text(const struct print_format *format, const struct ring_event *event, size_t *size);
int guest_mode_isa(const struct guest_mode_format *format, const struct ring_event *event);

/**
 * ring_event_id - get the number of a record's event
 * @event: the record
 *
 * common_type is the first field of all events and has 16 bits.
 *
 * Returns: the number, or EVENT_ID_NONE if the record is too short.
 */
static inline int ring_event_id(const struct ring_event *event)
{
	return event->size < 2 ? EVENT_ID_NONE : event->data[0] | event->data[1] << 8;
}

#endif /* TSC_OFFSET_EVENT_IDS_H */
