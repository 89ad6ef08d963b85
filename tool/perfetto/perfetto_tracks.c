// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_vcpus.h"
#include "host_file.h"
#include "perfetto_tracks.h"
#include "perfetto_writer.h"
#include "tsc_frequency.h"

/* A file that claims to have more threads than any host has the others of them in one track */
#define MAX_THREADS	(1UL << 16)

/* Places of tracks among those of the same parent */
enum {
	RANK_RUNNING,
	RANK_EVENTS,
	RANK_OFFSET,
	RANK_MOVED,
	RANK_THREADS	= 1 << 20,
};

struct thread_track {
	int		tid;
	uint64_t	track;
};

static uint64_t new_track(struct perfetto_writer *writer, uint64_t parent, int32_t rank, const char *name)
{
	const struct perfetto_track track = { .parent = parent, .name = name, .rank = rank };

	return perfetto_writer_track(writer, &track);
}

/* The file's name is enough: many have the same path */
static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/**
 * perfetto_tracks_host - the track above all of the host's
 * @writer: the file
 * @path: the host's file
 * @frequency: what makes nanoseconds of its TSC, or "not known"
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_host(struct perfetto_writer *writer, const char *path, const struct tsc_frequency *frequency)
{
	uint64_t khz = (tsc_frequency_hz(frequency) + 500) / 1000;
	char name[512], description[256];
	const struct perfetto_track track = { .name = name, .description = description };

	snprintf(name, sizeof(name), "host %.255s%s", file_name(path),
		 khz ? "" : ", a nanosecond is a cycle of its TSC");
	if (khz)
		snprintf(description, sizeof(description), "All times are the host's TSC, which runs at %" PRIu64
			 ".%03" PRIu64 " MHz.", khz / 1000, khz % 1000);
	else
		snprintf(description, sizeof(description), "All times are cycles of the host's TSC, shown as if each "
			 "took a nanosecond: its frequency is not known.");
	return perfetto_writer_track(writer, &track);
}

/**
 * perfetto_tracks_vm - the track above all of a guest's
 * @writer: the file
 * @path: the guest's file
 * @vm: the VM that it is of, NULL if that is not known
 * @number: which of the guests, from 1 on
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_vm(struct perfetto_writer *writer, const char *path, const struct host_vm *vm, size_t number)
{
	const char *guest = vm && vm->guest_name ? vm->guest_name : "";
	char name[768];

	snprintf(name, sizeof(name), "VM %.255s%s%.128s, %.255s", vm ? vm->name : "?", *guest ? ", guest " : "", guest,
		 file_name(path));
	return new_track(writer, 0, (int32_t)number, name);
}

/**
 * perfetto_tracks_vcpu - the track of a vCPU, where its guest mode is
 * @writer: the file
 * @parent: the guest's
 * @vcpu: the vCPU that the guest's CPU is
 * @cpu: number of the guest's CPU
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_vcpu(struct perfetto_writer *writer, uint64_t parent, const struct guest_vcpu *vcpu,
			      size_t cpu)
{
	char name[64];

	if (!vcpu->known)
		snprintf(name, sizeof(name), "CPU %zu", cpu);
	else if (vcpu->vcpu_id == cpu)
		snprintf(name, sizeof(name), "vCPU %zu", cpu);
	else
		snprintf(name, sizeof(name), "CPU %zu, vCPU %" PRIu32, cpu, vcpu->vcpu_id);
	return new_track(writer, parent, (int32_t)cpu, name);
}

static uint64_t new_cpu_track(struct perfetto_writer *writer, const struct cpu_tracks *cpu, int32_t rank,
			      const char *what)
{
	char name[256];

	snprintf(name, sizeof(name), "%s%s%.128s", what, *cpu->instance ? ", instance " : "", cpu->instance);
	return new_track(writer, cpu->parent, rank, name);
}

/**
 * perfetto_tracks_running - the track of what a CPU runs
 * @writer: the file
 * @cpu: the CPU
 *
 * Returns: the track: of a host the CPU's own, of a guest one below that of its guest mode.
 */
uint64_t perfetto_tracks_running(struct perfetto_writer *writer, struct cpu_tracks *cpu)
{
	char what[32] = "running";

	if (!cpu->guest)
		snprintf(what, sizeof(what), "CPU %" PRIu32, cpu->cpu);
	if (!cpu->running)
		cpu->running = new_cpu_track(writer, cpu, cpu->guest ? RANK_RUNNING : (int32_t)cpu->cpu, what);
	return cpu->running;
}

/**
 * perfetto_tracks_events - the track of the events of a guest's CPU
 * @writer: the file
 * @cpu: the CPU
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_events(struct perfetto_writer *writer, struct cpu_tracks *cpu)
{
	if (!cpu->events)
		cpu->events = new_cpu_track(writer, cpu, RANK_EVENTS, "events");
	return cpu->events;
}

/**
 * perfetto_tracks_offset - the tracks of a vCPU's TSC offset
 * @writer: the file
 * @offset: its @parent is known; those that are not there are made
 */
void perfetto_tracks_offset(struct perfetto_writer *writer, struct offset_tracks *offset)
{
	static const char cycles[] = "cycles";
	const struct perfetto_track absolute = {
		.parent = offset->parent, .name = "TSC offset", .unit = cycles, .rank = RANK_OFFSET
	};
	const struct perfetto_track relative = {
		.parent = offset->parent, .name = "TSC offset, moved by", .unit = cycles, .rank = RANK_MOVED
	};

	if (offset->absolute)
		return;
	offset->absolute = perfetto_writer_track(writer, &absolute);
	offset->relative = perfetto_writer_track(writer, &relative);
}

/**
 * perfetto_tracks_threads - begin with a host's threads
 * @writer: the file
 * @threads: result
 * @host: the host's track
 */
void perfetto_tracks_threads(struct perfetto_writer *writer, struct thread_tracks *threads, uint64_t host)
{
	*threads = (struct thread_tracks) { .parent = new_track(writer, host, RANK_THREADS, "threads") };
}

static int compare_threads(const void *a, const void *b)
{
	const struct thread_track *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/**
 * perfetto_tracks_thread - the track of a thread of the host
 * @writer: the file
 * @threads: of the host
 * @comm: what the thread is called
 * @tid: the thread
 *
 * Returns: the track, 0 without memory.
 */
uint64_t perfetto_tracks_thread(struct perfetto_writer *writer, struct thread_tracks *threads, const char *comm,
				int tid)
{
	struct thread_track key = { .tid = tid }, *thread;
	void *found = tfind(&key, &threads->by_tid, compare_threads);
	char name[64];

	if (found)
		return (*(struct thread_track **)found)->track;
	if (threads->nr == MAX_THREADS) {
		if (!threads->others)
			threads->others = new_track(writer, threads->parent, INT32_MAX, "other threads");
		return threads->others;
	}
	thread = malloc(sizeof(*thread));
	if (!thread)
		return 0;
	snprintf(name, sizeof(name), "%.32s-%d", comm, tid);
	*thread = (struct thread_track) { tid, new_track(writer, threads->parent, tid, name) };
	if (!tsearch(thread, &threads->by_tid, compare_threads)) {
		free(thread);
		return 0;
	}
	threads->nr++;
	return thread->track;
}

/**
 * perfetto_tracks_release - free what is known of threads
 * @threads: in any state
 */
void perfetto_tracks_release(struct thread_tracks *threads)
{
	tdestroy(threads->by_tid, free);
	threads->by_tid = NULL;
}
