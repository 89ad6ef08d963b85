// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <endian.h>
#include <string.h>

#include <event-parse.h>

#include "event_ids.h"
#include "sched_events.h"

/* The lower bits are the states that the kernel shows; the next bit means "preempted" (fs/proc/array.c, 4.14) */
#define STATE_MASK	0xff

static bool find_number(struct tep_event *event, const char *name, struct sched_field *field)
{
	const struct tep_format_field *found = tep_find_field(event, name);

	if (!found || found->offset < 0 || (found->size != 4 && found->size != 8))
		return false;
	*field = (struct sched_field) { (uint32_t)found->offset, (uint32_t)found->size };
	return true;
}

static bool find_switch(struct tep_event *event, struct sched_format *format)
{
	const struct tep_format_field *comm = tep_find_field(event, "next_comm");

	if (!comm || comm->offset < 0 || comm->size != SCHED_COMM_SIZE)
		return false;
	format->comm = (uint32_t)comm->offset;
	return find_number(event, "next_pid", &format->pid) && find_number(event, "prev_pid", &format->prev_pid) &&
		find_number(event, "prev_state", &format->prev_state);
}

/**
 * sched_formats_find - find the events in a file's formats
 * @formats: result
 * @tep: the formats
 */
void sched_formats_find(struct sched_formats *formats, struct tep_handle *tep)
{
	static const struct {
		const char	*name;
		const char	*cpu;
	} events[NR_SCHED_KINDS] = {
		[SCHED_SWITCH] = { "sched_switch", NULL },
		[SCHED_WAKING] = { "sched_waking", "target_cpu" },
		[SCHED_WAKEUP] = { "sched_wakeup", "target_cpu" },
		[SCHED_MIGRATE] = { "sched_migrate_task", "dest_cpu" },
	};

	*formats = (struct sched_formats) { .ids[SCHED_OTHER] = EVENT_ID_NONE };
	for (int kind = SCHED_SWITCH; kind < NR_SCHED_KINDS; kind++) {
		struct tep_event *event = tep_find_event_by_name(tep, "sched", events[kind].name);
		struct sched_format *format = &formats->kinds[kind];

		formats->ids[kind] = EVENT_ID_NONE;
		if (!event)
			continue;
		if (events[kind].cpu ? find_number(event, "pid", &format->pid) &&
				       find_number(event, events[kind].cpu, &format->cpu) : find_switch(event, format))
			formats->ids[kind] = event->id;
	}
}

static bool read_number(const struct ring_event *event, struct sched_field field, uint64_t *value)
{
	uint32_t word;

	if (event->size < field.size || field.offset > event->size - field.size)
		return false;
	if (field.size == sizeof(*value)) {
		memcpy(value, event->data + field.offset, sizeof(*value));
		*value = le64toh(*value);
	} else {
		memcpy(&word, event->data + field.offset, sizeof(word));
		*value = le32toh(word);
	}
	return true;
}

static bool decode_switch(const struct sched_format *format, const struct ring_event *event, struct sched_event *result)
{
	uint64_t pid, state;

	if (event->size < SCHED_COMM_SIZE || format->comm > event->size - SCHED_COMM_SIZE ||
	    !read_number(event, format->prev_pid, &pid) || !read_number(event, format->prev_state, &state))
		return false;
	memcpy(result->comm, event->data + format->comm, SCHED_COMM_SIZE);
	result->prev_pid = (int)pid;
	result->runnable = !(state & STATE_MASK);
	return true;
}

/**
 * sched_event_decode - decode an event of the scheduler
 * @formats: formats of its file
 * @kind: its kind, not SCHED_OTHER
 * @event: its record
 * @result: its contents
 *
 * Returns: false if the record is too short.
 */
bool sched_event_decode(const struct sched_formats *formats, enum sched_kind kind, const struct ring_event *event,
			struct sched_event *result)
{
	const struct sched_format *format = &formats->kinds[kind];
	uint64_t pid, cpu = 0;

	if (!read_number(event, format->pid, &pid))
		return false;
	result->pid = (int)pid;
	if (kind == SCHED_SWITCH)
		return decode_switch(format, event, result);
	if (!read_number(event, format->cpu, &cpu))
		return false;
	result->cpu = cpu > UINT32_MAX ? UINT32_MAX : (uint32_t)cpu;
	return true;
}
