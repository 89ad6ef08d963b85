/* SPDX-License-Identifier: GPL-2.0 */
/* Which vCPU of a VM each CPU of a guest is: the one rule for all who hold a guest's file against its host's. */
#ifndef TSC_OFFSET_GUEST_VCPUS_H
#define TSC_OFFSET_GUEST_VCPUS_H

struct host_vm;
struct trace_dat;

int guest_vcpus_match(struct host_vm *vm, const struct trace_dat *guest);

#endif /* TSC_OFFSET_GUEST_VCPUS_H */
