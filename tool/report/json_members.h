/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Members of JSON objects that are printed at once: what there is no memory for is missing. */
#ifndef TSC_OFFSET_JSON_MEMBERS_H
#define TSC_OFFSET_JSON_MEMBERS_H

#include <stdint.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "sanitize.h"

static inline void add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

static inline void add_text(struct json_object *object, const char *name, const char *text)
{
	/* Names may be from files: JSON is UTF-8 */
	_cleanup_(freep) char *valid = sanitized_json(text);

	json_object_object_add(object, name, valid ? json_object_new_string(valid) : NULL);
}

#endif /* TSC_OFFSET_JSON_MEMBERS_H */
