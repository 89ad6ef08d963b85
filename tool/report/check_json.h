/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_CHECK_JSON_H
#define TSC_OFFSET_CHECK_JSON_H

#include <stdio.h>

struct guest_check;
struct json_object;

void check_json_add(struct json_object *guests, const struct guest_check *check);
void check_json_write(struct json_object *guests, const char *host_path, FILE *file);

#endif /* TSC_OFFSET_CHECK_JSON_H */
