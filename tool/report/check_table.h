/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_CHECK_TABLE_H
#define TSC_OFFSET_CHECK_TABLE_H

#include <stdio.h>

struct guest_check;

void check_table_write(const struct guest_check *check, const char *host_path, FILE *file);

#endif /* TSC_OFFSET_CHECK_TABLE_H */
