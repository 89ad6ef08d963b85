/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_HISTORY_TABLE_H
#define TSC_OFFSET_HISTORY_TABLE_H

#include <stdio.h>

struct show_report;

int history_table_write(const struct show_report *report, FILE *file);

#endif /* TSC_OFFSET_HISTORY_TABLE_H */
