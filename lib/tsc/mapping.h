/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The arithmetic between host TSC and guest TSC.
 *
 * KVM (arch/x86/kvm/x86.c, kvm_read_l1_tsc() and kvm_scale_tsc()):
 *
 *	guest = ((host * ratio) >> frac_bits) + offset
 *
 * The product has 128 bits, and the sum wraps at 2^64.
 */
#ifndef TSC_OFFSET_MAPPING_H
#define TSC_OFFSET_MAPPING_H

#include <stdint.h>

/* More than any hardware has, and small enough that a 64-bit value shifted by it fits into 128 bits */
#define TSC_MAX_FRAC_BITS 63

/* Fraction bits of Intel's and AMD's hardware */
#define TSC_VMX_FRAC_BITS 48
#define TSC_SVM_FRAC_BITS 32

/**
 * struct tsc_mapping - how a vCPU's TSC follows from the host's
 * @offset: added to the scaled host TSC, in guest cycles
 * @ratio: scaling ratio as a fixed-point number. 0 means "not scaled": kernels without hardware TSC scaling report it,
 *	and events without the field
 * @frac_bits: fraction bits of @ratio, at most TSC_MAX_FRAC_BITS; ignored if @ratio is 0
 */
struct tsc_mapping {
	int64_t		offset;
	uint64_t	ratio;
	uint32_t	frac_bits;
};

_Bool tsc_mapping_valid(const struct tsc_mapping *map);
_Bool tsc_mapping_scaled(const struct tsc_mapping *map);
_Bool tsc_mapping_equal(const struct tsc_mapping *a, const struct tsc_mapping *b);
uint64_t tsc_guest_from_host(const struct tsc_mapping *map, uint64_t host_tsc);
int tsc_host_from_guest(const struct tsc_mapping *map, uint64_t guest_tsc, uint64_t *host_tsc);

#endif /* TSC_OFFSET_MAPPING_H */
