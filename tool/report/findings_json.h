/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Findings as every --json has them. */
#ifndef TSC_OFFSET_FINDINGS_JSON_H
#define TSC_OFFSET_FINDINGS_JSON_H

struct findings;
struct json_object;

struct json_object *findings_json(const struct findings *findings);

#endif /* TSC_OFFSET_FINDINGS_JSON_H */
