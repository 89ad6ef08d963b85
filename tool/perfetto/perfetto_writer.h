/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Writes a file for the Perfetto UI as a stream of machines, bundles of ftrace events, tracks and their contents: see
 * perfetto_trace.proto. Each event is written in one pass without an object in memory.
 */
#ifndef TSC_OFFSET_PERFETTO_WRITER_H
#define TSC_OFFSET_PERFETTO_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire.h"

/* Names of slices and of their details */
enum perfetto_name {
	NAME_GUEST_MODE = 1,
	NAME_UNKNOWN,
	NAME_RUNNING,
	NAME_EVENTS_LOST,
	NAME_MISSING,
};

enum perfetto_detail_name {
	DETAIL_VM = 1,
	DETAIL_VCPU,
	DETAIL_MACHINE,
	DETAIL_GUEST_CPU,
	DETAIL_EXIT_REASON,
	DETAIL_EXIT_REASON_CODE,
	DETAIL_CAUSE,
	DETAIL_CPU,
	DETAIL_EVENTS,
};

/**
 * struct perfetto_writer - a file being written
 * @file: the file; not owned
 * @bytes: the current packet; owned
 * @capacity: bytes allocated at @bytes
 * @wire: the packet that is written field by field; owned
 * @pending: packets to be written; owned
 * @nr_tracks: number of tracks
 * @nr_texts: number of interned texts
 * @nr_unordered: number of omitted items with times outside of the range of Perfetto's clock
 * @error: the first error, a negative errno; nothing is written after it
 */
struct perfetto_writer {
	FILE		*file;
	uint8_t		*bytes;
	size_t		capacity;
	struct wire	wire;
	struct wire	pending;
	uint64_t	nr_tracks;
	uint64_t	nr_texts;
	uint64_t	nr_unordered;
	int		error;
};

/**
 * struct perfetto_machine - the description of a machine
 * @name: its name
 * @sysname, @release, @machine: as in uname(2)
 * @nr_cpus: number of its CPUs, 0 if unknown
 */
struct perfetto_machine {
	const char	*name;
	const char	*sysname;
	const char	*release;
	const char	*machine;
	uint32_t	nr_cpus;
};

/**
 * struct perfetto_track - the description of a track
 * @parent: its parent track, 0 for none
 * @name: its name; for a thread's track, the thread's name; NULL if unknown
 * @description: a longer text, NULL for none
 * @unit: for a counter's track, the unit; NULL for other tracks
 * @rank: its place among the tracks of the same parent
 * @tid: for a thread's track: the thread; 0 for other tracks
 * @pid: with @tid: its process
 */
struct perfetto_track {
	uint64_t	parent;
	const char	*name;
	const char	*description;
	const char	*unit;
	int32_t		rank;
	int		tid;
	int		pid;
};

/**
 * struct perfetto_detail - a detail of a slice
 * @name: its name
 * @is_text: @value is a text, a number from perfetto_writer_intern()
 * @value: its value
 */
struct perfetto_detail {
	enum perfetto_detail_name	name;
	bool				is_text;
	uint64_t			value;
};

/**
 * struct perfetto_slice - the begin of a slice
 * @machine: number of the machine
 * @track: its track
 * @name: its name
 * @details: its details
 * @nr_details: number of @details
 */
struct perfetto_slice {
	uint32_t			machine;
	uint64_t			track;
	enum perfetto_name		name;
	const struct perfetto_detail	*details;
	size_t				nr_details;
};

/**
 * perfetto_writer_has_time - is a time within Perfetto's range?
 * @ns: nanoseconds
 *
 * Returns: true if so: Perfetto's times are signed. Items with other times are omitted.
 */
static inline bool perfetto_writer_has_time(uint64_t ns)
{
	return ns <= INT64_MAX;
}

void perfetto_writer_machine(struct perfetto_writer *writer, uint32_t machine, const struct perfetto_machine *what);
uint64_t perfetto_writer_intern(struct perfetto_writer *writer, const char *text);
uint64_t perfetto_writer_track(struct perfetto_writer *writer, uint32_t machine, const struct perfetto_track *track);
void perfetto_writer_begin(struct perfetto_writer *writer, uint64_t ns, const struct perfetto_slice *slice);
void perfetto_writer_end(struct perfetto_writer *writer, uint32_t machine, uint64_t track, uint64_t ns,
			 const struct perfetto_detail *details, size_t nr_details);
void perfetto_writer_instant(struct perfetto_writer *writer, uint64_t ns, const struct perfetto_slice *instant);
void perfetto_writer_count(struct perfetto_writer *writer, uint64_t track, uint64_t ns, int64_t value);
void perfetto_writer_bundle(struct perfetto_writer *writer, uint32_t machine, const struct wire *bundle);
void perfetto_writer_flush(struct perfetto_writer *writer);
void perfetto_writer_release(struct perfetto_writer *writer);

#endif /* TSC_OFFSET_PERFETTO_WRITER_H */
