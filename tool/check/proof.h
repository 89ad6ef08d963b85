/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Proves the result of a write to a guest's file: some or all of its events must lie in guest mode at the times that
 * readers show.
 */
#ifndef TSC_OFFSET_PROOF_H
#define TSC_OFFSET_PROOF_H

#include <stdint.h>

#include "fit_path.h"
#include "tsc_frequency.h"

struct guest_fit;
struct guest_mode_check;
struct host_vcpus;
struct merged_times;

/* Room for a line of proof_words() */
#define PROOF_WORDS_SIZE 384

void proof_make(struct fit_tally *tally, const struct guest_fit *fit, const struct host_vcpus *host,
		const struct merged_times *times);
void proof_of_all(struct fit_tally *tally, const struct guest_mode_check *result);
const char *proof_words(const struct fit_tally *tally, const char *which, uint64_t least_error,
			const struct tsc_frequency *frequency, char words[PROOF_WORDS_SIZE]);

#endif /* TSC_OFFSET_PROOF_H */
