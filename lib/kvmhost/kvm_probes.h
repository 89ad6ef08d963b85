/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * kprobe events for kernels without our patches. They report what the kernel's own events omit: the VM, L1's offset and
 * ratio, the values of a vCPU whenever it is loaded, and the end of a VM.
 */
#ifndef TSC_OFFSET_KVM_PROBES_H
#define TSC_OFFSET_KVM_PROBES_H

#include <stdbool.h>

struct error;

int kvm_probes_define(const char *btf_dir, struct error *error);
int kvm_probes_remove(void);
bool kvm_probes_defined(void);
int kvm_probes_define_read(const char *btf_dir, struct error *error);
void kvm_probes_remove_read(void);

#endif /* TSC_OFFSET_KVM_PROBES_H */
