/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Links a host's file to its guest by an option GUEST, for KernelShark's plots of both and for the guest's symbols in
 * trace-cmd report.
 */
#ifndef TSC_OFFSET_GUEST_LINK_H
#define TSC_OFFSET_GUEST_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct guest_vcpus;
struct host_vm;
struct trace_dat;
struct trace_dat_edit;

int guest_link_trace_id(struct trace_dat_edit *edit, const struct trace_dat *dat, uint64_t *id);
bool guest_link_lacks_vcpus(const struct trace_dat *host, uint64_t guest_trace_id);
bool guest_link_denies(const struct trace_dat *host, const struct host_vm *vm, uint64_t guest_trace_id);
int guest_link(struct trace_dat_edit *edit, const struct trace_dat *host, const struct host_vm *vm,
	       const struct guest_vcpus *vcpus, const char *guest_path, uint64_t guest_trace_id);

#endif /* TSC_OFFSET_GUEST_LINK_H */
