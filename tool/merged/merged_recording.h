/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host's file and those of its guests, opened together: which VM each guest is, where its events are on the host's
 * time, and what makes that doubtful.
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
 * struct merged_request - what is to be opened
 * @host_path: the host's file
 * @guest_paths: those of its guests
 * @nr_guests: how many
 * @vm: which VM the only guest is, NULL if the files decide
 * @any_clock: the times are TSC values whatever the files say of the clock
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
 * @request: what was to be opened; the caller's
 * @findings: what makes the result doubtful; the caller's
 * @error: why something failed, in any of the files
 * @host: the host's file; owned
 * @guests: those of its guests, in the order of the command line; owned
 * @nr_guests: how many
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
