/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The host time of each event in a buffer of a guest's file. It depends on the event's place in the stream of its CPU,
 * not only on its guest time, because guest times occur twice if the TSC jumped backward.
 */
#ifndef TSC_OFFSET_GUEST_TIMELINE_H
#define TSC_OFFSET_GUEST_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fit_path.h"
#include "mapping.h"

struct cpu_stream;
struct guest_fit;
struct guest_vcpu;
struct host_vcpus;
struct trace_dat;
struct trace_dat_buffer;

/**
 * struct timeline_part - consecutive events of a CPU with one mapping
 * @page, @number: page of the first event, and its number there
 * @map: mapping from host times to guest times
 * @late_by: the guest cycles by which the times in the file are too late
 * @host_from, @host_to: first and last host TSC of @map, in cycles
 */
struct timeline_part {
	uint64_t		page;
	uint32_t		number;
	struct tsc_mapping	map;
	uint64_t		late_by;
	uint64_t		host_from;
	uint64_t		host_to;
};

/**
 * struct timeline_jump - a jump backward within a page: the later events of the page have no exact times
 * @cpu: number of the CPU in the guest
 * @nr_events: number of these events
 * @nr_undecided: number of them that may be before or after another jump backward, which left no trace
 * @host_tsc: host time of the first of them
 * @earlier, @later: the host cycles by which they may be earlier or later at most
 * @found: they fit there; otherwise only the events around them bound their times
 */
struct timeline_jump {
	uint32_t	cpu;
	uint64_t	nr_events;
	uint64_t	nr_undecided;
	uint64_t	host_tsc;
	uint64_t	earlier;
	uint64_t	later;
	bool		found;
};

/**
 * struct timeline_cpu - a CPU
 * @vcpu: its vCPU, NULL without data
 * @parts: parts in the order of events; owned
 * @nr_parts: number of @parts
 * @capacity: number of parts that fit without growing
 */
struct timeline_cpu {
	const struct guest_vcpu	*vcpu;
	struct timeline_part	*parts;
	size_t			nr_parts;
	size_t			capacity;
};

/**
 * struct guest_timeline - the host times of a buffer
 * @dat: the file; not owned
 * @buffer: the buffer
 * @cpus: the buffer's CPUs; owned
 * @jumps: jumps backward within pages; owned
 * @nr_jumps: number of @jumps
 * @capacity: number of jumps that fit without growing
 * @steps: cost of the search for late events, as late_events.h counts it
 */
struct guest_timeline {
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	struct timeline_cpu		*cpus;
	struct timeline_jump		*jumps;
	size_t				nr_jumps;
	size_t				capacity;
	uint64_t			steps;
};

/**
 * struct timeline_cursor - a position in a CPU's events
 * @cpu: the CPU
 * @part: index of the part
 */
struct timeline_cursor {
	const struct timeline_cpu	*cpu;
	size_t				part;
};

int guest_timeline_make(struct guest_timeline *timeline, const struct guest_fit *fit, const struct host_vcpus *host,
			struct trace_dat *dat, const struct trace_dat_buffer *buffer, uint64_t since);
uint64_t timeline_host_time(struct timeline_cursor *cursor, uint64_t page, uint32_t number, uint64_t guest_tsc);
uint64_t timeline_event_time(struct timeline_cursor *cursor, const struct cpu_stream *events);
int guest_timeline_prove(const struct guest_timeline *timeline, const struct host_vcpus *host,
			 struct fit_tally *tally);
void guest_timeline_release(struct guest_timeline *timeline);

#endif /* TSC_OFFSET_GUEST_TIMELINE_H */
