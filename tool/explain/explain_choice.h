/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What users choose of the answers by --task and --vcpu, and what there is if nothing is as they say. */
#ifndef TSC_OFFSET_EXPLAIN_CHOICE_H
#define TSC_OFFSET_EXPLAIN_CHOICE_H

struct explanation;

int explain_choice_check(const struct explanation *explanation);

#endif /* TSC_OFFSET_EXPLAIN_CHOICE_H */
