/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * How stock readers (libtracecmd, so trace-cmd report and KernelShark) apply a TIME_SHIFT option, whoever
 * wrote it: what they show is what is to be checked.
 *
 * This is the behaviour of libtracecmd 1.3.1, which is that of trace-cmd 3.1.6, on x86-64; up to trace-cmd
 * 3.4 it did not change. Its oddities are part of it:
 *
 * - one sample: its offset alone, scaling is ignored;
 * - two samples: always that pair, so that in step mode the second is never applied;
 * - more samples: the pair around a time, before the first and after the last sample the first and the last
 *   pair, so that in step mode the last sample is never applied;
 * - samples are sorted as signed numbers and searched as unsigned ones;
 * - arithmetic wraps at 64 bits, and the scaled time is shifted by the fraction's lowest six bits.
 *
 * The reader has no answer for a vCPU without samples, and reads whatever lies there in memory. Here such a
 * vCPU is not corrected.
 */
#ifndef TSC_OFFSET_TIME_SHIFT_READER_H
#define TSC_OFFSET_TIME_SHIFT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct time_shift_sample - a sample of a vCPU
 * @ts: guest time, in cycles
 * @offset: added, in cycles
 * @scaling: multiplied in before
 * @frac: fraction bits of @scaling
 */
struct time_shift_sample {
	int64_t	ts;
	int64_t	offset;
	int64_t	scaling;
	int64_t	frac;
};

/**
 * struct time_shift_reader - a decoded option
 * @host_trace_id: TRACEID of the peer
 * @interpolate: readers interpolate between samples; else samples are steps
 * @nr_vcpus: how many
 * @nr_samples: per vCPU; owned
 * @samples: per vCPU, in the order of time, no two at the same; owned
 *
 * One that is all zeros corrects nothing, as readers do without the option.
 */
struct time_shift_reader {
	uint64_t			host_trace_id;
	bool				interpolate;
	size_t				nr_vcpus;
	size_t				*nr_samples;
	struct time_shift_sample	**samples;
};

int time_shift_decode(struct time_shift_reader *reader, const void *option, size_t size);
bool time_shift_corrects(const struct time_shift_reader *reader, size_t vcpu);
uint64_t time_shift_apply(const struct time_shift_reader *reader, size_t vcpu, uint64_t guest_tsc);
void time_shift_reader_release(struct time_shift_reader *reader);

#endif /* TSC_OFFSET_TIME_SHIFT_READER_H */
