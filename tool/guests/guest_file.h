/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's file as readers merge it with its host's: what they correct it with, and which VM it is. And when its CPUs
 * recorded into a buffer of it.
 */
#ifndef TSC_OFFSET_GUEST_FILE_H
#define TSC_OFFSET_GUEST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_fit.h"
#include "guest_timelines.h"
#include "inexact_times.h"
#include "merged_times.h"
#include "trace_dat.h"

struct host;
struct host_times;
struct host_vcpus;
struct host_vm;

/**
 * struct guest_file - a guest's file beside its host's
 * @dat: the file; owned
 * @shown: how readers show its times; owned
 * @times: where that is in the host's time, of the top buffer; that of an instance is not corrected
 * @fit: which VM and which vCPUs it is of, by the times that readers show, or by its own if it is placed; owned
 * @vm: the VM
 * @rewritten: the times in its pages are its host's, by stamp --rewrite
 * @host_trace_id: then TRACEID of the host's recording
 * @placed: the host's history gives each of its events a host time, whatever readers show
 * @timelines: then these host times; owned
 * @inexact: in both cases the events without exact times; owned
 * @other_fit: by the times that are not used; owned
 */
struct guest_file {
	struct trace_dat		dat;
	struct shown_times		shown;
	struct merged_times		times;
	struct guest_fit		fit;
	const struct host_vm		*vm;
	bool				rewritten;
	uint64_t			host_trace_id;
	bool				placed;
	struct guest_timelines		timelines;
	struct inexact_times		inexact;
	struct guest_fit		other_fit;
};

int guest_file_open(struct guest_file *guest, const char *path, struct host *host,
		    const struct host_times *host_times, const char *wanted);
int guest_file_find_vm(struct guest_file *guest, const struct host *host, struct host_vcpus *vcpus,
		       bool insist, bool any_clock);
int guest_file_place(struct guest_file *guest, const struct host *host, const struct host_vcpus *vcpus, bool insist,
		     bool any_clock, struct findings *findings);
bool guest_file_is_of(const struct guest_file *guest, const struct host *host);
void guest_file_close(struct guest_file *guest);

/**
 * struct guest_cpu - a CPU of the guest
 * @has_events: it recorded something
 * @first: guest TSC of its first event
 * @last: of its last, or one after that; UINT64_MAX if nothing tells
 */
struct guest_cpu {
	bool		has_events;
	uint64_t	first;
	uint64_t	last;
};

/**
 * struct guest_buffer - a buffer of a guest's file
 * @dat: the file; the caller keeps it open
 * @buffer: the buffer that readers are to correct
 * @cpus: from CPU 0 on to the last that has events; owned
 * @nr_cpus: how many
 * @trace_id: TRACEID, 0 without
 */
struct guest_buffer {
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	struct guest_cpu		*cpus;
	size_t				nr_cpus;
	uint64_t			trace_id;
};

int guest_buffer_read(struct guest_buffer *guest, struct trace_dat *dat, const struct trace_dat_buffer *buffer);
void guest_buffer_release(struct guest_buffer *guest);

#endif /* TSC_OFFSET_GUEST_FILE_H */
