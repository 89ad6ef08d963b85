/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The TSC of a guest's CPUs while the guest is recorded: builds a time shift from the histories of its vCPUs. Does not
 * depend on trace-cmd.
 */
#ifndef TSC_OFFSET_GUEST_CLOCK_H
#define TSC_OFFSET_GUEST_CLOCK_H

#include <stddef.h>
#include <sys/types.h>

struct guest_clock;
struct guest_probe;
struct time_shift;

int guest_clock_open(struct guest_clock **result, pid_t pid, size_t nr_cpus, unsigned int number);
void guest_clock_probe(struct guest_clock *clock, size_t cpu, const struct guest_probe *probe);
int guest_clock_time_shift(struct guest_clock *clock, struct time_shift *shift);
void guest_clock_forked(struct guest_clock *clock);
void guest_clock_close(struct guest_clock *clock, int error);
void guest_clock_abandon(struct guest_clock *clock);

#endif /* TSC_OFFSET_GUEST_CLOCK_H */
