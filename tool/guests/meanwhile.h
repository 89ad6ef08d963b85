/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds CPUs that are shown outside of the host's recording although other CPUs of the guest recorded events within it
 * at the same guest TSC.
 *
 * A CPU can have only events before and after the host's recording, if it was idle meanwhile. All its events are also
 * shown there with the offset of another vCPU, or with an offset that has changed since. But the TSCs of a guest's CPUs
 * are equal or nearly equal: events of one CPU before the host's recording have lower times than later events of any
 * other.
 */
#ifndef TSC_OFFSET_MEANWHILE_H
#define TSC_OFFSET_MEANWHILE_H

#include <stddef.h>

struct fit;
struct fit_input;
struct guest_sample;

int meanwhile_count(const struct fit *fit, const struct fit_input *input, const struct guest_sample *sample, size_t cpu,
		    size_t *nr);

#endif /* TSC_OFFSET_MEANWHILE_H */
