/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Findings: doubts about a result, and notes for users. They are collected where they occur. Verbs print them and add
 * them to JSON.
 */
#ifndef TSC_OFFSET_FINDINGS_H
#define TSC_OFFSET_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * enum finding_kind - the subject of a finding; finding_kind_name() returns the names used in JSON
 * @FINDING_HOST_CLOCK: the host's own TSC went back, or readers show some of its times twice
 * @FINDING_HOST_EVENTS: events that a proof needs were not recorded on the host
 * @FINDING_HISTORY: changes of an offset may be missing
 * @FINDING_BACKWARD: a TSC jumped backward: guest times are ambiguous
 * @FINDING_VM: which VM a guest is
 * @FINDING_VCPU: which vCPU a CPU is, or which of its lives
 * @FINDING_OFFSET: an initial offset, or its estimate
 * @FINDING_SCALING: the ratio of a guest's TSC
 * @FINDING_PROOF: events that do not fit, or prove nothing
 * @FINDING_READERS: how readers interpret the files' times
 * @FINDING_INSTANCE: a setting or a missing file of the tracefs instance
 * @FINDING_CLOCK: a trace clock that is not the TSC
 * @FINDING_TEXT: events that cannot be shown as in trace-cmd report
 */
enum finding_kind {
	FINDING_HOST_CLOCK, FINDING_HOST_EVENTS, FINDING_HISTORY, FINDING_BACKWARD, FINDING_VM, FINDING_VCPU,
	FINDING_OFFSET, FINDING_SCALING, FINDING_PROOF, FINDING_READERS, FINDING_INSTANCE,
	FINDING_CLOCK, FINDING_TEXT,
};

/**
 * struct finding - a doubt or a note
 * @kind: its subject
 * @doubt: it makes the result doubtful
 * @text: one line without newline; owned. Names in it are unchanged from the files
 */
struct finding {
	enum finding_kind	kind;
	bool			doubt;
	char			*text;
};

/**
 * struct findings - a list of findings; all zeros if empty
 * @list: the findings; owned
 * @nr: number of findings in @list
 * @capacity: number of findings that fit without growing
 * @nr_doubts: number of doubts, including those missing from the list without memory or because too many were alike
 */
struct findings {
	struct finding	*list;
	size_t		nr;
	size_t		capacity;
	size_t		nr_doubts;
};

void findings_add(struct findings *findings, enum finding_kind kind, bool doubt, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void findings_move(struct findings *to, struct findings *from);
void findings_drop_notes(struct findings *findings);
void findings_print(struct findings *findings);
void findings_release(struct findings *findings);
const char *finding_kind_name(enum finding_kind kind);

/* findings_doubt(findings, kind, format...) adds a doubt about the result, findings_note() a note for users */
#define findings_doubt(findings, kind, ...)	findings_add(findings, kind, true, __VA_ARGS__)
#define findings_note(findings, kind, ...)	findings_add(findings, kind, false, __VA_ARGS__)

#endif /* TSC_OFFSET_FINDINGS_H */
