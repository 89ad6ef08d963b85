/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Writes the history of TSC offsets into a guest's file, and proves the resulting times. */
#ifndef TSC_OFFSET_GUEST_STAMP_H
#define TSC_OFFSET_GUEST_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "findings.h"
#include "guest_file.h"
#include "guest_fit.h"
#include "guest_timelines.h"
#include "initial_offsets.h"
#include "initial_estimate.h"
#include "proof.h"
#include "host_recording.h"
#include "sync_points.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/**
 * struct guest_stamp_options - the options of stamp
 * @guest_path: the guest's file
 * @out: the file that is written, NULL to add to the guest's file itself
 * @linked_as: TRACEID of the host's file that will name the guest, which gets one as well; 0 if none will
 * @convert: add to a file of version 6 as well, by a copy of version 7 that takes its place
 * @vm: the VM as the user names it, NULL if the events are to decide
 * @buffer: the instance of the guest's file that readers are to correct, NULL for the top buffer
 * @initial: initial offsets that the user knows
 * @initial_from: a snapshot that has them, NULL without
 * @estimate: estimate unknown initial offsets
 * @may_estimate: estimate those that did not change while the host was recorded, and report it as a doubt
 * @max_error: largest permitted error of estimates
 * @any_clock: treat times as TSC values, whatever clock the files name
 * @rewrite: write host times into the pages of a copy, which may replace the file
 * @check_all: prove the result with all events instead of a sample
 * @boot: number of the recorded boot, 0 if not given
 * @since: host TSC, in cycles, before which nothing was recorded; 0 if not given
 */
struct guest_stamp_options {
	const char		*guest_path;
	const char		*out;
	uint64_t		linked_as;
	bool			convert;
	const char		*vm;
	const char		*buffer;
	struct initial_offsets	initial;
	const char		*initial_from;
	bool			estimate;
	bool			may_estimate;
	struct estimate_limit	max_error;
	bool			any_clock;
	bool			rewrite;
	bool			check_all;
	uint64_t		boot;
	uint64_t		since;
};

/**
 * struct guest_stamp - the stamping of one file
 * @options: the options; not owned
 * @host: the host; not owned
 * @dat: the guest's file, or its copy of version 7
 * @guest: the buffer that readers will correct
 * @named: the VM that the user named, NULL without
 * @fit: which VM it is, and which vCPU each CPU is
 * @points: what the file gets, unless it is rewritten
 * @timelines: the host times of its events if it is
 * @proof: how its events fit then
 * @initial: what is known of each of the host's VMs; owned
 * @guest_edit: what is to be written
 * @host_trace_id: TRACEID of the host's file
 * @guest_trace_id: TRACEID of the guest's file, if a host's file will name it
 * @converted: the copy of version 7, removed at the end; NULL without; owned
 * @is_done: the file already has host times in its pages: nothing is written
 * @findings: findings about the result
 */
struct guest_stamp {
	const struct guest_stamp_options	*options;
	struct host_recording			*host;
	struct trace_dat			dat;
	struct guest_buffer			guest;
	const struct host_vm			*named;
	struct guest_fit			fit;
	struct sync_points			points;
	struct guest_timelines			timelines;
	struct fit_tally			proof;
	struct initial_offsets			*initial;
	struct trace_dat_edit			guest_edit;
	uint64_t				host_trace_id;
	uint64_t				guest_trace_id;
	char					*converted;
	bool					is_done;
	struct findings				findings;
};

#define GUEST_STAMP_WORDS_SIZE (PROOF_WORDS_SIZE + 128)

int guest_stamp_prepare(struct guest_stamp *stamp, const struct guest_stamp_options *options,
			struct host_recording *host);
int guest_stamp_write(struct guest_stamp *stamp);
const char *guest_stamp_words(const struct guest_stamp *stamp, char *words);
void guest_stamp_release(struct guest_stamp *stamp);

#endif /* TSC_OFFSET_GUEST_STAMP_H */
