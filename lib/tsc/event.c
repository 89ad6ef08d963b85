// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include <event-parse.h>

#include "event.h"
#include "mapping.h"

static struct tsc_offset_format common_fields(struct tep_event *event)
{
	return (struct tsc_offset_format) {
		.pid		= tep_find_any_field(event, "common_pid"),
		.vcpu_id	= tep_find_field(event, "vcpu_id"),
		.frac_bits	= tep_find_field(event, "tsc_scaling_ratio_frac_bits"),
		.vm_pid		= tep_find_field(event, "vm_pid"),
		.vm_fd		= tep_find_field(event, "vm_fd"),
	};
}

/**
 * tsc_offset_format_init - find the fields of kvm_write_tsc_offset
 * @format: result; valid as long as @event is
 * @event: the event's format as libtraceevent parsed it
 *
 * Returns: 0, or -ENOENT if a field is missing that every kernel since 3.11 has.
 */
int tsc_offset_format_init(struct tsc_offset_format *format, struct tep_event *event)
{
	*format = common_fields(event);
	format->previous = tep_find_field(event, "previous_tsc_offset");
	format->next = tep_find_field(event, "next_tsc_offset");
	format->ratio = tep_find_field(event, "tsc_scaling_ratio");
	/* One without the other means nothing */
	if (!format->frac_bits)
		format->ratio = NULL;
	/* The ratio stays as it is when the offset changes */
	format->previous_ratio = format->ratio;
	if (!format->vcpu_id || !format->previous || !format->next)
		return -ENOENT;
	return 0;
}

/**
 * tsc_multiplier_format_init - find the fields of kvm_write_tsc_multiplier
 * @format: result; valid as long as @event is
 * @event: the event's format as libtraceevent parsed it
 *
 * The offset stays as it is when the scaling changes: it is the one until then and from then on.
 *
 * Returns: 0, or -ENOENT if a field is missing.
 */
int tsc_multiplier_format_init(struct tsc_offset_format *format, struct tep_event *event)
{
	struct tep_format_field *offset = tep_find_field(event, "tsc_offset");

	*format = common_fields(event);
	format->previous = format->next = offset;
	format->previous_ratio = tep_find_field(event, "previous_tsc_scaling_ratio");
	format->ratio = tep_find_field(event, "next_tsc_scaling_ratio");
	format->tsc_protected = tep_find_field(event, "tsc_protected");
	if (!format->vcpu_id || !offset || !format->ratio || !format->frac_bits)
		return -ENOENT;
	return 0;
}

/**
 * tsc_event_formats_init - find the fields of both events
 * @formats: result; valid as long as the events are
 * @offset: kvm_write_tsc_offset as libtraceevent parsed it, NULL if there is none
 * @multiplier: kvm_write_tsc_multiplier likewise
 *
 * Returns: 0, or -ENOENT if a field is missing in one of them.
 */
int tsc_event_formats_init(struct tsc_event_formats *formats, struct tep_event *offset,
			   struct tep_event *multiplier)
{
	*formats = (struct tsc_event_formats) {
		.offset_id	= offset ? offset->id : TSC_EVENT_NONE,
		.multiplier_id	= multiplier ? multiplier->id : TSC_EVENT_NONE,
	};
	if (offset && tsc_offset_format_init(&formats->offset, offset))
		return -ENOENT;
	if (multiplier && tsc_multiplier_format_init(&formats->multiplier, multiplier))
		return -ENOENT;
	return 0;
}

/**
 * tsc_event_format - where the fields of a record lie
 * @formats: of the kernel that the record is from
 * @id: number of the record's event
 *
 * Returns: the format for tsc_offset_event_decode(), NULL if it is another event.
 */
const struct tsc_offset_format *tsc_event_format(const struct tsc_event_formats *formats, int id)
{
	if (id == TSC_EVENT_NONE)
		return NULL;
	if (id == formats->offset_id)
		return &formats->offset;
	return id == formats->multiplier_id ? &formats->multiplier : NULL;
}

/**
 * tsc_event_read_field - read a number from a record
 * @field: where it lies; NULL, as of a kernel that does not have it, reads as 0
 * @data: the record's payload, common fields included
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

/**
 * tsc_offset_event_decode - read one record
 * @format: where the fields lie
 * @host_tsc: the record's timestamp
 * @data: the record's payload, common fields included
 * @size: bytes at @data
 * @event: result
 *
 * Returns: 0, or -EBADMSG if the record is too short for its format or the fraction bits make no
 * sense.
 */
int tsc_offset_event_decode(const struct tsc_offset_format *format, uint64_t host_tsc,
			    const void *data, size_t size, struct tsc_offset_event *event)
{
	unsigned long long pid, vcpu_id, previous, next, previous_ratio, ratio, frac_bits, vm_pid, vm_fd,
			   tsc_protected;

	if (tsc_event_read_field(format->pid, data, size, &pid) ||
	    tsc_event_read_field(format->vcpu_id, data, size, &vcpu_id) ||
	    tsc_event_read_field(format->previous, data, size, &previous) ||
	    tsc_event_read_field(format->next, data, size, &next) ||
	    tsc_event_read_field(format->previous_ratio, data, size, &previous_ratio) ||
	    tsc_event_read_field(format->ratio, data, size, &ratio) ||
	    tsc_event_read_field(format->frac_bits, data, size, &frac_bits) ||
	    tsc_event_read_field(format->vm_pid, data, size, &vm_pid) ||
	    tsc_event_read_field(format->vm_fd, data, size, &vm_fd) ||
	    tsc_event_read_field(format->tsc_protected, data, size, &tsc_protected))
		return -EBADMSG;
	if (frac_bits > TSC_MAX_FRAC_BITS)
		return -EBADMSG;

	*event = (struct tsc_offset_event) {
		.host_tsc	= host_tsc,
		.tid		= (int)pid,
		.vcpu_id	= (uint32_t)vcpu_id,
		.previous	= (int64_t)previous,
		.next		= (int64_t)next,
		.previous_ratio	= previous_ratio,
		.ratio		= ratio,
		.frac_bits	= (uint32_t)frac_bits,
		.vm_pid		= (int)vm_pid,
		.vm_fd		= format->vm_fd ? (int)vm_fd : -1,
		.tsc_protected	= tsc_protected != 0,
	};
	return 0;
}

/**
 * tsc_offset_event_compare - the order of events in time, as for qsort()
 * @a, @b: each a struct tsc_offset_event
 *
 * Returns: less than, equal to or more than 0.
 */
int tsc_offset_event_compare(const void *a, const void *b)
{
	const struct tsc_offset_event *x = a, *y = b;

	return (x->host_tsc > y->host_tsc) - (x->host_tsc < y->host_tsc);
}
