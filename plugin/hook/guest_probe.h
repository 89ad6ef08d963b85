/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's report of its TSC: the agent reads it on a CPU between the host's request and its own answer. The value
 * must therefore lie in the range of the vCPU's TSC meanwhile, which distinguishes vCPUs with different offsets.
 */
#ifndef TSC_OFFSET_GUEST_PROBE_H
#define TSC_OFFSET_GUEST_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu_history;

/**
 * struct guest_probe - one reading of a guest's TSC
 * @guest_tsc: its value, in guest cycles
 * @sent: host TSC before the request, in cycles
 * @answered: host TSC after the answer, in cycles
 */
struct guest_probe {
	uint64_t	guest_tsc;
	uint64_t	sent;
	uint64_t	answered;
};

/* Readings kept for each CPU, the latest ones */
#define GUEST_PROBES	4

/**
 * struct guest_probes - the last readings of one CPU
 * @probes: readings in any order
 * @nr: number of readings so far; the latest %GUEST_PROBES are kept
 */
struct guest_probes {
	struct guest_probe	probes[GUEST_PROBES];
	size_t			nr;
};

void guest_probes_add(struct guest_probes *probes, const struct guest_probe *probe);
struct guest_probes guest_probes_last(const struct guest_probes *probes);
bool guest_probes_contradict(const struct guest_probes *probes, const struct vcpu_history *vcpu);
bool guest_probes_fit(const struct guest_probes *probes, const struct vcpu_history *vcpu);

#endif /* TSC_OFFSET_GUEST_PROBE_H */
