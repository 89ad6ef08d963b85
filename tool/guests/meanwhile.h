/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Events of a CPU that is shown outside of the host's recording, which it recorded while other CPUs of its guest
 * recorded events within it, by the guest's TSC.
 *
 * A CPU may have nothing but events before and after the host's recording: it was idle meanwhile. With the offset of
 * another vCPU, or with one that has changed since, all its events are shown there as well. But the TSCs of a guest's
 * CPUs are the same, or nearly so: what one recorded before the host began has lower times than what any other recorded
 * later.
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
