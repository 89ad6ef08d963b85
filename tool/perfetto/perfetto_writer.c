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

/* Who writes: the file has one writer only */
#define SEQUENCE	1

/* Details of an instant that are told at most */
#define MAX_DETAILS	8

/* A file that has longer strings in it would be told with them for each event */
#define MAX_STRING	8192

/* Values of Perfetto's enums, by the names that they have there */
enum {
	SEQ_INCREMENTAL_STATE_CLEARED = 1,
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

/* A trace is a message that consists of packets, so that one after the other can be written as traces of one */
static void write_packet(struct perfetto_writer *writer, Perfetto__TracePacket *packet)
{
	Perfetto__Trace trace = PERFETTO__TRACE__INIT;
	size_t size;

	if (writer->error)
		return;
	packet->has_trusted_packet_sequence_id = true;
	packet->trusted_packet_sequence_id = SEQUENCE;
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
	errno = EIO;
	if (fwrite(writer->bytes, 1, size, writer->file) != size)
		writer->error = -errno;
}

/* Strings are UTF-8 there. Only those that may not be are looked at twice. */
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

/**
 * perfetto_writer_track - make a track
 * @writer: the file
 * @track: what it is
 *
 * Returns: what it is to be named by.
 */
uint64_t perfetto_writer_track(struct perfetto_writer *writer, const struct perfetto_track *track)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	Perfetto__TrackDescriptor descriptor = PERFETTO__TRACK_DESCRIPTOR__INIT;
	Perfetto__CounterDescriptor counter = PERFETTO__COUNTER_DESCRIPTOR__INIT;
	char *name, *description;

	/* Of all that comes nothing refers to what was before the first packet */
	packet.has_sequence_flags = !writer->nr_tracks;
	packet.sequence_flags = SEQ_INCREMENTAL_STATE_CLEARED;
	packet.track_descriptor = &descriptor;
	descriptor.has_uuid = true;
	descriptor.uuid = ++writer->nr_tracks;
	descriptor.has_parent_uuid = track->parent != 0;
	descriptor.parent_uuid = track->parent;
	descriptor.name = utf8(writer, track->name, &name);
	description = NULL;
	if (track->description)
		descriptor.description = utf8(writer, track->description, &description);
	descriptor.has_child_ordering = true;
	descriptor.child_ordering = CHILD_ORDERING_EXPLICIT;
	descriptor.has_sibling_order_rank = true;
	descriptor.sibling_order_rank = track->rank;
	descriptor.has_sibling_merge_behavior = true;
	descriptor.sibling_merge_behavior = SIBLING_MERGE_BEHAVIOR_NONE;
	if (track->unit) {
		counter.unit_name = (char *)track->unit;
		descriptor.counter = &counter;
	}
	write_packet(writer, &packet);
	free(name);
	free(description);
	return writer->nr_tracks;
}

static void write_event(struct perfetto_writer *writer, Perfetto__TrackEvent *event, int type, uint64_t track,
			uint64_t ns)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	if (!perfetto_writer_has_time(ns)) {
		writer->nr_unordered++;
		return;
	}
	event->has_type = true;
	event->type = type;
	event->has_track_uuid = true;
	event->track_uuid = track;
	packet.has_timestamp = true;
	packet.timestamp = ns;
	packet.track_event = event;
	write_packet(writer, &packet);
}

static void write_named(struct perfetto_writer *writer, Perfetto__TrackEvent *event, int type, uint64_t track,
			uint64_t ns, const char *category, const char *name)
{
	char *category_copy, *name_copy;
	char *categories[] = { utf8(writer, category, &category_copy) };

	event->n_categories = 1;
	event->categories = categories;
	event->name = utf8(writer, name, &name_copy);
	write_event(writer, event, type, track, ns);
	free(category_copy);
	free(name_copy);
}

/**
 * perfetto_writer_begin - begin a slice
 * @writer: the file
 * @track: the track that it is on
 * @ns: when
 * @category: of which kind
 * @name: what it is called
 */
void perfetto_writer_begin(struct perfetto_writer *writer, uint64_t track, uint64_t ns, const char *category,
			   const char *name)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	write_named(writer, &event, TYPE_SLICE_BEGIN, track, ns, category, name);
}

/**
 * perfetto_writer_end - end the last slice of a track
 * @writer: the file
 * @track: the track
 * @ns: when
 */
void perfetto_writer_end(struct perfetto_writer *writer, uint64_t track, uint64_t ns)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	write_event(writer, &event, TYPE_SLICE_END, track, ns);
}

/**
 * perfetto_writer_instant - something that takes no time
 * @writer: the file
 * @track: the track that it is on
 * @ns: when
 * @category: of which kind
 * @name: what it is called
 * @details: what is told of it
 * @nr_details: how many, eight at most
 */
void perfetto_writer_instant(struct perfetto_writer *writer, uint64_t track, uint64_t ns, const char *category,
			     const char *name, const struct perfetto_detail *details, size_t nr_details)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;
	Perfetto__DebugAnnotation annotations[MAX_DETAILS], *pointers[MAX_DETAILS];
	char *copies[MAX_DETAILS] = { NULL };

	for (size_t i = 0; i < nr_details && i < MAX_DETAILS; i++) {
		perfetto__debug_annotation__init(&annotations[i]);
		annotations[i].name = (char *)details[i].name;
		if (details[i].text) {
			annotations[i].string_value = utf8(writer, details[i].text, &copies[i]);
		} else {
			annotations[i].has_uint_value = true;
			annotations[i].uint_value = details[i].number;
		}
		pointers[event.n_debug_annotations++] = &annotations[i];
	}
	event.debug_annotations = pointers;
	write_named(writer, &event, TYPE_INSTANT, track, ns, category, name);
	for (size_t i = 0; i < MAX_DETAILS; i++)
		free(copies[i]);
}

/**
 * perfetto_writer_count - the value of a counter from a time on
 * @writer: the file
 * @track: the counter's
 * @ns: when
 * @value: the value
 */
void perfetto_writer_count(struct perfetto_writer *writer, uint64_t track, uint64_t ns, int64_t value)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	event.has_counter_value = true;
	event.counter_value = value;
	write_event(writer, &event, TYPE_COUNTER, track, ns);
}

/**
 * perfetto_writer_release - free what a writer owns
 * @writer: in any state
 */
void perfetto_writer_release(struct perfetto_writer *writer)
{
	free(writer->bytes);
	writer->bytes = NULL;
}
