/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What a guest's trace.dat tells of the guest: which of its buffers counts, its CPUs, when it was recorded. */
#ifndef TSC_OFFSET_GUEST_TRACE_H
#define TSC_OFFSET_GUEST_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_buffer;

/**
 * struct guest_cpu - a CPU of the guest
 * @has_events: it recorded something
 * @first: guest TSC of its first event
 * @last: of its last, or one after that; UINT64_MAX if nothing tells
 */
struct guest_cpu {
	bool		has_events;
	uint64_t	first;
	uint64_t	last;
};

/**
 * struct guest_trace - a guest's file
 * @dat: the file; the caller keeps it open
 * @buffer: the buffer that readers are to correct
 * @cpus: from CPU 0 on to the last that has events; owned
 * @nr_cpus: how many
 * @trace_id: TRACEID, 0 without
 */
struct guest_trace {
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	struct guest_cpu		*cpus;
	size_t				nr_cpus;
	uint64_t			trace_id;
};

int guest_trace_read(struct guest_trace *guest, struct trace_dat *dat,
		     const struct trace_dat_buffer *buffer);
void guest_trace_release(struct guest_trace *guest);

#endif /* TSC_OFFSET_GUEST_TRACE_H */
