// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <cpuid.h>

#include "kvm_isa.h"
#include "mapping.h"

/* Bit of register ecx of CPUID leaf 1 */
#define HAS_VMX	(1U << 5)

/**
 * kvm_isa_frac_bits - get the number of fraction bits of KVM's ratios on this machine
 *
 * KVM keeps a ratio of 1 in this format even if the hardware cannot scale.
 *
 * Returns: TSC_VMX_FRAC_BITS or TSC_SVM_FRAC_BITS.
 */
uint32_t kvm_isa_frac_bits(void)
{
	unsigned int eax, ebx, ecx = 0, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & HAS_VMX ? TSC_VMX_FRAC_BITS : TSC_SVM_FRAC_BITS;
}
