/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The answers of tsc-offset explain as tables, for people: those that took most time first. */
#ifndef TSC_OFFSET_EXPLAIN_TABLE_H
#define TSC_OFFSET_EXPLAIN_TABLE_H

#include <stdio.h>

struct explanation;

/* Rows of a table; what more there are is summed in one */
#define EXPLAIN_TOP	10

int explain_table_write(const struct explanation *explanation, FILE *file);

#endif /* TSC_OFFSET_EXPLAIN_TABLE_H */
