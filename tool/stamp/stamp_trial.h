/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Would stamp make a guest's file fit its host's? All that stamp does is tried, except for writing the file. */
#ifndef TSC_OFFSET_STAMP_TRIAL_H
#define TSC_OFFSET_STAMP_TRIAL_H

#include <stdbool.h>

/**
 * struct stamp_trial_request - what is tried
 * @host_path: the host's file
 * @guest_path: the guest's file
 * @vm: the VM as the user names it, NULL if the events are to decide
 * @any_clock: treat times as TSC values, whatever clock the files name
 */
struct stamp_trial_request {
	const char	*host_path;
	const char	*guest_path;
	const char	*vm;
	bool		any_clock;
};

char *stamp_trial_command(const struct stamp_trial_request *request);

#endif /* TSC_OFFSET_STAMP_TRIAL_H */
