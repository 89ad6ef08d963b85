/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The tracefs instance that records changes since boot, before guests start. Its events are never consumed. */
#ifndef TSC_OFFSET_BOOT_INSTANCE_H
#define TSC_OFFSET_BOOT_INSTANCE_H

#include "event.h"
#include "instance_counts.h"

#define BOOT_INSTANCE	"tsc_offset"

struct kvm_debugfs_vm;
struct vm_history;

char *boot_instance_clock(void);
int boot_instance_counts(struct instance_counts *counts);
int boot_instance_events(tsc_event_func take, void *context);
int boot_instance_read(tsc_event_func take, void *context);
int boot_instance_history(struct vm_history *history, const struct kvm_debugfs_vm *vm);

#endif /* TSC_OFFSET_BOOT_INSTANCE_H */
