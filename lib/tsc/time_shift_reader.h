/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * How stock readers (libtracecmd, so trace-cmd report and KernelShark) apply a TIME_SHIFT option of any origin. Checks
 * must test the times that readers show.
 *
 * This is the behaviour of libtracecmd 1.3.1 (trace-cmd 3.1.6) on x86-64, unchanged up to trace-cmd 3.4. It includes
 * the oddities:
 *
 * - one sample: only its offset applies, scaling is ignored;
 * - two samples: that pair always applies, so in step mode the second is never used;
 * - more samples: the pair around a time applies; before the first and after the last sample, the first and the last
 * pair. In step mode the last sample is never used;
 * - samples are sorted as signed numbers and searched as unsigned ones;
 * - arithmetic wraps at 64 bits, and the scaled time is shifted by the lowest six bits of the fraction.
 *
 * For a vCPU without samples, the reader uses arbitrary memory. Here such a vCPU is not corrected.
 */
#ifndef TSC_OFFSET_TIME_SHIFT_READER_H
#define TSC_OFFSET_TIME_SHIFT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct time_shift_sample - a sample of a vCPU
 * @ts: guest time, in cycles
 * @offset: added after scaling, in cycles
 * @scaling: multiplier of the guest time
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
 * @host_trace_id: TRACEID of the host's recording
 * @interpolate: readers interpolate between samples; otherwise samples are steps
 * @nr_vcpus: number of vCPUs
 * @nr_samples: number of samples of each vCPU; owned
 * @samples: samples of each vCPU in the order of time, with distinct times; owned
 * @recent: for each vCPU the index of the sample before the last time that was converted; owned
 *
 * All zeros correct nothing, like a file without the option.
 */
struct time_shift_reader {
	uint64_t			host_trace_id;
	bool				interpolate;
	size_t				nr_vcpus;
	size_t				*nr_samples;
	struct time_shift_sample	**samples;
	size_t				*recent;
};

int time_shift_decode(struct time_shift_reader *reader, const void *option, size_t size);
bool time_shift_corrects(const struct time_shift_reader *reader, size_t vcpu);
uint64_t time_shift_apply(const struct time_shift_reader *reader, size_t vcpu, uint64_t guest_tsc);
void time_shift_reader_release(struct time_shift_reader *reader);

#endif /* TSC_OFFSET_TIME_SHIFT_READER_H */
