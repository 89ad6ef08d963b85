// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdbool.h>

#include "findings.h"
#include "findings_json.h"
#include "json_members.h"

static struct json_object *finding_json(const struct finding *finding)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "kind", finding_kind_name(finding->kind));
	json_object_object_add(object, "doubt", json_object_new_boolean(finding->doubt));
	add_text(object, "text", finding->text);
	return object;
}

/**
 * findings_json - a list of findings as JSON
 * @findings: the list
 *
 * Returns: an array of objects, each with "kind", "doubt" and "text"; NULL without memory.
 */
struct json_object *findings_json(const struct findings *findings)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < findings->nr; i++)
		json_object_array_add(array, finding_json(&findings->list[i]));
	return array;
}
