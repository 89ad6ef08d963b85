/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The lines that tsc-offset mark writes to a host's trace_marker, for any running recording: offset and ratio of each
 * vCPU at a moment.
 *
 * The first line shows that the recording has all changes after it:
 *
 *	tsc-offset mark 1 begin
 *
 * One line for each vCPU follows, with decimal numbers and exactly one blank between words:
 *
 *	tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-130407 ratio=4294967296 bits=32 protected=0 from=1 until=2
 *
 * 1 is the version; other versions have other forms. Version 2 appends the word id=7, the number that a kernel with our
 * patches gives the VM (event.h). vm is the VM's name in KVM's debugfs: the thread that created it and its file
 * descriptor. thread ran the vCPU last, 0 for none. offset, ratio and bits are those of struct tsc_mapping, for L1 and
 * with a ratio that is not 0. protected is 1 if KVM cannot change the TSC; the guest's values may then differ. KVM had
 * these values at a moment from host TSC from to host TSC until, both included.
 *
 * doc/trace-marker.md specifies the format for other programs.
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
/* Longer than any line with its terminator */
#define VCPU_MARK_SIZE		320

/**
 * struct vcpu_mark - a line of a vCPU
 * @vm_pid: the thread that created the VM, greater than 0
 * @vm_fd: the VM's file descriptor
 * @vm_id: the number that KVM gives the VM, 0 in a line of version 1
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that ran the vCPU last, 0 for none
 * @map: offset and ratio of L1; the ratio is not 0
 * @tsc_protected: the guest's values may differ
 * @from, @until: host TSC, in cycles: @map was valid at a moment from @from to @until
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
