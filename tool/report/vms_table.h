/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The running VMs as a table for people. */
#ifndef TSC_OFFSET_VMS_TABLE_H
#define TSC_OFFSET_VMS_TABLE_H

#include <stdio.h>

struct running_vms;

int vms_table_write(const struct running_vms *vms, const char *only, FILE *file);

#endif /* TSC_OFFSET_VMS_TABLE_H */
