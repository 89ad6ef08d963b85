/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's file as readers merge it with its host's: how they correct it, and which VM it is. Also the times of its
 * CPUs in one of its buffers.
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
 * struct guest_file - a guest's file with its host's
 * @dat: the file; owned
 * @shown: how readers show its times; owned
 * @times: conversion of shown times to the host's time, for the top buffer; readers do not correct instances
 * @fit: its VM and vCPUs, by the times that readers show, or by its own times if @placed; owned
 * @vm: the VM
 * @rewritten: the times in its pages are its host's, by stamp --rewrite
 * @host_trace_id: with @rewritten: TRACEID of the host's recording
 * @placed: the host's history gives each event a host time, whatever readers show
 * @timelines: with @placed: these host times; owned
 * @inexact: with @rewritten or @placed: events without exact times; owned
 * @other_fit: the fit by the times that are not used; owned
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
 * @has_events: it has events
 * @first: guest TSC of its first event
 * @last: guest TSC of its last event, or later; UINT64_MAX if unknown
 */
struct guest_cpu {
	bool		has_events;
	uint64_t	first;
	uint64_t	last;
};

/**
 * struct guest_buffer - a buffer of a guest's file
 * @dat: the file; stays open by the caller
 * @buffer: the buffer that readers will correct
 * @cpus: CPUs from 0 to the last with events; owned
 * @nr_cpus: number of @cpus
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
