/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host without KVM, tracefs and debugfs, in place of boot_instance.c, record_instance.c,
 * kvm_debugfs.c, vm_process.c and message.c.
 *
 * It has a TSC, vCPUs whose mappings a test changes, and a memory of what really held when. Each change is an event
 * for those instances that record by then, and a value in debugfs. A test can have something happen in the midst
 * of what the code under test does: each call of the host is a step.
 */
#ifndef TEST_FAKE_KVMHOST_H
#define TEST_FAKE_KVMHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event.h"
#include "mapping.h"

#define FAKE_VCPUS	512
#define FAKE_THREADS	4
#define FAKE_CHANGES	64
#define FAKE_EVENTS	64
/* The VM that is watched: its process, a number that no real one has, and its descriptor there */
#define FAKE_PID	100000000
#define FAKE_VM_FD	12
/* Its number by probes */
#define FAKE_VM_NUMBER	77
/* What the TSC is more with each look at it */
#define FAKE_TSC_STEP	101
/* By how much each change of a flood moves the TSC on */
#define FAKE_FLOOD_MOVE	1000

/**
 * struct fake_vcpu - a vCPU of the VM that is watched
 * @vcpu_id: KVM's vcpu_id
 * @map: the current mapping
 * @maps: what held, in the order of time; the first one from the beginning of time
 * @since: host TSC since when each of them is valid
 * @nr: how many
 * @nested: reads of debugfs that will still find it running a guest of its own, whose offset is 4711
 */
struct fake_vcpu {
	uint32_t		vcpu_id;
	struct tsc_mapping	map;
	struct tsc_mapping	maps[FAKE_CHANGES];
	uint64_t		since[FAKE_CHANGES];
	size_t			nr;
	unsigned int		nested;
};

/**
 * struct fake_kvmhost - the host
 * @vcpus: those that debugfs shows, by vcpu_id
 * @nr_vcpus: how many
 * @has_debugfs: it is mounted; @debugfs_error: what is found there instead of the VM
 * @patched: events report the scaling and the VM
 * @vm_id: the number that debugfs has of the VM, 0 for none
 * @silent: events report 0 as the offset before
 * @tsc_protected: the VM's TSC is
 * @boot_instance: it records since before the VM was made
 * @boot_lost: it lost events
 * @open_error, @drain_error, @close_error: of the instance of the recording
 * @lost: its buffer drops events; told once
 * @swept: what others left that is swept
 * @nr_removing, @nr_left_removing: other recordings that have to remove the probes, and those that were killed
 * @removes: the instance says that this one has to
 * @fills: the buffers of the recording's instance are half full, or they say so at once
 * @waits: number of waits for that
 * @loads: the loads of vCPUs are recorded
 * @reading: so are reads of debugfs, by an instance of their own, whose probe reports L1's values
 * @missed: of that many it misses the event
 * @reads: its contents
 * @nr_reads: how many
 * @threads: the VM's process has these
 * @nr_threads: how many
 * @nr_vms: how many VMs it has
 * @boot: the events of the boot instance
 * @nr_boot: how many
 * @events: the events of the recording's instance
 * @nr_events: how many
 * @instances: how many instances of recordings there are
 * @opened: host TSC since when the last of them records
 * @closed_fds: number of files that a child closed
 * @values_read: how often debugfs told the offset of a vCPU
 * @flood: further changes for the next drain; @flooded: the number of their vCPUs
 * @said: the messages, a line each
 * @tsc: the TSC
 * @steps: calls of the host so far, in the test's own thread
 * @step_at: before the call of that number @at_step() is called, once
 */
struct fake_kvmhost {
	struct fake_vcpu	vcpus[FAKE_VCPUS];
	size_t			nr_vcpus;
	bool			has_debugfs;
	int			debugfs_error;
	bool			patched;
	uint64_t		vm_id;
	bool			silent;
	bool			tsc_protected;
	bool			boot_instance;
	bool			boot_lost;
	int			open_error, drain_error, close_error;
	bool			lost;
	int			swept;
	int			nr_removing;
	int			nr_left_removing;
	bool			removes;
	bool			fills;
	unsigned int		waits;
	bool			loads;
	bool			reading;
	unsigned int		missed;
	struct tsc_offset_event	reads[FAKE_VCPUS];
	size_t			nr_reads;
	pid_t			threads[FAKE_THREADS];
	size_t			nr_threads;
	size_t			nr_vms;
	struct tsc_offset_event	boot[FAKE_EVENTS];
	size_t			nr_boot;
	struct tsc_offset_event	events[FAKE_EVENTS];
	size_t			nr_events;
	int			instances;
	uint64_t		opened;
	unsigned int		closed_fds;
	unsigned int		values_read;
	size_t			flood, flooded;
	char			said[1 << 18];
	uint64_t		tsc;
	unsigned long		steps;
	unsigned long		step_at;
	void			(*at_step)(void);
};

extern struct fake_kvmhost host;

void fake_kvmhost_begin(size_t nr_vcpus, int64_t offset);
void fake_kvmhost_add(size_t vcpu, uint32_t vcpu_id, const struct tsc_mapping *map);
void fake_kvmhost_change(size_t vcpu, const struct tsc_mapping *map);
void fake_kvmhost_move(size_t vcpu, int64_t offset);
void fake_kvmhost_event(const struct tsc_offset_event *event);
void fake_kvmhost_flood(size_t times, size_t nr_vcpus);
size_t fake_kvmhost_said(const char *word);
size_t fake_kvmhost_pending(void);
uint64_t fake_kvmhost_pass(uint64_t cycles);
unsigned int fake_kvmhost_values_read(void);
void fake_kvmhost_end_nested(size_t vcpu);

#endif /* TEST_FAKE_KVMHOST_H */
