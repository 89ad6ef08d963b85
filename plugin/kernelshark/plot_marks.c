// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libkshark.h>
#include <libkshark-model.h>
#include <libkshark-tepdata.h>

#include "cleanup.h"
#include "kernelshark_plugin.h"
#include "plot_marks.h"

/* The changes on a plot: those on a CPU of the host, or those of a vCPU by its thread */
enum plot_kind {
	PLOT_CPU,
	PLOT_THREAD,
};

/* The user may have hidden events from the plots */
static bool shown(const struct kshark_entry *row)
{
	const int mask = KS_GRAPH_VIEW_FILTER_MASK | KS_EVENT_VIEW_FILTER_MASK;

	return (row->visible & mask) == mask;
}

static int add_mark(struct plot_marks *marks, size_t first, int bin, const struct kshark_entry *row,
		    const struct stream_change *change)
{
	struct plot_mark *mark = marks->nr_marks > first ? &marks->marks[marks->nr_marks - 1] : NULL;

	if (mark && mark->bin == bin) {
		mark->more++;
		mark->backward |= change->jump < 0;
		return 0;
	}
	/* The capacity grows at 1, 2, 4, ... */
	if (!(marks->nr_marks & (marks->nr_marks - 1))) {
		size_t capacity = marks->nr_marks ? 2 * marks->nr_marks : 1;

		mark = reallocarray(marks->marks, capacity, sizeof(*mark));
		if (!mark)
			return -ENOMEM;
		marks->marks = mark;
	}
	marks->marks[marks->nr_marks++] = (struct plot_mark) {
		.bin		= bin,
		.row		= row,
		.change		= *change,
		.backward	= change->jump < 0,
	};
	return 0;
}

static int add_stream(struct plot_marks *marks, struct kshark_trace_histo *histo, int sd, enum plot_kind kind,
		      int value)
{
	struct stream_changes *changes = plugin_stream_changes(sd);
	const struct stream_change *change;
	size_t first = marks->nr_marks;
	size_t nr;
	int ret;

	if (!changes)
		return 0;
	for (nr = stream_changes_find(changes, histo->data, histo->data_size, &change); nr; nr--, change++) {
		const struct kshark_entry *row = histo->data[change->row];
		int bin;

		if ((kind == PLOT_CPU ? row->cpu : change->thread) != value || !shown(row))
			continue;
		bin = ksmodel_get_bin(histo, row);
		if (bin < 0 || bin >= histo->n_bins)
			continue;
		ret = add_mark(marks, first, bin, row, change);
		if (ret)
			return ret;
	}
	return 0;
}

/* Each buffer of a file is a stream. CPU and task of an event in one of them are the same in others. */
static int add_file(struct plot_marks *marks, struct kshark_trace_histo *histo, const char *file,
		    enum plot_kind kind, int value)
{
	struct kshark_context *context = NULL;
	_cleanup_(freep) int *streams = NULL;
	int ret = 0;

	if (!kshark_instance(&context))
		return -ENOMEM;
	streams = kshark_all_streams(context);
	if (!streams)
		return -ENOMEM;
	for (int i = 0; i < context->n_streams && !ret; i++) {
		struct kshark_data_stream *stream = kshark_get_data_stream(context, streams[i]);

		if (stream && !strcmp(stream->file, file))
			ret = add_stream(marks, histo, streams[i], kind, value);
	}
	return ret;
}

/* A guest's CPU shows the changes of the host's thread that runs it, if the host's file is linked to the guest */
static int add_guest(struct plot_marks *marks, struct kshark_trace_histo *histo, int sd, int cpu)
{
	const struct kshark_host_guest_map *guests;
	struct kshark_context *context = NULL;
	int nr_guests = plugin_guests(&guests), ret = 0;

	if (!kshark_instance(&context))
		return -ENOMEM;
	for (int i = 0; i < nr_guests && !ret; i++) {
		struct kshark_data_stream *host;

		if (guests[i].guest_id != sd || cpu >= guests[i].vcpu_count || guests[i].cpu_pid[cpu] <= 0)
			continue;
		host = kshark_get_data_stream(context, guests[i].host_id);
		if (host)
			ret = add_file(marks, histo, host->file, PLOT_THREAD, guests[i].cpu_pid[cpu]);
	}
	return ret;
}

/**
 * plot_marks_find - find the marks of a plot
 * @marks: result; must be released in any case
 * @histo: the visible range of time, and all rows
 * @sd: stream of the plot
 * @value: CPU or task of the plot
 * @action: kind of the plot by KernelShark: KSHARK_CPU_DRAW or KSHARK_TASK_DRAW
 *
 * Changes in the same bin share a mark.
 *
 * Returns: 0 or -ENOMEM.
 */
int plot_marks_find(struct plot_marks *marks, struct kshark_trace_histo *histo, int sd, int value, int action)
{
	struct kshark_context *context = NULL;
	struct kshark_data_stream *stream;
	int ret = 0;

	*marks = (struct plot_marks) { 0 };
	if (!kshark_instance(&context))
		return -ENOMEM;
	stream = kshark_get_data_stream(context, sd);
	if (!stream)
		return 0;
	plugin_join_streams(histo);
	if (action & KSHARK_CPU_DRAW) {
		ret = add_file(marks, histo, stream->file, PLOT_CPU, value);
		if (!ret)
			ret = add_guest(marks, histo, sd, value);
	} else if (action & KSHARK_TASK_DRAW) {
		ret = add_file(marks, histo, stream->file, PLOT_THREAD, value);
	}
	return ret;
}

/**
 * plot_marks_release - free the marks
 * @marks: from plot_marks_find()
 */
void plot_marks_release(struct plot_marks *marks)
{
	free(marks->marks);
	*marks = (struct plot_marks) { 0 };
}
