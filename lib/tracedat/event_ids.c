// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <event-parse.h>

#include "cleanup.h"
#include "event_ids.h"
#include "format_text.h"
#include "trace_dat.h"

/* Returns: 0 with *event NULL if the file does not have it */
static int parse(struct event_ids *ids, struct trace_dat *dat, const char *system, const char *name,
		 struct tep_event **event)
{
	_cleanup_(freep) char *text = NULL, *fields = NULL;
	struct format_text format;
	size_t size;
	int ret;

	*event = NULL;
	ret = trace_dat_event_format(dat, system, name, &text, &size);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	/* Only the fields are needed. The rest is C code, which the library would parse in vain. */
	if (!format_text_scan(&format, text, size))
		return trace_dat_fail(dat, -EBADMSG, trace_dat_part_offset(dat, TRACE_DAT_EVENT_FORMATS),
				      "the format of %s is too large, or does not have the form that kernels write",
				      name);
	fields = format_text_copy(&format, false, &size);
	if (!fields)
		return -ENOMEM;
	tep_parse_event(ids->tep, fields, size, system);
	*event = tep_find_event_by_name(ids->tep, system, name);
	if (!*event)
		return trace_dat_fail(dat, -EBADMSG, trace_dat_part_offset(dat, TRACE_DAT_EVENT_FORMATS),
				      "the format of %s cannot be parsed", name);
	return 0;
}

/* @at: result, 0 if the event does not have the field */
static int find_word(struct trace_dat *dat, const struct tep_event *event, const struct tep_format_field *field,
		     size_t *at)
{
	*at = 0;
	if (!field)
		return 0;
	if (field->size != sizeof(uint32_t) || field->offset <= 0)
		return trace_dat_fail(dat, -EBADMSG, trace_dat_part_offset(dat, TRACE_DAT_EVENT_FORMATS),
				      "%s has its %s in %d bytes at %d", event->name, field->name, field->size,
				      field->offset);
	*at = (size_t)field->offset;
	return 0;
}

static int parse_guest_mode(struct event_ids *ids, struct trace_dat *dat, const char *name,
			    struct guest_mode_format *format)
{
	struct tep_event *event;
	int ret = parse(ids, dat, TSC_OFFSET_SYSTEM, name, &event);

	*format = (struct guest_mode_format) { .id = EVENT_ID_NONE };
	if (ret || !event)
		return ret;
	ret = find_word(dat, event, tep_find_any_field(event, "common_pid"), &format->pid);
	if (!ret)
		ret = find_word(dat, event, tep_find_field(event, "vcpu_id"), &format->vcpu_id);
	if (!ret)
		ret = find_word(dat, event, tep_find_field(event, "isa"), &format->isa);
	if (!ret && !format->pid)
		ret = trace_dat_fail(dat, -EBADMSG, trace_dat_part_offset(dat, TRACE_DAT_EVENT_FORMATS),
				     "%s has no common_pid", name);
	if (!ret)
		format->id = event->id;
	return ret;
}

static int parse_print(struct event_ids *ids, struct trace_dat *dat)
{
	struct tep_format_field *text;
	struct tep_event *event;
	int ret = parse(ids, dat, "ftrace", "print", &event);

	ids->print.id = EVENT_ID_NONE;
	if (ret || !event)
		return ret;
	text = tep_find_field(event, "buf");
	/* An event of that name, but not of trace_marker */
	if (!text || text->offset <= 0)
		return 0;
	ids->print = (struct print_format) { .id = event->id, .text = (size_t)text->offset };
	return 0;
}

/* An unreadable format is ignored: only the number is needed, and the file is usable without it */
static int find_sched_switch(struct event_ids *ids, struct trace_dat *dat)
{
	_cleanup_(freep) char *text = NULL;
	struct format_text format;
	size_t size;
	int ret = trace_dat_event_format(dat, "sched", "sched_switch", &text, &size);

	ids->sched_switch = EVENT_ID_NONE;
	if (ret == -ENOENT)
		return 0;
	if (!ret && format_text_scan(&format, text, size))
		ids->sched_switch = format.id;
	return ret;
}

/**
 * event_ids_read - find the events in a file's formats
 * @ids: result; must be released in any case
 * @dat: the open file
 *
 * Returns: 0, also if the file has none of them, or a negative errno with the reason in @dat->error.
 */
int event_ids_read(struct event_ids *ids, struct trace_dat *dat)
{
	const struct tsc_event_name *lacking;
	struct tep_event *event;
	int ret;

	*ids = (struct event_ids) { .tep = tep_alloc() };
	if (!ids->tep)
		return trace_dat_refuse(dat, -ENOMEM, "no memory");
	tep_set_loglevel(TEP_LOG_NONE);
	tep_set_long_size(ids->tep, dat->long_size);
	tep_set_page_size(ids->tep, dat->page_size);
	tep_set_file_bigendian(ids->tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(ids->tep, TEP_LITTLE_ENDIAN);
	ret = parse_guest_mode(ids, dat, "kvm_entry", &ids->entry);
	if (!ret)
		ret = parse_guest_mode(ids, dat, "kvm_exit", &ids->exit);
	if (!ret)
		ret = parse_print(ids, dat);
	if (!ret)
		ret = find_sched_switch(ids, dat);
	for (size_t i = 0; i < NR_TSC_EVENTS && !ret; i++)
		ret = parse(ids, dat, tsc_event_names[i].system, tsc_event_names[i].name, &event);
	if (!ret && tsc_event_formats_init(&ids->tsc, ids->tep, &lacking))
		ret = trace_dat_fail(dat, -EBADMSG, trace_dat_part_offset(dat, TRACE_DAT_EVENT_FORMATS),
				     "the format of %s:%s lacks a field", lacking->system, lacking->name);
	return ret;
}

/**
 * event_ids_release - free the events
 * @ids: the events, also after a failed read
 */
void event_ids_release(struct event_ids *ids)
{
	if (ids->tep)
		tep_free(ids->tep);
	ids->tep = NULL;
}

/* A field in little-endian order: trace_dat_open() accepts no other files */
static bool read_word(const struct ring_event *event, size_t at, uint32_t *value)
{
	if (event->size < sizeof(*value) || at > event->size - sizeof(*value))
		return false;
	memcpy(value, event->data + at, sizeof(*value));
	*value = le32toh(*value);
	return true;
}

/**
 * guest_mode_tid - read the thread of an event
 * @format: format of kvm_entry; common_pid is at the same place in all events of a file
 * @event: a record of any event
 * @tid: result
 *
 * Returns: 0, or -EBADMSG if the record is too short.
 */
int guest_mode_tid(const struct guest_mode_format *format, const struct ring_event *event, int *tid)
{
	uint32_t pid;

	if (!read_word(event, format->pid, &pid))
		return -EBADMSG;
	*tid = (int)pid;
	return 0;
}

/**
 * guest_mode_decode - read a kvm_entry or kvm_exit
 * @format: format of the event
 * @event: its record
 * @tid: result: the vCPU's thread
 * @vcpu_id: result; unchanged if the kernel does not report it
 *
 * Returns: 0, or -EBADMSG if the record is too short.
 */
int guest_mode_decode(const struct guest_mode_format *format, const struct ring_event *event,
		      int *tid, uint32_t *vcpu_id)
{
	int ret = guest_mode_tid(format, event, tid);

	if (ret)
		return ret;
	return format->vcpu_id && !read_word(event, format->vcpu_id, vcpu_id) ? -EBADMSG : 0;
}

/**
 * print_text - get the text of an event of trace_marker
 * @format: format of the event
 * @event: its record
 * @size: result: its size in bytes; it may lack a NUL
 *
 * Returns: the text, inside the record; NULL if the record is too short.
 */
const char *print_text(const struct print_format *format, const struct ring_event *event, size_t *size)
{
	if (format->text >= event->size)
		return NULL;
	*size = event->size - format->text;
	return (const char *)event->data + format->text;
}

/**
 * guest_mode_isa - get the instruction set of KVM
 * @format: format of kvm_exit
 * @event: a record of kvm_exit
 *
 * Returns: GUEST_MODE_VMX, GUEST_MODE_SVM, or 0 if the record does not have it.
 */
int guest_mode_isa(const struct guest_mode_format *format, const struct ring_event *event)
{
	uint32_t isa;

	if (!format->isa || !read_word(event, format->isa, &isa))
		return 0;
	return isa == GUEST_MODE_VMX || isa == GUEST_MODE_SVM ? (int)isa : 0;
}
