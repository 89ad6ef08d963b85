/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The words in the results of tsc-offset explain, for tables and JSON. */
#ifndef TSC_OFFSET_EXPLAIN_WORDS_H
#define TSC_OFFSET_EXPLAIN_WORDS_H

#include "explanation.h"
#include "vcpu_states.h"

/* A comm with its terminator */
#define COMM_TEXT_SIZE	(TASK_COMM_SIZE + 1)

/* Length of the longest of these words */
#define CAUSE_SIZE	64

const char *explain_cause(enum not_known unknown);
const char *explain_state(enum vcpu_state state);
const char *explain_vm(const struct explanation *explanation, uint32_t vcpu);
void explain_comm(char text[COMM_TEXT_SIZE], const char comm[TASK_COMM_SIZE]);

#endif /* TSC_OFFSET_EXPLAIN_WORDS_H */
