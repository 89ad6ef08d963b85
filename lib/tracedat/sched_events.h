/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The numbers and fields of the scheduler's events in one trace.dat. Fields are looked up once, because a file has too
 * many of these events for a look-up by libtraceevent each time.
 */
#ifndef TSC_OFFSET_SCHED_EVENTS_H
#define TSC_OFFSET_SCHED_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring_page.h"

struct tep_handle;

/* TASK_COMM_LEN of the kernel */
#define SCHED_COMM_SIZE	16

/**
 * enum sched_kind - an event of the scheduler
 * @SCHED_OTHER: another event
 * @SCHED_SWITCH: sched_switch
 * @SCHED_WAKING: sched_waking, the first event of a wake-up
 * @SCHED_WAKEUP: sched_wakeup: the thread is put on a CPU's run queue
 * @SCHED_MIGRATE: sched_migrate_task
 */
enum sched_kind {
	SCHED_OTHER,
	SCHED_SWITCH,
	SCHED_WAKING,
	SCHED_WAKEUP,
	SCHED_MIGRATE,
	NR_SCHED_KINDS,
};

/**
 * struct sched_field - place of a number in an event
 * @offset: offset in the record, in bytes
 * @size: 4 or 8 bytes, 0 if the event does not have it
 */
struct sched_field {
	uint32_t	offset;
	uint32_t	size;
};

/**
 * struct sched_format - places of an event's fields
 * @pid: the thread; in sched_switch the next one
 * @cpu: target_cpu or dest_cpu; not in sched_switch
 * @prev_pid, @prev_state: in sched_switch
 * @comm: in sched_switch: offset of next_comm
 */
struct sched_format {
	struct sched_field	pid;
	struct sched_field	cpu;
	struct sched_field	prev_pid;
	struct sched_field	prev_state;
	uint32_t		comm;
};

/**
 * struct sched_formats - the events of a file
 * @ids: number of the event of each kind, EVENT_ID_NONE if the file does not have it with all of its fields
 * @kinds: places of their fields
 */
struct sched_formats {
	int			ids[NR_SCHED_KINDS];
	struct sched_format	kinds[NR_SCHED_KINDS];
};

/**
 * struct sched_event - the contents of an event of the scheduler
 * @pid: the thread that is woken or moved, or that runs next
 * @cpu: the CPU that it will run on; not in sched_switch
 * @prev_pid: in sched_switch: the thread that ran
 * @runnable: in sched_switch: that thread was preempted and is still ready to run
 * @comm: in sched_switch: name of the next thread
 */
struct sched_event {
	int		pid;
	uint32_t	cpu;
	int		prev_pid;
	bool		runnable;
	char		comm[SCHED_COMM_SIZE];
};

void sched_formats_find(struct sched_formats *formats, struct tep_handle *tep);
bool sched_event_decode(const struct sched_formats *formats, enum sched_kind kind, const struct ring_event *event,
			struct sched_event *result);

/**
 * sched_formats_has - does the file have an event?
 * @formats: formats of the file
 * @kind: the event
 *
 * Returns: true if so.
 */
static inline bool sched_formats_has(const struct sched_formats *formats, enum sched_kind kind)
{
	return formats->ids[kind] >= 0;
}

/**
 * sched_event_kind - get the kind of an event of the scheduler
 * @formats: formats of the file
 * @id: number of the event
 *
 * Returns: its kind, or SCHED_OTHER.
 */
static inline enum sched_kind sched_event_kind(const struct sched_formats *formats, int id)
{
	for (int kind = SCHED_SWITCH; kind < NR_SCHED_KINDS; kind++) {
		if (formats->ids[kind] == id && id >= 0)
			return kind;
	}
	return SCHED_OTHER;
}

#endif /* TSC_OFFSET_SCHED_EVENTS_H */
