/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * tracefs instances that record kvm_write_tsc_offset, and kvm_write_tsc_multiplier where the kernel
 * has it: the hook's own, which lasts as long as a recording, and the one that a host may have set up
 * at boot, before its guests.
 */
#ifndef TSC_OFFSET_INSTANCE_H
#define TSC_OFFSET_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "event.h"

/* Set up at boot; its events are never consumed */
#define BOOT_INSTANCE	"tsc_offset"

struct kbuffer;
struct tep_handle;

/**
 * struct tsc_instance - an instance of one's own
 * @dir: its directory; NULL when there is none
 * @tep: the events' formats live here
 * @formats: the events
 * @kbuf: reader of ring buffer pages
 * @page: one page
 * @page_size: its size in bytes
 * @fds: each CPU's trace_pipe_raw; NULL while closed
 * @nr_fds: how many CPUs
 */
struct tsc_instance {
	char				*dir;
	struct tep_handle		*tep;
	struct tsc_event_formats	formats;
	struct kbuffer			*kbuf;
	void				*page;
	size_t				page_size;
	int				*fds;
	int				nr_fds;
};

/**
 * typedef tsc_event_func - takes up one event
 * @event: the event; of one CPU in the order of time, of several CPUs not
 * @context: the caller's
 *
 * Returns: 0 to go on, anything else to stop with it.
 */
typedef int (*tsc_event_func)(const struct tsc_offset_event *event, void *context);

bool tsc_event_available(void);
int tsc_instance_open(struct tsc_instance *instance, const char *name);
int tsc_instance_drain(struct tsc_instance *instance, tsc_event_func take, void *context,
		       bool *lost);
void tsc_instance_close_fds(struct tsc_instance *instance);
int tsc_instance_close(struct tsc_instance *instance);
int tsc_instance_sweep(const char *prefix);

int boot_instance_events(tsc_event_func take, void *context);
int boot_instance_read(tsc_event_func take, void *context);

#endif /* TSC_OFFSET_INSTANCE_H */
