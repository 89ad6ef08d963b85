/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds snapshots of clocks in which the TSC was read late. Perfetto reads one clock after the other, the TSC last and
 * CLOCK_ID_MONOTONIC_RAW right before it, and can be interrupted in between. That clock is not slewed, so the TSC is a
 * linear function of it. Readings lie on that line, or above it if they are late.
 */
#ifndef TSC_OFFSET_LATE_READS_H
#define TSC_OFFSET_LATE_READS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cycles. Readings later than about a millisecond have another cause, such as a paused VM */
#define LATE_READ_MOST	(1UL << 22)

/**
 * struct late_read - a snapshot
 * @raw: its CLOCK_ID_MONOTONIC_RAW, less than 2^62
 * @tsc: its TSC, less than 2^62
 */
struct late_read {
	uint64_t	raw;
	uint64_t	tsc;
};

bool late_reads_correct(struct late_read *reads, size_t nr, uint64_t limit, uint64_t *latest);

#endif /* TSC_OFFSET_LATE_READS_H */
