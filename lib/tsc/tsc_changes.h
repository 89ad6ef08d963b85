/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Reduces the events of all sources to the changes of each vCPU's TSC: each change once, with its VM. */
#ifndef TSC_OFFSET_TSC_CHANGES_H
#define TSC_OFFSET_TSC_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

struct tsc_offset_event;

int tsc_changes_make(struct tsc_offset_event *events, size_t *nr, bool with_kernel);

#endif /* TSC_OFFSET_TSC_CHANGES_H */
