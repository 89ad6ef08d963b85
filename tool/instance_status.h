/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_INSTANCE_STATUS_H
#define TSC_OFFSET_INSTANCE_STATUS_H

#include <stdbool.h>

#include "verb.h"

struct tracefs_instance;

enum exit_status instance_status_print(struct tracefs_instance *instance, bool json);
void instance_status_print_none(void);

#endif /* TSC_OFFSET_INSTANCE_STATUS_H */
