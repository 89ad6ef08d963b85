/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Whether KVM uses VMX or SVM here, as the field isa of its events. */
#ifndef TSC_OFFSET_KVM_ISA_H
#define TSC_OFFSET_KVM_ISA_H

#include <stdint.h>

uint32_t kvm_isa_frac_bits(void);

#endif /* TSC_OFFSET_KVM_ISA_H */
