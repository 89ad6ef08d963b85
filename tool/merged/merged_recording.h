/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host's file and its guests' files, opened together: the VM of each guest, the host times of its events, and the
 * doubts about them.
 */
#ifndef TSC_OFFSET_MERGED_RECORDING_H
#define TSC_OFFSET_MERGED_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "guest_file.h"
#include "host_recording.h"

struct findings;
struct tsc_frequency;

/**
 * struct merged_request - the files to open
 * @host_path: the host's file
 * @guest_paths: the files of its guests
 * @nr_guests: number of @guest_paths
 * @vm: the VM of the only guest, NULL if the files decide
 * @any_clock: treat times as TSC values, whatever clocks the files name
 */
struct merged_request {
	const char	*host_path;
	char		**guest_paths;
	size_t		nr_guests;
	const char	*vm;
	bool		any_clock;
};

/**
 * struct merged_recording - a host and its guests
 * @request: the request; not owned
 * @findings: doubts about the result; not owned
 * @error: the reason of a failure, in any of the files
 * @host: the host's file; owned
 * @guests: the files of its guests, in the order of the command line; owned
 * @nr_guests: number of @guests
 */
struct merged_recording {
	const struct merged_request	*request;
	struct findings			*findings;
	struct error			error;
	struct host_recording		host;
	struct guest_file		*guests;
	size_t				nr_guests;
};

int merged_recording_open(struct merged_recording *recording, const struct merged_request *request,
			  struct findings *findings);
int merged_recording_parse_khz(void *khz, const char *text);
bool merged_recording_frequency(const struct merged_recording *recording, uint64_t tsc_khz,
				struct tsc_frequency *frequency);
uint64_t merged_recording_bytes(const struct merged_recording *recording);
void merged_recording_review(const struct merged_recording *recording);
void merged_recording_close(struct merged_recording *recording);

#endif /* TSC_OFFSET_MERGED_RECORDING_H */
