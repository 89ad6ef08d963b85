// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest_vcpus.h"
#include "host.h"
#include "perfetto_tracks.h"
#include "perfetto_writer.h"

/* Places of tracks among those of the same parent */
enum {
	RANK_OFFSET,
	RANK_MOVED,
};

enum {
	RANK_RUNNING	= 0,
	RANK_LOST	= 1 << 20,
};

static uint64_t new_track(struct perfetto_writer *writer, uint32_t machine, uint64_t parent, int32_t rank,
			  const char *name)
{
	const struct perfetto_track track = { .parent = parent, .name = name, .rank = rank };

	return perfetto_writer_track(writer, machine, &track);
}

/* The file's name is enough: many have the same path */
static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/**
 * perfetto_tracks_vm - make the top track of a guest
 * @writer: the file
 * @path: the guest's file
 * @vm: its VM, NULL if unknown
 * @number: number of the guest, from 1 on
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_vm(struct perfetto_writer *writer, const char *path, const struct host_vm *vm, size_t number)
{
	const char *guest = vm && vm->guest_name ? vm->guest_name : "";
	char name[768];

	snprintf(name, sizeof(name), "VM %.255s%s%.128s, %.255s", vm ? vm->name : "?", *guest ? ", guest " : "", guest,
		 file_name(path));
	return new_track(writer, 0, 0, (int32_t)number, name);
}

/**
 * perfetto_tracks_vcpu - make the track of a vCPU, with its guest mode
 * @writer: the file
 * @parent: track of the guest
 * @vcpu: the vCPU of the guest's CPU
 * @cpu: number of the CPU in the guest
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
	return new_track(writer, 0, parent, (int32_t)cpu, name);
}

/**
 * perfetto_tracks_offset - make the missing tracks of a vCPU's TSC offset
 * @writer: the file
 * @offset: has its @parent
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
	offset->absolute = perfetto_writer_track(writer, 0, &absolute);
	offset->relative = perfetto_writer_track(writer, 0, &relative);
}

/**
 * perfetto_tracks_running - make the track of a guest's CPU with its guest mode, as its host shows it
 * @writer: the file
 * @machine: number of the guest
 * @cpu: its CPU
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_running(struct perfetto_writer *writer, uint32_t machine, size_t cpu)
{
	char name[64];

	snprintf(name, sizeof(name), "CPU %zu, in guest mode", cpu);
	return new_track(writer, machine, 0, RANK_RUNNING + (int32_t)cpu, name);
}

/**
 * perfetto_tracks_lost - make the track of a CPU's losses
 * @writer: the file
 * @machine: number of the machine
 * @cpu: the CPU
 * @instance: name of the buffer, "" for the top buffer
 *
 * Returns: the track.
 */
uint64_t perfetto_tracks_lost(struct perfetto_writer *writer, uint32_t machine, uint32_t cpu, const char *instance)
{
	char name[256];

	snprintf(name, sizeof(name), "CPU %" PRIu32 ", events lost%s%.128s", cpu, *instance ? ", instance " : "",
		 instance);
	return new_track(writer, machine, 0, RANK_LOST + (int32_t)cpu, name);
}
