// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "perfetto_trace.pb-c.h"
#include "perfetto_writer.h"
#include "sanitize.h"

/* Longer strings are not interned, but written with each event */
#define MAX_STRING	8192

/* Bytes of a write */
#define PENDING		(64UL << 10)

/* Size of a packet without details, and of each detail */
#define PACKET_ROOM	128
#define DETAIL_ROOM	64

/* Values of Perfetto's enums, with their names there */
enum {
	SEQ_INCREMENTAL_STATE_CLEARED		= 1,
	SEQ_NEEDS_INCREMENTAL_STATE		= 2,
};

enum {
	TYPE_SLICE_BEGIN	= 1,
	TYPE_SLICE_END		= 2,
	TYPE_INSTANT		= 3,
	TYPE_COUNTER		= 4,
};

enum {
	CHILD_ORDERING_EXPLICIT	= 3,
};

enum {
	SIBLING_MERGE_BEHAVIOR_NONE = 2,
};

/* Field numbers of messages that are written field by field */
enum {
	TRACE_PACKET			= 1,
	PACKET_FTRACE_EVENTS		= 1,
	PACKET_TIMESTAMP		= 8,
	PACKET_SEQUENCE			= 10,
	PACKET_TRACK_EVENT		= 11,
	PACKET_FLAGS			= 13,
	PACKET_MACHINE			= 98,
	EVENT_CATEGORY_IIDS		= 3,
	EVENT_DETAILS			= 4,
	EVENT_TYPE			= 9,
	EVENT_NAME_IID			= 10,
	EVENT_TRACK			= 11,
	DETAIL_NAME_IID			= 1,
	DETAIL_INT			= 4,
	DETAIL_TEXT_IID			= 17,
};

/* The only category: everything that is not an event of a recording */
#define CATEGORY	1

static const char *const names[] = {
	[NAME_GUEST_MODE]	= "guest mode",
	[NAME_UNKNOWN]		= "unknown",
	[NAME_RUNNING]		= "running",
	[NAME_EVENTS_LOST]	= "events lost",
	[NAME_MISSING]		= "changes of the TSC offset are missing before",
};

static const char *const details_names[] = {
	[DETAIL_VM]			= "vm",
	[DETAIL_VCPU]			= "vcpu",
	[DETAIL_MACHINE]		= "machine",
	[DETAIL_GUEST_CPU]		= "guest_cpu",
	[DETAIL_EXIT_REASON]		= "exit_reason",
	[DETAIL_EXIT_REASON_CODE]	= "exit_reason_code",
	[DETAIL_CAUSE]			= "cause",
	[DETAIL_CPU]			= "cpu",
	[DETAIL_EVENTS]			= "events",
};

#define NR_NAMES	(sizeof(names) / sizeof(names[0]))
#define NR_DETAILS	(sizeof(details_names) / sizeof(details_names[0]))

/**
 * perfetto_writer_flush - write pending packets
 * @writer: the file
 */
void perfetto_writer_flush(struct perfetto_writer *writer)
{
	struct wire *pending = &writer->pending;

	errno = EIO;
	if (!writer->error && fwrite(pending->bytes, 1, pending->size, writer->file) != pending->size)
		writer->error = -errno;
	pending->size = 0;
}

/* Collect short packets, to save system calls */
static void write_bytes(struct perfetto_writer *writer, const void *bytes, size_t size)
{
	struct wire *pending = &writer->pending;

	if (pending->size + size > PENDING)
		perfetto_writer_flush(writer);
	if (!wire_reserve(pending, size)) {
		writer->error = -ENOMEM;
		return;
	}
	memcpy(pending->bytes + pending->size, bytes, size);
	pending->size += size;
}

/* A trace is a message of packets, so consecutive packets can be written like traces of one packet */
static void write_packet(struct perfetto_writer *writer, uint32_t machine, Perfetto__TracePacket *packet)
{
	Perfetto__Trace trace = PERFETTO__TRACE__INIT;
	size_t size;

	if (writer->error)
		return;
	/* Each machine has its own sequence of packets */
	packet->has_trusted_packet_sequence_id = true;
	packet->trusted_packet_sequence_id = machine + 1;
	packet->has_machine_id = machine != 0;
	packet->machine_id = machine;
	trace.n_packet = 1;
	trace.packet = &packet;
	size = perfetto__trace__get_packed_size(&trace);
	if (size > writer->capacity) {
		free(writer->bytes);
		writer->bytes = malloc(2 * size);
		writer->capacity = writer->bytes ? 2 * size : 0;
	}
	if (!writer->bytes) {
		writer->error = -ENOMEM;
		return;
	}
	perfetto__trace__pack(&trace, writer->bytes);
	write_bytes(writer, writer->bytes, size);
}

/* Strings must be UTF-8. Only suspicious ones are checked completely. */
static char *utf8(struct perfetto_writer *writer, const char *text, char **copy)
{
	_cleanup_(freep) char *cut = NULL;
	const char *at = text;

	*copy = NULL;
	while (*at && !(*at & 0x80) && at - text < MAX_STRING)
		at++;
	if (!*at)
		return (char *)text;
	cut = strndup(text, MAX_STRING);
	*copy = cut ? sanitized(cut) : NULL;
	if (!*copy) {
		writer->error = -ENOMEM;
		return (char *)"";
	}
	return *copy;
}

/* All but the text of a detail has a number instead of its name */
static void write_names(struct perfetto_writer *writer, uint32_t machine)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__InternedName category = PERFETTO__INTERNED_NAME__INIT, *categories[] = { &category };
	Perfetto__InternedName name[NR_NAMES], *name_list[NR_NAMES];
	Perfetto__InternedName detail[NR_DETAILS], *detail_list[NR_DETAILS];

	for (size_t i = 1; i < NR_NAMES; i++) {
		perfetto__interned_name__init(&name[i]);
		name[i].has_iid = true;
		name[i].iid = i;
		name[i].name = (char *)names[i];
		name_list[data.n_event_names++] = &name[i];
	}
	for (size_t i = 1; i < NR_DETAILS; i++) {
		perfetto__interned_name__init(&detail[i]);
		detail[i].has_iid = true;
		detail[i].iid = i;
		detail[i].name = (char *)details_names[i];
		detail_list[data.n_debug_annotation_names++] = &detail[i];
	}
	category.has_iid = true;
	category.iid = CATEGORY;
	category.name = (char *)"tsc-offset";
	data.n_event_categories = 1;
	data.event_categories = categories;
	data.event_names = name_list;
	data.debug_annotation_names = detail_list;
	/* No later packet refers to anything before the first one */
	packet.has_sequence_flags = true;
	packet.sequence_flags = SEQ_INCREMENTAL_STATE_CLEARED;
	packet.interned_data = &data;
	write_packet(writer, machine, &packet);
}

/**
 * perfetto_writer_machine - describe a machine
 * @writer: the file
 * @machine: its number; 0 is the recording one. No packet of it was written before.
 * @what: its description
 */
void perfetto_writer_machine(struct perfetto_writer *writer, uint32_t machine, const struct perfetto_machine *what)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__SystemInfo info = PERFETTO__SYSTEM_INFO__INIT;
	Perfetto__Utsname utsname = PERFETTO__UTSNAME__INIT;
	const char *parts[] = { what->name, what->sysname, what->release, what->machine };
	char **fields[] = { &info.machine_name, &utsname.sysname, &utsname.release, &utsname.machine };
	char *copies[sizeof(parts) / sizeof(parts[0])] = { NULL };

	write_names(writer, machine);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (*parts[i])
			*fields[i] = utf8(writer, parts[i], &copies[i]);
	}
	info.utsname = &utsname;
	info.has_num_cpus = what->nr_cpus != 0;
	info.num_cpus = what->nr_cpus;
	packet.system_info = &info;
	write_packet(writer, machine, &packet);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		free(copies[i]);
}

/**
 * perfetto_writer_intern - get a number for a text
 * @writer: the file, in which machine 0 is described
 * @text: the text
 *
 * Returns: the number, for details of slices of machine 0.
 */
uint64_t perfetto_writer_intern(struct perfetto_writer *writer, const char *text)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__InternedName name = PERFETTO__INTERNED_NAME__INIT, *list[] = { &name };
	char *copy;

	name.has_iid = true;
	name.iid = ++writer->nr_texts;
	name.name = utf8(writer, text, &copy);
	data.n_debug_annotation_string_values = 1;
	data.debug_annotation_string_values = list;
	packet.has_sequence_flags = true;
	packet.sequence_flags = SEQ_NEEDS_INCREMENTAL_STATE;
	packet.interned_data = &data;
	write_packet(writer, 0, &packet);
	free(copy);
	return writer->nr_texts;
}

/**
 * perfetto_writer_track - make a track
 * @writer: the file
 * @machine: its machine
 * @track: its description
 *
 * Returns: its number.
 */
uint64_t perfetto_writer_track(struct perfetto_writer *writer, uint32_t machine, const struct perfetto_track *track)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__TrackDescriptor descriptor = PERFETTO__TRACK_DESCRIPTOR__INIT;
	Perfetto__ThreadDescriptor thread = PERFETTO__THREAD_DESCRIPTOR__INIT;
	Perfetto__CounterDescriptor counter = PERFETTO__COUNTER_DESCRIPTOR__INIT;
	char *name, *description, *shown;

	packet.track_descriptor = &descriptor;
	descriptor.has_uuid = true;
	descriptor.uuid = ++writer->nr_tracks;
	descriptor.has_parent_uuid = track->parent != 0;
	descriptor.parent_uuid = track->parent;
	shown = track->name ? utf8(writer, track->name, &name) : (name = NULL);
	description = NULL;
	if (track->description)
		descriptor.description = utf8(writer, track->description, &description);
	if (track->tid) {
		thread.has_pid = thread.has_tid = true;
		thread.pid = track->pid;
		thread.tid = track->tid;
		thread.thread_name = shown;
		descriptor.thread = &thread;
	} else {
		descriptor.name = shown;
		descriptor.has_child_ordering = true;
		descriptor.child_ordering = CHILD_ORDERING_EXPLICIT;
		descriptor.has_sibling_order_rank = true;
		descriptor.sibling_order_rank = track->rank;
		descriptor.has_sibling_merge_behavior = true;
		descriptor.sibling_merge_behavior = SIBLING_MERGE_BEHAVIOR_NONE;
	}
	if (track->unit) {
		counter.unit_name = (char *)track->unit;
		descriptor.counter = &counter;
	}
	write_packet(writer, machine, &packet);
	free(name);
	free(description);
	return writer->nr_tracks;
}

static void write_detail(struct wire *wire, const struct perfetto_detail *detail)
{
	size_t begin = wire_begin(wire, EVENT_DETAILS);

	wire_number(wire, DETAIL_NAME_IID, detail->name);
	wire_number(wire, detail->is_text ? DETAIL_TEXT_IID : DETAIL_INT, detail->value);
	wire_end(wire, begin, 0);
}

/* The encoding of a packet is that of a trace with only this packet */
static void begin_event(struct wire *wire, uint32_t machine, uint64_t ns, size_t *packet, size_t *event)
{
	wire->size = 0;
	*packet = wire_begin(wire, TRACE_PACKET);
	wire_number(wire, PACKET_TIMESTAMP, ns);
	wire_number(wire, PACKET_SEQUENCE, machine + 1UL);
	wire_number(wire, PACKET_FLAGS, SEQ_NEEDS_INCREMENTAL_STATE);
	if (machine)
		wire_number(wire, PACKET_MACHINE, machine);
	*event = wire_begin(wire, PACKET_TRACK_EVENT);
}

static void write_event(struct perfetto_writer *writer, int type, uint64_t ns, const struct perfetto_slice *slice)
{
	struct wire *wire = &writer->wire;
	size_t packet, event;

	if (!perfetto_writer_has_time(ns)) {
		writer->nr_unordered++;
		return;
	}
	wire->size = 0;
	if (!wire_reserve(wire, PACKET_ROOM + slice->nr_details * DETAIL_ROOM)) {
		writer->error = -ENOMEM;
		return;
	}
	begin_event(wire, slice->machine, ns, &packet, &event);
	wire_number(wire, EVENT_TYPE, (uint64_t)type);
	wire_number(wire, EVENT_TRACK, slice->track);
	if (slice->name) {
		wire_number(wire, EVENT_NAME_IID, slice->name);
		wire_number(wire, EVENT_CATEGORY_IIDS, CATEGORY);
	}
	for (size_t i = 0; i < slice->nr_details; i++)
		write_detail(wire, &slice->details[i]);
	wire_end(wire, event, 0);
	wire_end(wire, packet, 0);
	write_bytes(writer, wire->bytes, wire->size);
}

/**
 * perfetto_writer_begin - begin a slice
 * @writer: the file
 * @ns: its time
 * @slice: its description
 */
void perfetto_writer_begin(struct perfetto_writer *writer, uint64_t ns, const struct perfetto_slice *slice)
{
	write_event(writer, TYPE_SLICE_BEGIN, ns, slice);
}

/**
 * perfetto_writer_end - end the last slice of a track
 * @writer: the file
 * @machine: the track's machine
 * @track: the track
 * @ns: its time
 * @details: further details of the slice
 * @nr_details: number of @details
 */
void perfetto_writer_end(struct perfetto_writer *writer, uint32_t machine, uint64_t track, uint64_t ns,
			 const struct perfetto_detail *details, size_t nr_details)
{
	const struct perfetto_slice end = {
		.machine = machine, .track = track, .details = details, .nr_details = nr_details
	};

	write_event(writer, TYPE_SLICE_END, ns, &end);
}

/**
 * perfetto_writer_instant - write an instant event
 * @writer: the file
 * @ns: its time
 * @instant: its description
 */
void perfetto_writer_instant(struct perfetto_writer *writer, uint64_t ns, const struct perfetto_slice *instant)
{
	write_event(writer, TYPE_INSTANT, ns, instant);
}

/**
 * perfetto_writer_count - write a value of a counter
 * @writer: the file
 * @track: track of the counter, of machine 0
 * @ns: its time
 * @value: the value
 */
void perfetto_writer_count(struct perfetto_writer *writer, uint64_t track, uint64_t ns, int64_t value)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	if (!perfetto_writer_has_time(ns)) {
		writer->nr_unordered++;
		return;
	}
	event.has_type = true;
	event.type = TYPE_COUNTER;
	event.has_track_uuid = true;
	event.track_uuid = track;
	event.has_counter_value = true;
	event.counter_value = value;
	packet.has_timestamp = true;
	packet.timestamp = ns;
	packet.track_event = &event;
	write_packet(writer, 0, &packet);
}

/**
 * perfetto_writer_bundle - write ftrace events
 * @writer: the file
 * @machine: its machine
 * @bundle: the fields of an FtraceEventBundle
 */
void perfetto_writer_bundle(struct perfetto_writer *writer, uint32_t machine, const struct wire *bundle)
{
	struct wire *wire = &writer->wire;
	size_t begin, length = bundle->size;

	wire->size = 0;
	if (!wire_reserve(wire, PACKET_ROOM)) {
		writer->error = -ENOMEM;
		return;
	}
	/* The enclosing messages, with lengths */
	begin = wire_begin(wire, TRACE_PACKET);
	wire_number(wire, PACKET_SEQUENCE, machine + 1UL);
	if (machine)
		wire_number(wire, PACKET_MACHINE, machine);
	wire_varint(wire, PACKET_FTRACE_EVENTS << 3 | 2);
	wire_varint(wire, length);
	wire_end(wire, begin, length);
	write_bytes(writer, wire->bytes, wire->size);
	write_bytes(writer, bundle->bytes, length);
}

/**
 * perfetto_writer_release - free a writer
 * @writer: the writer, in any state
 */
void perfetto_writer_release(struct perfetto_writer *writer)
{
	free(writer->bytes);
	writer->bytes = NULL;
	wire_release(&writer->wire);
	wire_release(&writer->pending);
}
