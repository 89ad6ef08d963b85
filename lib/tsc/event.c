// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <event-parse.h>

#include "event.h"
#include "mapping.h"
#include "number.h"
#include "order.h"

const struct tsc_event_name tsc_event_names[NR_TSC_EVENTS] = {
	{ TSC_OFFSET_SYSTEM,	TSC_OFFSET_EVENT },
	{ TSC_OFFSET_SYSTEM,	TSC_MULTIPLIER_EVENT },
	{ TSC_PROBE_SYSTEM,	TSC_PROBE_OFFSET },
	{ TSC_PROBE_SYSTEM,	TSC_PROBE_RATIO },
	{ TSC_PROBE_SYSTEM,	TSC_PROBE_LOAD },
	{ TSC_PROBE_SYSTEM,	TSC_PROBE_VM_END },
};

/* All kernels since 3.11 have the first three */
static int init_offset(struct tsc_offset_format *format, struct tep_event *event)
{
	format->kind		= TSC_EVENT_CHANGE;
	format->previous	= tep_find_field(event, "previous_tsc_offset");
	format->next		= tep_find_field(event, "next_tsc_offset");
	format->ratio		= tep_find_field(event, "tsc_scaling_ratio");
	/* One is meaningless without the other */
	if (!format->frac_bits)
		format->ratio = NULL;
	/* A change of the offset does not change the ratio */
	format->previous_ratio = format->ratio;
	return format->vcpu_id && format->previous && format->next ? 0 : -ENOENT;
}

/* A change of the scaling does not change the offset, so it is both previous and next */
static int init_multiplier(struct tsc_offset_format *format, struct tep_event *event)
{
	format->kind		= TSC_EVENT_CHANGE;
	format->previous	= tep_find_field(event, "tsc_offset");
	format->next		= format->previous;
	format->previous_ratio	= tep_find_field(event, "previous_tsc_scaling_ratio");
	format->ratio		= tep_find_field(event, "next_tsc_scaling_ratio");
	return format->vcpu_id && format->next && format->ratio && format->frac_bits ? 0 : -ENOENT;
}

static int init_probe(struct tsc_offset_format *format, struct tep_event *event)
{
	format->kind		= !strcmp(event->name, TSC_PROBE_OFFSET) || !strcmp(event->name, TSC_PROBE_RATIO) ?
		TSC_EVENT_WRITE : TSC_EVENT_STATE;
	format->writes_ratio	= !strcmp(event->name, TSC_PROBE_RATIO);
	format->next		= tep_find_field(event, "l1_offset");
	format->ratio		= tep_find_field(event, "l1_ratio");
	format->frac_bits	= tep_find_field(event, "frac_bits");
	format->vm		= tep_find_field(event, "vm");
	format->vm_name		= tep_find_field(event, "vm_name");
	return format->vcpu_id && format->next && format->ratio && format->frac_bits && format->vm && format->vm_pid ?
		0 : -ENOENT;
}

static int init_vm_end(struct tsc_offset_format *format, struct tep_event *event)
{
	format->kind	= TSC_EVENT_VM_END;
	format->vm	= tep_find_field(event, "vm");
	return format->vm && format->vm_pid ? 0 : -ENOENT;
}

/**
 * tsc_offset_format_init - find the fields of one of the events
 * @format: result; valid while @event is
 * @event: the event's format as libtraceevent parsed it
 *
 * Returns: 0, or -ENOENT if it is another event or lacks a mandatory field.
 */
int tsc_offset_format_init(struct tsc_offset_format *format, struct tep_event *event)
{
	bool is_probe = !strcmp(event->system, TSC_PROBE_SYSTEM) || !strcmp(event->system, TSC_READ_SYSTEM);

	*format = (struct tsc_offset_format) {
		.pid		= tep_find_any_field(event, "common_pid"),
		.vcpu_id	= tep_find_field(event, "vcpu_id"),
		.frac_bits	= tep_find_field(event, "tsc_scaling_ratio_frac_bits"),
		.vm_pid		= tep_find_field(event, "vm_pid"),
		.vm_fd		= tep_find_field(event, "vm_fd"),
		.vm_id		= tep_find_field(event, "vm_id"),
		.tsc_protected	= tep_find_field(event, "tsc_protected"),
	};
	if (is_probe)
		return strcmp(event->name, TSC_PROBE_VM_END) ? init_probe(format, event) : init_vm_end(format, event);
	if (!strcmp(event->name, TSC_OFFSET_EVENT))
		return init_offset(format, event);
	return strcmp(event->name, TSC_MULTIPLIER_EVENT) ? -ENOENT : init_multiplier(format, event);
}

/**
 * tsc_event_formats_init - find all events and their fields
 * @formats: result; valid while @tep is
 * @tep: has the formats that exist
 * @lacking: result: the event that lacks a field; may be NULL
 *
 * Returns: 0, or -ENOENT if an event lacks a field.
 */
int tsc_event_formats_init(struct tsc_event_formats *formats, struct tep_handle *tep,
			   const struct tsc_event_name **lacking)
{
	bool shows_protection = false;

	for (size_t i = 0; i < NR_TSC_EVENTS; i++) {
		struct tep_event *event =
			tep_find_event_by_name(tep, tsc_event_names[i].system, tsc_event_names[i].name);

		formats->ids[i] = event ? event->id : TSC_EVENT_NONE;
		formats->formats[i] = (struct tsc_offset_format) { 0 };
		if (!event || !tsc_offset_format_init(&formats->formats[i], event)) {
			shows_protection |= formats->formats[i].tsc_protected && !formats->formats[i].vm;
			continue;
		}
		if (lacking)
			*lacking = &tsc_event_names[i];
		return -ENOENT;
	}
	for (size_t i = 0; i < NR_TSC_EVENTS; i++)
		formats->formats[i].shows_protection = shows_protection;
	return 0;
}

/**
 * tsc_event_read_field - read a number from a record
 * @field: the field; NULL, for kernels that do not have it, reads as 0
 * @data: the record's payload, including common fields
 * @size: bytes at @data
 * @value: result
 *
 * Returns: 0, or -EBADMSG if the record is too short.
 */
int tsc_event_read_field(struct tep_format_field *field, const void *data, size_t size,
			 unsigned long long *value)
{
	*value = 0;
	if (!field)
		return 0;
	if (field->offset < 0 || field->size < 0 || (size_t)field->offset + field->size > size)
		return -EBADMSG;
	return tep_read_number_field(field, data, value) ? -EBADMSG : 0;
}

/*
 * Reads a VM's name, "PID-FD", from a string in the record. The low half of a field __data_loc is the offset, and the
 * high half the length with the NUL (the kernel's Documentation/trace/ftrace.rst). It is "(fault)" if the VM has no
 * directory in debugfs.
 */
static void read_vm_name(const struct tsc_offset_format *format, const char *data, size_t size,
			 struct tsc_offset_event *event)
{
	unsigned long long place;
	const char *text;
	uint64_t pid, fd;
	size_t at, length;
	char name[32];

	if (!format->vm_name || tsc_event_read_field(format->vm_name, data, size, &place))
		return;
	at = place & 0xffff;
	length = place >> 16 & 0xffff;
	if (!length || length > sizeof(name) || at > size || length > size - at)
		return;
	memcpy(name, data + at, length);
	name[length - 1] = '\0';
	text = name;
	if (number_take(&text, &pid) && pid && pid <= INT_MAX && *text++ == '-' && number_parse(text, &fd) &&
	    fd <= INT_MAX) {
		event->vm_pid = (int)pid;
		event->vm_fd = (int)fd;
	}
}

/**
 * tsc_offset_event_decode - read one record
 * @format: places of the fields
 * @host_tsc: the record's timestamp
 * @data: the record's payload, including common fields
 * @size: bytes at @data
 * @event: result
 *
 * Returns: 0, or -EBADMSG if the record is too short for its format or the fraction bits are out of range.
 */
int tsc_offset_event_decode(const struct tsc_offset_format *format, uint64_t host_tsc,
			    const void *data, size_t size, struct tsc_offset_event *event)
{
	unsigned long long pid, vcpu_id, previous, next, previous_ratio, ratio, frac_bits, vm_pid, vm_fd, vm,
			   vm_id, tsc_protected;

	if (tsc_event_read_field(format->pid, data, size, &pid) ||
	    tsc_event_read_field(format->vcpu_id, data, size, &vcpu_id) ||
	    tsc_event_read_field(format->previous, data, size, &previous) ||
	    tsc_event_read_field(format->next, data, size, &next) ||
	    tsc_event_read_field(format->previous_ratio, data, size, &previous_ratio) ||
	    tsc_event_read_field(format->ratio, data, size, &ratio) ||
	    tsc_event_read_field(format->frac_bits, data, size, &frac_bits) ||
	    tsc_event_read_field(format->vm_pid, data, size, &vm_pid) ||
	    tsc_event_read_field(format->vm_fd, data, size, &vm_fd) ||
	    tsc_event_read_field(format->vm, data, size, &vm) ||
	    tsc_event_read_field(format->vm_id, data, size, &vm_id) ||
	    tsc_event_read_field(format->tsc_protected, data, size, &tsc_protected))
		return -EBADMSG;
	if (frac_bits > TSC_MAX_FRAC_BITS)
		return -EBADMSG;

	*event = (struct tsc_offset_event) {
		.host_tsc	= host_tsc,
		.tid		= (int)pid,
		.kind		= format->kind,
		.vcpu_id	= (uint32_t)vcpu_id,
		.previous	= (int64_t)previous,
		.next		= (int64_t)next,
		.previous_ratio	= previous_ratio,
		.ratio		= ratio,
		.frac_bits	= (uint32_t)frac_bits,
		.vm_pid		= (int)vm_pid,
		.vm_fd		= format->vm_fd ? (int)vm_fd : -1,
		.vm		= (uint32_t)vm,
		.vm_id		= vm_id,
		.tsc_protected	= tsc_protected != 0,
		/* A probe has the field if KVM has protected TSCs */
		.protection_known = format->shows_protection || format->tsc_protected || format->vm,
		.writes_ratio	= format->writes_ratio,
	};
	/* For a TDX guest, KVM has the correct values from the TDX module */
	if (format->vm && frac_bits != TSC_SVM_FRAC_BITS)
		event->tsc_protected = false;
	/* 0 would mean that it is not reported */
	if (format->vm && !event->vm)
		event->vm = UINT32_MAX;
	read_vm_name(format, data, size, event);
	return 0;
}

/**
 * tsc_offset_event_compare - compare events by time, for qsort()
 * @a, @b: each a struct tsc_offset_event
 *
 * Returns: less than, equal to or greater than 0.
 */
ORDER_BY(tsc_offset_event_compare, struct tsc_offset_event, host_tsc)
