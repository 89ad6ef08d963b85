/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Selects the changes that belong on a plot of KernelShark, and their bins. */
#ifndef TSC_OFFSET_PLOT_MARKS_H
#define TSC_OFFSET_PLOT_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include "stream_changes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kshark_trace_histo;

/**
 * struct plot_mark - the changes in one bin of a plot
 * @bin: index of the bin
 * @row: row of the first change
 * @change: the first change
 * @more: number of further changes
 * @backward: one of them is a jump backward
 */
struct plot_mark {
	int				bin;
	const struct kshark_entry	*row;
	struct stream_change		change;
	size_t				more;
	bool				backward;
};

/**
 * struct plot_marks - the marks of a plot
 * @marks: in the order of bins for each of the host's streams; owned
 * @nr_marks: number of @marks
 */
struct plot_marks {
	struct plot_mark	*marks;
	size_t			nr_marks;
};

int plot_marks_find(struct plot_marks *marks, struct kshark_trace_histo *histo, int sd, int value, int action);
void plot_marks_release(struct plot_marks *marks);

#ifdef __cplusplus
}
#endif

#endif /* TSC_OFFSET_PLOT_MARKS_H */
