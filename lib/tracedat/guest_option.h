/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Option GUEST of a host's file: a guest, and the host threads that run its CPUs. */
#ifndef TSC_OFFSET_GUEST_OPTION_H
#define TSC_OFFSET_GUEST_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat;

/**
 * struct guest_option_cpu - a CPU of the guest
 * @cpu: number of the CPU in the guest
 * @tid: the host thread that runs it; 0 or -1 if unknown
 */
struct guest_option_cpu {
	uint32_t	cpu;
	int32_t		tid;
};

/**
 * struct guest_option - a guest
 * @name: the guest's name in trace-cmd; a part of the payload, or not owned
 * @trace_id: TRACEID of its file
 * @cpus: CPUs in the order of the option; owned
 * @nr_cpus: number of @cpus; 0 if trace-cmd did not find the guest's process
 */
struct guest_option {
	const char		*name;
	uint64_t		trace_id;
	struct guest_option_cpu	*cpus;
	size_t			nr_cpus;
};

int guest_option_decode(struct guest_option *guest, const void *option, size_t size);
int guest_option_next(struct guest_option *guest, const struct trace_dat *dat, size_t *at);
bool guest_option_knows(const struct trace_dat *host, uint64_t guest_trace_id);
int guest_option_encode(const struct guest_option *guest, void **option, size_t *size);
void guest_option_release(struct guest_option *guest);

#endif /* TSC_OFFSET_GUEST_OPTION_H */
