/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Detects events of probes that repeat known values. Most do: one is recorded whenever a vCPU's thread begins to run.
 */
#ifndef TSC_OFFSET_PROBE_REPEATS_H
#define TSC_OFFSET_PROBE_REPEATS_H

#include <stdbool.h>

struct tsc_offset_event;

/**
 * struct probe_repeats - the events of one CPU of the host so far; all zeros at first
 * @vcpus: tree with the last event of each vCPU; owned
 * @last: the node that was looked up last
 */
struct probe_repeats {
	void			*vcpus;
	struct tsc_offset_event	*last;
};

bool probe_repeats(struct probe_repeats *repeats, const struct tsc_offset_event *event);
void probe_repeats_release(struct probe_repeats *repeats);

#endif /* TSC_OFFSET_PROBE_REPEATS_H */
