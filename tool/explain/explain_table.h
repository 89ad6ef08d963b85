/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The results of tsc-offset explain as tables for people, those with most time first. */
#ifndef TSC_OFFSET_EXPLAIN_TABLE_H
#define TSC_OFFSET_EXPLAIN_TABLE_H

#include <stdio.h>

struct explanation;

/* Rows of a table; one more row sums the rest */
#define EXPLAIN_TOP	10

int explain_table_write(const struct explanation *explanation, FILE *file);

#endif /* TSC_OFFSET_EXPLAIN_TABLE_H */
