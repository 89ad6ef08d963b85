/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The tracks of a Perfetto trace of hosts and guests that Perfetto does not make of ftrace events: names, hierarchy and
 * order.
 */
#ifndef TSC_OFFSET_PERFETTO_TRACKS_H
#define TSC_OFFSET_PERFETTO_TRACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_vm;
struct perfetto_writer;
struct guest_vcpu;

/**
 * struct offset_tracks - tracks of a vCPU's TSC offset
 * @parent: track of the vCPU
 * @absolute: track of the offset; 0 until it exists, like @relative
 * @relative: track of the offset minus the first known one
 */
struct offset_tracks {
	uint64_t	parent;
	uint64_t	absolute;
	uint64_t	relative;
};

uint64_t perfetto_tracks_vm(struct perfetto_writer *writer, const char *path, const struct host_vm *vm, size_t number);
uint64_t perfetto_tracks_vcpu(struct perfetto_writer *writer, uint64_t parent, const struct guest_vcpu *vcpu,
			      size_t cpu);
void perfetto_tracks_offset(struct perfetto_writer *writer, struct offset_tracks *offset);
uint64_t perfetto_tracks_running(struct perfetto_writer *writer, uint32_t machine, size_t cpu);
uint64_t perfetto_tracks_lost(struct perfetto_writer *writer, uint32_t machine, uint32_t cpu, const char *instance);

#endif /* TSC_OFFSET_PERFETTO_TRACKS_H */
