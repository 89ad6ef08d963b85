/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * When vCPUs were in guest mode, read from a host's file as a stream of spans. The spans of one vCPU come in the order
 * of time, those of all vCPUs in the order of their ends.
 */
#ifndef TSC_OFFSET_MODE_STREAM_H
#define TSC_OFFSET_MODE_STREAM_H

#include <stdint.h>

#include "event_ids.h"
#include "mode_tracker.h"
#include "trace_stream.h"
#include "vcpu_threads.h"

struct host;

/**
 * struct mode_running - the last thread that entered guest mode on a CPU of the host
 * @thread: this thread with its vCPU; NULL if there was none, or if another thread had the CPU since
 * @tid: its thread id
 */
struct mode_running {
	const struct vcpu_thread	*thread;
	int				tid;
};

/**
 * struct mode_stream - the spans of vCPUs being read
 * @dat: the host's file
 * @ids: the numbers of its events
 * @events: all events of the buffer
 * @ends_lost: for each CPU of @events: the time, not 0, after which its last events were lost; owned
 * @running: state of each CPU of @events; owned
 * @last: the CPU of the last event
 * @threads: threads that run the vCPUs; not owned
 * @tracker: computes the spans. All CPUs without events share one index, after those of @events
 * @at: index of the next span in @tracker->ready
 * @end: host TSC of the buffer's last event
 * @ended: there are no more events
 * @next_vcpu: with @ended: index of the vCPU whose last span is next
 */
struct mode_stream {
	struct trace_dat		*dat;
	struct event_ids		ids;
	struct trace_stream		events;
	uint64_t			*ends_lost;
	struct mode_running		*running;
	const struct cpu_stream		*last;
	struct vcpu_threads		*threads;
	struct mode_tracker		tracker;
	size_t				at;
	uint64_t			end;
	bool				ended;
	uint32_t			next_vcpu;
};

int mode_stream_open(struct mode_stream *stream, const struct host *host, struct vcpu_threads *threads,
		     size_t nr_vcpus);
int mode_stream_next(struct mode_stream *stream, struct mode_span *span);
uint64_t mode_stream_total(const struct mode_stream *stream);
uint64_t mode_stream_bytes(const struct mode_stream *stream);
void mode_stream_close(struct mode_stream *stream);

#endif /* TSC_OFFSET_MODE_STREAM_H */
