/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The lines that tsc-offset mark writes to a host's trace_marker: offset and ratio of each vCPU at a moment, for any
 * recording that runs.
 *
 * First a line of its own, so that a recording that has it has all changes that come after it:
 *
 *	tsc-offset mark 1 begin
 *
 * then one for each vCPU, with decimal numbers and exactly one blank between words:
 *
 *	tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1304078728685 ratio=4294967296 bits=32 protected=0 from=1 until=2
 *
 * 1 is the version: a line of another one has another form. Version 2 has one more word at the end, id=7, which is the
 * number that a kernel with our patches gives the VM (event.h); other kernels have none. vm is the VM as KVM's debugfs names it, the thread that made
 * it and the file descriptor; thread ran the vCPU last, 0 for none. offset, ratio and bits are struct tsc_mapping's, of
 * L1 and with a ratio that is not 0; protected is 1 if the TSC is out of KVM's reach, and these need not be what the
 * guest has. They were read in KVM at a moment from host TSC from until host TSC until, both included.
 *
 * doc/trace-marker.md describes the format for authors of other programs.
 */
#ifndef TSC_OFFSET_VCPU_MARK_H
#define TSC_OFFSET_VCPU_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct tsc_offset_event;

#define VCPU_MARK_WORDS		"tsc-offset mark "
#define VCPU_MARK_VERSION	1
#define VCPU_MARK_VERSION_ID	2
#define VCPU_MARK_BEGIN		VCPU_MARK_WORDS "1 begin"
/* Longer than any line, its end included */
#define VCPU_MARK_SIZE		320

/**
 * struct vcpu_mark - a line
 * @vm_pid: the thread that made the VM, greater than 0
 * @vm_fd: the file descriptor that it got for it
 * @vm_id: the number that KVM gives the VM, 0 if the line is of version 1
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that ran the vCPU last, 0 for none
 * @map: offset and ratio of L1; the ratio is not 0
 * @tsc_protected: they need not be what the guest has
 * @from, @until: host TSC, in cycles: they held at a moment from @from until @until
 */
struct vcpu_mark {
	int			vm_pid;
	int			vm_fd;
	uint64_t		vm_id;
	uint32_t		vcpu_id;
	int			tid;
	struct tsc_mapping	map;
	bool			tsc_protected;
	uint64_t		from;
	uint64_t		until;
};

size_t vcpu_mark_print(char *line, const struct vcpu_mark *mark);
int vcpu_mark_parse(struct vcpu_mark *mark, const char *text, size_t size);
void vcpu_mark_event(struct tsc_offset_event *event, const struct vcpu_mark *mark);

#endif /* TSC_OFFSET_VCPU_MARK_H */
