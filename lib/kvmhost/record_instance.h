/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A tracefs instance of a recording. It records changes of TSC offsets, and of ratios if the kernel has that event, as
 * long as the recording runs.
 */
#ifndef TSC_OFFSET_RECORD_INSTANCE_H
#define TSC_OFFSET_RECORD_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "event.h"

/* Followed by the pid, which identifies instances of killed recordings, and by the number of the instance */
#define RECORD_INSTANCE_PREFIX	"tsc_offset.record-"

struct kbuffer;
struct tep_handle;
struct tep_record;

/**
 * struct record_instance - the instance of one recording
 * @dir: its directory; NULL if there is no instance
 * @tep: owns the events' formats
 * @formats: the events
 * @take_line: handles a line of trace_marker as tsc_event_func does an event; NULL to ignore lines
 * @line_id: number of their event
 * @line_text: offset of their text in the record
 * @kbuf: reader of ring buffer pages
 * @page: one page
 * @page_size: its size in bytes
 * @fds: trace_pipe_raw of each CPU; NULL while closed
 * @nr_fds: number of CPUs
 */
struct record_instance {
	char				*dir;
	struct tep_handle		*tep;
	struct tsc_event_formats	formats;
	int				(*take_line)(const struct record_instance *instance,
						     const struct tep_record *record,
						     tsc_event_func take, void *context, bool *lost);
	int				line_id;
	size_t				line_text;
	struct kbuffer			*kbuf;
	void				*page;
	size_t				page_size;
	int				*fds;
	int				nr_fds;
};

/**
 * enum record_events - the events that an instance records
 * @RECORD_CHANGES: the kernel's own events
 * @RECORD_PROBES: also those of kvm_probes_define()
 * @RECORD_READS: only those of kvm_probes_define_read()
 */
enum record_events { RECORD_CHANGES, RECORD_PROBES, RECORD_READS };

/*
 * Number of the instance of a recording that must remove the probes: it defined them, or another such recording existed
 * when it began
 */
#define RECORD_NUMBER_REMOVES	2

bool tsc_event_available(void);
bool tsc_event_names_vm(void);
int record_instance_open(struct record_instance *instance, unsigned int number, enum record_events events);
int record_instance_attach(struct record_instance *instance, const char *name);
bool record_instance_is_left(const char *name);
bool record_instance_wait(const struct record_instance *instance, int wake_fd, int ms);
int record_instance_drain(struct record_instance *instance, tsc_event_func take, void *context, bool *lost);
void record_instance_set_loads(struct record_instance *instance, bool on);
void record_instance_close_fds(struct record_instance *instance);
int record_instance_close(struct record_instance *instance);
int record_instance_sweep(void);
int record_instance_lock(void);
bool record_instance_removes(const struct record_instance *instance);
int record_instance_nr_removing(bool left);

#endif /* TSC_OFFSET_RECORD_INSTANCE_H */
