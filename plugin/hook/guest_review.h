/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The report for users about a guest's times at the end of its recording. */
#ifndef TSC_OFFSET_GUEST_REVIEW_H
#define TSC_OFFSET_GUEST_REVIEW_H

#include <stddef.h>

struct guest_cpus;
struct guest_history;

void guest_review(struct guest_history *guest, const struct guest_cpus *cpus, const size_t *in_points, int error);

#endif /* TSC_OFFSET_GUEST_REVIEW_H */
