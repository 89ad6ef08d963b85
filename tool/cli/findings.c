// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "array.h"
#include "findings.h"
#include "message.h"

/* Returns: false without memory */
static bool add(struct findings *findings, const struct finding *finding)
{
	if (array_reserve(findings->list, findings->nr, findings->capacity))
		return false;
	findings->list[findings->nr++] = *finding;
	return true;
}

/**
 * findings_add - add a finding
 * @findings: the list
 * @kind: its subject
 * @doubt: it makes the result doubtful; counted even without memory for its line
 * @format: its line, as for printf(), without the newline
 */
void findings_add(struct findings *findings, enum finding_kind kind, bool doubt, const char *format, ...)
{
	struct finding finding = { .kind = kind, .doubt = doubt };
	va_list args;

	findings->nr_doubts += doubt;
	va_start(args, format);
	if (vasprintf(&finding.text, format, args) >= 0 && !add(findings, &finding))
		free(finding.text);
	va_end(args);
}

/**
 * findings_move - append a list to another
 * @to: the other list
 * @from: empty afterwards
 */
void findings_move(struct findings *to, struct findings *from)
{
	for (size_t i = 0; i < from->nr; i++) {
		if (!add(to, &from->list[i]))
			free(from->list[i].text);
	}
	to->nr_doubts += from->nr_doubts;
	from->nr = 0;
	findings_release(from);
}

/**
 * findings_print - print all lines on stderr, once
 * @findings: the list; empty afterwards, but its doubts still count
 */
void findings_print(struct findings *findings)
{
	/* If stdout and stderr are one pipe, a message must not be within a line of a table */
	if (findings->nr)
		fflush(stdout);
	for (size_t i = 0; i < findings->nr; i++) {
		message("%s", findings->list[i].text);
		free(findings->list[i].text);
	}
	findings->nr = 0;
}

/**
 * findings_drop_notes - remove all findings that are not doubts
 * @findings: the list
 */
void findings_drop_notes(struct findings *findings)
{
	size_t kept = 0;

	for (size_t i = 0; i < findings->nr; i++) {
		if (findings->list[i].doubt)
			findings->list[kept++] = findings->list[i];
		else
			free(findings->list[i].text);
	}
	findings->nr = kept;
}

/**
 * findings_release - free a list
 * @findings: empty afterwards
 */
void findings_release(struct findings *findings)
{
	for (size_t i = 0; i < findings->nr; i++)
		free(findings->list[i].text);
	free(findings->list);
	*findings = (struct findings) { 0 };
}

/**
 * finding_kind_name - get the name of a kind in JSON
 * @kind: the kind
 *
 * Returns: a word.
 */
const char *finding_kind_name(enum finding_kind kind)
{
	static const char *const names[] = {
		[FINDING_HOST_CLOCK] = "host clock", [FINDING_HOST_EVENTS] = "host events", [FINDING_HISTORY] = "history",
		[FINDING_BACKWARD] = "backward", [FINDING_VM] = "vm", [FINDING_VCPU] = "vcpu", [FINDING_OFFSET] = "offset",
		[FINDING_SCALING] = "scaling", [FINDING_PROOF] = "proof", [FINDING_READERS] = "readers",
		[FINDING_INSTANCE] = "instance", [FINDING_CLOCK] = "clock", [FINDING_TEXT] = "text",
	};

	return names[kind];
}
