/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which events of probes say nothing new. Nearly all are so: there is one whenever a vCPU's thread begins to run. */
#ifndef TSC_OFFSET_PROBE_REPEATS_H
#define TSC_OFFSET_PROBE_REPEATS_H

#include <stdbool.h>

struct tsc_offset_event;

/**
 * struct probe_repeats - what one CPU of the host has recorded so far; all zeros at first
 * @vcpus: of each vCPU the last event, in a tree; owned
 * @last: the one that was looked for last
 */
struct probe_repeats {
	void			*vcpus;
	struct tsc_offset_event	*last;
};

bool probe_repeats(struct probe_repeats *repeats, const struct tsc_offset_event *event);
void probe_repeats_release(struct probe_repeats *repeats);

#endif /* TSC_OFFSET_PROBE_REPEATS_H */
