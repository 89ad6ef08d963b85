// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "findings.h"
#include "findings_json.h"
#include "json_writer.h"

/**
 * findings_json - add a list of findings
 * @json: the document, inside an object, which gets the member "findings": an array of objects with "kind", "doubt" and
 *	"text"
 * @findings: the list
 */
void findings_json(struct json_writer *json, const struct findings *findings)
{
	json_begin(json, "findings", JSON_ARRAY);
	for (size_t i = 0; i < findings->nr; i++) {
		json_begin(json, NULL, JSON_OBJECT);
		json_add_text(json, "kind", finding_kind_name(findings->list[i].kind));
		json_add_bool(json, "doubt", findings->list[i].doubt);
		json_add_text(json, "text", findings->list[i].text);
		json_end(json);
	}
	json_end(json);
}
