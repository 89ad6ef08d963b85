/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Findings in every --json output. */
#ifndef TSC_OFFSET_FINDINGS_JSON_H
#define TSC_OFFSET_FINDINGS_JSON_H

struct findings;
struct json_writer;

void findings_json(struct json_writer *json, const struct findings *findings);

#endif /* TSC_OFFSET_FINDINGS_JSON_H */
