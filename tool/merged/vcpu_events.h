/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The kvm_entry and kvm_exit of a host's vCPUs, found by their threads and times */
#ifndef TSC_OFFSET_VCPU_EVENTS_H
#define TSC_OFFSET_VCPU_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event_ids.h"
#include "vcpu_threads.h"

struct host_recording;
struct merged_cpu;

/**
 * struct vcpu_events - the events of vCPUs being read
 * @host: the host's file; not owned
 * @ids: numbers of its events; owned
 * @threads: threads that run vCPUs; owned
 */
struct vcpu_events {
	const struct host_recording	*host;
	struct event_ids		ids;
	struct vcpu_threads		threads;
};

/**
 * struct vcpu_event - a kvm_entry or kvm_exit
 * @entry: true for kvm_entry
 * @tid: the thread
 * @vcpu: index of its vCPU in the host's
 */
struct vcpu_event {
	bool		entry;
	int		tid;
	uint32_t	vcpu;
};

int vcpu_events_open(struct vcpu_events *events, struct host_recording *host);
int vcpu_events_read(struct vcpu_events *events, const struct merged_cpu *cpu, uint64_t host_tsc,
		     struct vcpu_event *result);
void vcpu_events_close(struct vcpu_events *events);

#endif /* TSC_OFFSET_VCPU_EVENTS_H */
