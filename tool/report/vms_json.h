/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The running VMs as one JSON object. */
#ifndef TSC_OFFSET_VMS_JSON_H
#define TSC_OFFSET_VMS_JSON_H

#include <stdio.h>

struct running_vms;

int vms_json_write(const struct running_vms *vms, const char *only, FILE *file);

#endif /* TSC_OFFSET_VMS_JSON_H */
