/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What is found beside a result: whatever makes it doubtful, and what users should know of it. Findings are collected
 * where they are found; verbs print them and put them into their JSON.
 */
#ifndef TSC_OFFSET_FINDINGS_H
#define TSC_OFFSET_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * enum finding_kind - what a finding is about; finding_kind_name() has the names that JSON has
 * @FINDING_HOST_CLOCK: the host's own TSC went back, or readers show some of its times twice
 * @FINDING_HOST_EVENTS: events that a proof needs were not recorded on the host
 * @FINDING_HISTORY: changes of an offset may be missing
 * @FINDING_BACKWARD: a TSC jumped backward: guest times are ambiguous
 * @FINDING_VM: which VM the guest is
 * @FINDING_VCPU: which vCPU a CPU is, or which of its lives
 * @FINDING_OFFSET: an initial offset, or its estimate
 * @FINDING_SCALING: the ratio of a guest's TSC
 * @FINDING_PROOF: events that do not fit, or prove nothing
 * @FINDING_READERS: what readers make of the files' times
 * @FINDING_INSTANCE: a setting of the tracefs instance, or a file that it lacks
 * @FINDING_CLOCK: a trace clock that is not the TSC
 * @FINDING_TEXT: events that cannot be shown as trace-cmd report shows them
 */
enum finding_kind {
	FINDING_HOST_CLOCK, FINDING_HOST_EVENTS, FINDING_HISTORY, FINDING_BACKWARD, FINDING_VM, FINDING_VCPU,
	FINDING_OFFSET, FINDING_SCALING, FINDING_PROOF, FINDING_READERS, FINDING_INSTANCE,
	FINDING_CLOCK, FINDING_TEXT,
};

/**
 * struct finding - one of them
 * @kind: what it is about
 * @doubt: does it make the result doubtful?
 * @text: a line without a newline; owned. Names in it are as they are in the files.
 */
struct finding {
	enum finding_kind	kind;
	bool			doubt;
	char			*text;
};

/**
 * struct findings - a list; all zeros if it is empty
 * @list: owned
 * @nr: how many
 * @capacity: room for this many
 * @nr_doubts: how many doubts there are, with those that are not in the list, for lack of memory or because there were
 *	too many alike
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

/* findings_doubt(findings, kind, format...) adds what makes a result doubtful, findings_note() what users should know */
#define findings_doubt(findings, kind, ...)	findings_add(findings, kind, true, __VA_ARGS__)
#define findings_note(findings, kind, ...)	findings_add(findings, kind, false, __VA_ARGS__)

#endif /* TSC_OFFSET_FINDINGS_H */
