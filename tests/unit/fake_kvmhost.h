/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host without KVM, tracefs and debugfs. It replaces boot_instance.c, record_instance.c, kvm_debugfs.c,
 * vm_process.c and message.c.
 *
 * It has a TSC, vCPUs whose mappings a test changes, and a list of the mappings that were in force at each time. Each
 * change is an event for those instances that record by then, and a value in debugfs. Each call of the host is a
 * step. A test can change the host before any step, in the middle of what the code under test does.
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
/* The watched VM: its process, whose number no real process has, and its file descriptor there */
#define FAKE_PID	100000000
#define FAKE_VM_FD	12
/* Its number as probes report it */
#define FAKE_VM_NUMBER	77
/* The TSC advances by this much at each read */
#define FAKE_TSC_STEP	101
/* Each change of a flood adds this to a vCPU's offset */
#define FAKE_FLOOD_MOVE	1000

/**
 * struct fake_vcpu - a vCPU of the watched VM
 * @vcpu_id: KVM's vcpu_id
 * @map: the current mapping
 * @maps: all mappings in the order of time; the first one is valid from the beginning of time
 * @since: host TSC from which each of them is valid
 * @nr: how many
 * @nested: number of further reads of debugfs that find it running a nested guest, whose offset is 4711
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
 * @has_debugfs: debugfs is mounted; @debugfs_error: the error of reading it, 0 if it shows the VM
 * @patched: events report the scaling and the VM
 * @vm_id: the VM's number in debugfs, 0 for none
 * @silent: events report 0 as the offset before
 * @tsc_protected: the VM's TSC is protected
 * @boot_instance: the boot instance has recorded since before the VM was made
 * @boot_lost: the boot instance lost events
 * @open_error, @drain_error, @close_error: errors of the recording's instance
 * @lost: its buffer drops events; reported once
 * @swept: number of leftovers of other recordings that are removed
 * @nr_removing, @nr_left_removing: other recordings that have to remove the probes, and killed ones
 * @removes: this recording's instance has the number of one that has to remove them
 * @fills: a wait for half-full buffers of the recording's instance returns at once
 * @waits: number of these waits
 * @loads: the probe on vCPU loads is recorded
 * @reading: a separate instance records reads of debugfs; its probe reports L1's values
 * @missed: number of these reads whose event is lost
 * @reads: that instance's events
 * @nr_reads: how many
 * @threads: the threads of the VM's process
 * @nr_threads: how many
 * @nr_vms: how many VMs that process has
 * @boot: the events of the boot instance
 * @nr_boot: how many
 * @events: the events of the recording's instance
 * @nr_events: how many
 * @instances: how many instances of recordings there are
 * @opened: host TSC at which the last of them began to record
 * @closed_fds: number of files that a child closed
 * @values_read: number of reads of a vCPU's offset from debugfs
 * @flood: changes left for the next drain; @flooded: number of vCPUs that they change
 * @said: the messages, one on each line
 * @tsc: the TSC
 * @steps: number of calls of the host so far by the test's own thread
 * @step_at: @at_step() is called once, before the call with this number
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
