/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The events in all buffers of a host's file and of its guests', and the modes of all vCPUs, in the order of host time.
 * All files are read as streams: memory does not grow with them, but for 9 bytes for each change of a vCPU's mode.
 */
#ifndef TSC_OFFSET_MERGED_EVENTS_H
#define TSC_OFFSET_MERGED_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu_stream.h"
#include "guest_timeline.h"
#include "merged_times.h"
#include "time_merge.h"
#include "vcpu_modes.h"

struct guest_file;
struct host_vcpu;
struct merged_recording;
struct trace_dat;

/**
 * struct merged_last - the last event of a CPU, in any of a file's buffers
 * @buffer: where it is, NULL if there is none yet
 * @hash: of its record
 */
struct merged_last {
	const struct trace_dat_buffer	*buffer;
	uint64_t			hash;
};

/**
 * struct merged_file - one of the files
 * @dat: the file
 * @guest: the guest that it is of, NULL for the host's
 * @number: 0 for the host's, from 1 on for the guests', in the order of the command line
 * @nr_events: of a guest: its events that were read
 * @nr_violations: of these: those at times when their vCPU was out of guest mode
 * @nr_inside: and those at times when it was in guest mode
 * @last: for each CPU its last event, NULL if one buffer only has events; owned
 */
struct merged_file {
	struct trace_dat	*dat;
	struct guest_file	*guest;
	size_t			number;
	uint64_t		nr_events;
	uint64_t		nr_violations;
	uint64_t		nr_inside;
	struct merged_last	*last;
};

/**
 * struct merged_cpu - the events that a CPU recorded into one of a file's buffers
 * @source: they are a source of the merge; @source.time is the host TSC of the last event, in cycles
 * @file: the file
 * @events: the event that was read last, its CPU and its buffer; owned
 * @times: where readers show them, if they are a guest's
 * @cursor: where in the guest's timeline they are, if that has their host times; else all zeros
 * @modes: of a guest's CPU: when it was in guest mode; NULL if that is not known
 * @span: number of the span of @modes that the last event was in
 * @counted: events that the kernel says are lost
 * @told: those of them of which pages tell, UINT64_MAX if these may be all
 */
struct merged_cpu {
	struct time_source		source;
	struct merged_file		*file;
	struct cpu_stream		events;
	struct merged_times		times;
	struct timeline_cursor		cursor;
	const struct vcpu_modes		*modes;
	size_t				span;
	uint64_t			counted;
	uint64_t			told;
};

/**
 * struct merged_vcpu - a vCPU of the host
 * @source: its spans are a source of the merge; @source.time is the first host TSC of the last span, in cycles
 * @vcpu: the vCPU; its spans are in @vcpu->modes
 * @file: the guest's file, NULL if none of the files is of it
 * @cpu: then which of the guest's CPUs it is, or was for a part of the recording
 * @next: number of the span that is read next; the one before is the last
 */
struct merged_vcpu {
	struct time_source		source;
	const struct host_vcpu		*vcpu;
	const struct merged_file	*file;
	size_t				cpu;
	size_t				next;
};

/**
 * struct merged_events - all of them while they are read
 * @recording: the files; the caller's
 * @files: the host's, then those of the guests; owned
 * @nr_files: how many
 * @cpus: of all buffers that are by the TSC and have data; owned
 * @nr_cpus: how many
 * @vcpus: all vCPUs of the host, of whichever VM; owned
 * @nr_vcpus: how many
 * @merge: all of them
 */
struct merged_events {
	const struct merged_recording	*recording;
	struct merged_file		*files;
	size_t				nr_files;
	struct merged_cpu		*cpus;
	size_t				nr_cpus;
	struct merged_vcpu		*vcpus;
	size_t				nr_vcpus;
	struct time_merge		merge;
};

/**
 * struct merged_item - what comes next
 * @time: host TSC, in cycles: of the event, or of the span's beginning
 * @cpu: of an event: the CPU, with the event; NULL for a span
 * @copy: of an event: it is the one before of the same CPU, which another buffer recorded as well
 * @vcpu: of a span: the vCPU
 * @span: number of the span in the vCPU's modes; it lasts to the cycle before the next
 */
struct merged_item {
	uint64_t		time;
	struct merged_cpu	*cpu;
	bool			copy;
	struct merged_vcpu	*vcpu;
	size_t			span;
};

int merged_events_open(struct merged_events *events, const struct merged_recording *recording);
int merged_events_next(struct merged_events *events, struct merged_item *item);
void merged_events_review(const struct merged_events *events);
uint64_t merged_events_bytes(const struct merged_events *events);
uint64_t merged_cpu_untold(const struct merged_cpu *cpu);
void merged_events_close(struct merged_events *events);

#endif /* TSC_OFFSET_MERGED_EVENTS_H */
