/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The results of tsc-offset explain as one JSON object. */
#ifndef TSC_OFFSET_EXPLAIN_JSON_H
#define TSC_OFFSET_EXPLAIN_JSON_H

#include <stdio.h>

struct explanation;
struct findings;

int explain_json_write(const struct explanation *explanation, const struct findings *findings, FILE *file);

#endif /* TSC_OFFSET_EXPLAIN_JSON_H */
