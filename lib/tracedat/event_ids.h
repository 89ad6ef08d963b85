/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The events that matter, by their numbers in one trace.dat, and their fields. An event is
 * recognised by its number before anything else of it is read.
 */
#ifndef TSC_OFFSET_EVENT_IDS_H
#define TSC_OFFSET_EVENT_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "ring_page.h"

struct tep_handle;
struct trace_dat;

/* An event that the file does not have: no event has this number */
#define EVENT_ID_NONE	TSC_EVENT_NONE

/**
 * struct guest_mode_format - where kvm_entry or kvm_exit has its fields, in bytes from the record's begin
 * @id: the event's number, EVENT_ID_NONE if the file does not have it
 * @pid: common_pid
 * @vcpu_id: 0 if the kernel is too old to have it there
 * @isa: of kvm_exit: which instructions KVM uses, see GUEST_MODE_VMX; 0 if the kernel is too old to have it
 *
 * All of them are 32 bits wide. A host's file has more of these two than of all others.
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
 * struct print_format - where an event of trace_marker has its text
 * @id: the event's number, EVENT_ID_NONE if the file does not have it
 * @text: the text, up to the record's end, in bytes from its begin
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
 * @print: what is written to trace_marker
 * @sched_switch: the number of the event with which a thread gives its CPU to another one
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
 * ring_event_id - number of the event that a record is of
 * @event: the record
 *
 * common_type is the first field of all events, 16 bits wide.
 *
 * Returns: the number, or EVENT_ID_NONE if the record is too short to have one.
 */
static inline int ring_event_id(const struct ring_event *event)
{
	return event->size < 2 ? EVENT_ID_NONE : event->data[0] | event->data[1] << 8;
}

#endif /* TSC_OFFSET_EVENT_IDS_H */
