/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A file that the Perfetto UI opens, as a stream of machines, bundles of ftrace events, tracks and what is on them: see
 * perfetto_trace.proto. What is written for each event takes one pass and no memory of its own.
 */
#ifndef TSC_OFFSET_PERFETTO_WRITER_H
#define TSC_OFFSET_PERFETTO_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire.h"

/* The names of slices, and of what is told of them */
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
 * struct perfetto_writer - a file while it is written
 * @file: where to; the caller's
 * @bytes: the packet that is written; owned
 * @capacity: room there
 * @wire: the packet that is written field by field; owned
 * @pending: packets that are not written yet; owned
 * @nr_tracks: how many there are
 * @nr_texts: how many texts were interned
 * @nr_unordered: things that have no place on Perfetto's clock, and were left out
 * @error: what failed first, a negative errno; nothing was written since
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
 * struct perfetto_machine - a machine as it is made
 * @name: what it is called
 * @sysname, @release, @machine: as uname(2) has them
 * @nr_cpus: how many CPUs it has, 0 if that is not known
 */
struct perfetto_machine {
	const char	*name;
	const char	*sysname;
	const char	*release;
	const char	*machine;
	uint32_t	nr_cpus;
};

/**
 * struct perfetto_track - a track as it is made
 * @parent: the track that it is a part of, 0 for none
 * @name: what it is called; of a track of a thread, what the thread is called; NULL if that is not known
 * @description: more of it, NULL for none
 * @unit: of a track of a counter, what it counts; NULL for other tracks
 * @rank: its place among those of the same parent
 * @tid: of a track of a thread: the thread; 0 for other tracks
 * @pid: then its process
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
 * struct perfetto_detail - something that is told of a slice
 * @name: what
 * @is_text: @value is a text, by the number that perfetto_writer_intern() gave it
 * @value: its value
 */
struct perfetto_detail {
	enum perfetto_detail_name	name;
	bool				is_text;
	uint64_t			value;
};

/**
 * struct perfetto_slice - a slice as it begins
 * @machine: number of the machine
 * @track: the track that it is on
 * @name: what it is called
 * @details: what is told of it
 * @nr_details: how many
 */
struct perfetto_slice {
	uint32_t			machine;
	uint64_t			track;
	enum perfetto_name		name;
	const struct perfetto_detail	*details;
	size_t				nr_details;
};

/**
 * perfetto_writer_has_time - is there such a time?
 * @ns: nanoseconds
 *
 * Returns: true if it is one of Perfetto's, which are signed. What has another one is left out.
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
