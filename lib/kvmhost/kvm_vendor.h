/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Whether this machine virtualises with VMX or with SVM. */
#ifndef TSC_OFFSET_KVM_VENDOR_H
#define TSC_OFFSET_KVM_VENDOR_H

#include <stdint.h>

uint32_t kvm_vendor_frac_bits(void);

#endif /* TSC_OFFSET_KVM_VENDOR_H */
