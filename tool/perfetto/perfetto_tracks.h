/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The tracks of a Perfetto trace of hosts and guests: what they are called, which is below which, and in which order.
 * Those on which something may never be are made with the first thing that is.
 */
#ifndef TSC_OFFSET_PERFETTO_TRACKS_H
#define TSC_OFFSET_PERFETTO_TRACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_vm;
struct perfetto_writer;
struct tsc_frequency;
struct guest_vcpu;

/**
 * struct thread_tracks - tracks of a host's threads
 * @parent: all of them are below it
 * @others: of those that are too many, 0 while there are none
 * @by_tid: struct thread_track; owned
 * @nr: how many
 */
struct thread_tracks {
	uint64_t	parent;
	uint64_t	others;
	void		*by_tid;
	size_t		nr;
};

/**
 * struct cpu_tracks - tracks of what one of a file's buffers has of a CPU
 * @parent: the host's file, or the guest's vCPU
 * @guest: the latter
 * @cpu: number of the CPU
 * @instance: name of the buffer, "" for the top buffer
 * @running: the thread that runs, 0 until it is made
 * @events: of a guest: its events, 0 until it is made
 */
struct cpu_tracks {
	uint64_t	parent;
	bool		guest;
	uint32_t	cpu;
	const char	*instance;
	uint64_t	running;
	uint64_t	events;
};

/**
 * struct offset_tracks - tracks of a vCPU's TSC offset
 * @parent: the vCPU
 * @absolute: the offset; 0 until it is made, as the next
 * @relative: against the first one that is known
 */
struct offset_tracks {
	uint64_t	parent;
	uint64_t	absolute;
	uint64_t	relative;
};

uint64_t perfetto_tracks_host(struct perfetto_writer *writer, const char *path, const struct tsc_frequency *frequency);
uint64_t perfetto_tracks_vm(struct perfetto_writer *writer, const char *path, const struct host_vm *vm, size_t number);
uint64_t perfetto_tracks_vcpu(struct perfetto_writer *writer, uint64_t parent, const struct guest_vcpu *vcpu,
			      size_t cpu);
uint64_t perfetto_tracks_running(struct perfetto_writer *writer, struct cpu_tracks *cpu);
uint64_t perfetto_tracks_events(struct perfetto_writer *writer, struct cpu_tracks *cpu);
void perfetto_tracks_offset(struct perfetto_writer *writer, struct offset_tracks *offset);
void perfetto_tracks_threads(struct perfetto_writer *writer, struct thread_tracks *threads, uint64_t host);
uint64_t perfetto_tracks_thread(struct perfetto_writer *writer, struct thread_tracks *threads, const char *comm,
				int tid);
void perfetto_tracks_release(struct thread_tracks *threads);

#endif /* TSC_OFFSET_PERFETTO_TRACKS_H */
