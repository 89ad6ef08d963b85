/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Chooses one of a host's VMs. */
#ifndef TSC_OFFSET_HOST_CHOICE_H
#define TSC_OFFSET_HOST_CHOICE_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct host;
struct host_vm;

struct host_vm *host_choose_vm(struct host *host, const char *wanted, uint64_t guest_trace_id,
			       struct error *error);
int host_named_vm(struct host *host, const char *wanted, uint64_t guest_trace_id,
		  const struct host_vm **vm, struct error *error);
void host_list_vms(const struct host *host, char *text, size_t size);

#endif /* TSC_OFFSET_HOST_CHOICE_H */
