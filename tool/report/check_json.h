/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_CHECK_JSON_H
#define TSC_OFFSET_CHECK_JSON_H

struct guest_check;
struct json_writer;

void check_json_add(struct json_writer *json, const struct guest_check *check);

#endif /* TSC_OFFSET_CHECK_JSON_H */
