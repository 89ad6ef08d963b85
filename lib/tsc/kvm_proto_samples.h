/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What trace-cmd's own protocol "kvm" samples of a vCPU, as sync points that mean the same to a reader that
 * interpolates.
 *
 * TIME_SHIFT says for all of a guest's vCPUs together, and the registration of a protocol for all guests,
 * whether readers interpolate. Samples are steps: each holds until the next. So a sample with a new value
 * becomes two sync points, the old value one cycle before its time and the new one there; one with the value
 * of the sample before it tells nothing new and becomes none.
 */
#ifndef TSC_OFFSET_KVM_PROTO_SAMPLES_H
#define TSC_OFFSET_KVM_PROTO_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct kvm_proto_sample - a sample or a sync point, in the terms of the reader: (ts * scaling >> frac) + offset
 * @ts: guest TSC in cycles
 * @offset: host minus guest, in cycles
 * @scaling: multiplier
 * @frac: fraction bits of @scaling
 */
struct kvm_proto_sample {
	int64_t	ts;
	int64_t	offset;
	int64_t	scaling;
	int64_t	frac;
};

/**
 * struct kvm_proto_samples - the samples of one vCPU that tell something new; all zero when empty
 * @nr: how many
 * @capacity: room for so many
 * @samples: in the order of their times, at least two cycles apart; owned
 */
struct kvm_proto_samples {
	size_t			nr;
	size_t			capacity;
	struct kvm_proto_sample	*samples;
};

int kvm_proto_samples_add(struct kvm_proto_samples *samples, const struct kvm_proto_sample *sample);
size_t kvm_proto_samples_nr_points(const struct kvm_proto_samples *samples);
struct kvm_proto_sample kvm_proto_samples_point(const struct kvm_proto_samples *samples, size_t index);
void kvm_proto_samples_release(struct kvm_proto_samples *samples);

#endif /* TSC_OFFSET_KVM_PROTO_SAMPLES_H */
