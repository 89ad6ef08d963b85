/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * TIME_SHIFT, the trace.dat option that maps guest time to host time, in the one encoding that every stock reader
 * handles correctly: interpolated sync points.
 *
 * A reader (libtracecmd, so trace-cmd report and KernelShark) adds a correction to each guest timestamp. It
 * interpolates the correction between the two sync points around the timestamp, with signed products of 64 bits. Before
 * the first sync point and after the last, it extends the first and the last pair. time_shift_build() therefore keeps
 * these rules:
 *
 * - the same number of sync points for every vCPU, at least two, with strictly increasing times;
 * - a change of the offset is a pair: the old correction one cycle before the guest time at which the new one starts,
 * and the new one there;
 * - the first and the last pair lie on the line that is valid there;
 * - where the TSC is scaled, sync points are close enough that no product overflows.
 */
#ifndef TSC_OFFSET_TIME_SHIFT_H
#define TSC_OFFSET_TIME_SHIFT_H

#include <stddef.h>
#include <stdint.h>

struct vcpu_history;

/* The option's flags word: TRACECMD_TSYNC_FLAG_INTERPOLATE of trace-cmd */
#define TIME_SHIFT_INTERPOLATE	0x1
/* The reader's own scaling is not usable; the sync points do that work */
#define TIME_SHIFT_SCALING	1
#define TIME_SHIFT_FRACTION	0

/*
 * Bytes of the largest option. All vCPUs get as many sync points as the vCPU with most, so a few KiB of changes could
 * become gigabytes. 1024 vCPUs may have 4095 sync points each. Fuzzing uses a lower limit.
 */
#ifndef TIME_SHIFT_MAX_SIZE
#define TIME_SHIFT_MAX_SIZE	(128UL << 20)
#endif

/*
 * Readers multiply the distance between two sync points by the difference of their corrections in signed 64 bits. Three
 * bits are left for a guest that continues to run after the last sync point.
 */
#define TIME_SHIFT_PRODUCT_BITS	60

/**
 * struct time_shift_point - one sync point
 * @guest_tsc: guest time in cycles, as the option stores it
 * @correction: host TSC minus guest TSC at that time, in cycles
 */
struct time_shift_point {
	int64_t	guest_tsc;
	int64_t	correction;
};

/**
 * struct time_shift - the corrections of all vCPUs of a guest
 * @nr_vcpus: number of vCPUs, in the guest's order of CPUs
 * @nr_points: number of sync points of each vCPU
 * @points: @nr_vcpus rows of @nr_points; owned
 */
struct time_shift {
	size_t			nr_vcpus;
	size_t			nr_points;
	struct time_shift_point	*points;
};

int time_shift_build(struct time_shift *shift, const struct vcpu_history *const *vcpus,
		     size_t nr_vcpus, uint64_t host_from, uint64_t host_to);
const struct time_shift_point *time_shift_vcpu(const struct time_shift *shift, size_t vcpu);
void time_shift_release(struct time_shift *shift);

int time_shift_encode(const struct time_shift *shift, uint64_t host_trace_id,
		      void **option, size_t *size);

#endif /* TSC_OFFSET_TIME_SHIFT_H */
