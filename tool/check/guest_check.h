/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The result of the check of one guest's file, for the reports in check_table and check_json. */
#ifndef TSC_OFFSET_GUEST_CHECK_H
#define TSC_OFFSET_GUEST_CHECK_H

#include "findings.h"
#include "guest_file.h"
#include "guest_mode_check.h"
#include "tsc_frequency.h"

/**
 * struct guest_check - the check of one guest's file
 * @guest: the file; owned
 * @result: the result; owned
 * @frequency: of the host's TSC, if a file has it
 * @findings: readers do not show the checked times, or a part could not be checked; owned
 */
struct guest_check {
	struct guest_file	guest;
	struct guest_mode_check	result;
	struct tsc_frequency	frequency;
	struct findings		findings;
};

/**
 * enum guest_check_verdict - whether a guest's file fits its host's
 * @GUEST_FITS: it fits
 * @GUEST_VIOLATES: it does not fit
 * @GUEST_OUTSIDE: most of its events are before or after the host's recording, so they prove nothing
 * @GUEST_NOT_PROVABLE: unknown, at least for one of its buffers
 */
enum guest_check_verdict {
	GUEST_FITS,
	GUEST_VIOLATES,
	GUEST_OUTSIDE,
	GUEST_NOT_PROVABLE,
};

bool guest_check_slack(const struct guest_check *check, uint64_t *cycles);
struct guest_mode_counts guest_check_sums(const struct guest_check *check);
enum guest_check_verdict guest_check_verdict(const struct guest_check *check);
void guest_check_release(struct guest_check *check);

#endif /* TSC_OFFSET_GUEST_CHECK_H */
