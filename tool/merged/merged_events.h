/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Merges the events in all buffers of a host's file and its guests' files, and the modes of all vCPUs, in the order of
 * host time. Files are read as streams: memory does not grow with their size.
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
 * struct merged_cpu - the events of a CPU in one of a file's buffers
 * @source: its source in the merge; @source.time is the host TSC of the last event, in cycles
 * @file: the file
 * @events: the last event that was read, with its CPU and its buffer; owned
 * @times: for a guest's CPU: where readers show the events
 * @cursor: position in the guest's timeline, if the file has one; else all zeros
 * @modes: for a guest's CPU: when it was in guest mode; NULL if unknown
 * @span: index of the span of @modes of the last event
 * @counted: number of lost events by the kernel's counts
 * @told: number of them that pages report, UINT64_MAX if pages may report all
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
 * @source: the source of its spans in the merge; @source.time is the first host TSC of the last span, in cycles
 * @vcpu: the vCPU; its spans are in @vcpu->modes
 * @file: the guest's file, NULL without
 * @cpu: with @file: its CPU in the guest, possibly for a part of the recording only
 * @next: index of the span that is read next; the span before it is the last
 */
struct merged_vcpu {
	struct time_source		source;
	const struct host_vcpu		*vcpu;
	const struct merged_file	*file;
	size_t				cpu;
	size_t				next;
};

/**
 * struct merged_events - the merge
 * @recording: the files; not owned
 * @files: the host's file, then those of the guests; owned
 * @nr_files: number of @files
 * @cpus: CPUs with data of all buffers whose clock is the TSC; owned
 * @nr_cpus: number of @cpus
 * @vcpus: vCPUs of all VMs of the host; owned
 * @nr_vcpus: number of @vcpus
 * @merge: merges all sources
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
