/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* tsc-offset show --estimate: offsets that the host did not record, from a guest's file (initial_estimate.h). */
#ifndef TSC_OFFSET_SHOW_ESTIMATE_H
#define TSC_OFFSET_SHOW_ESTIMATE_H

#include <stdbool.h>

struct estimate_limit;
struct findings;
struct host;
struct host_vm;

/**
 * struct estimate_request - the request on the command line
 * @guest_path: the guest's file
 * @vm: the VM of the host's file, as host_choose_vm() takes it
 * @limit: limit of the error
 * @any_clock: treat its times as TSC values, whatever clock the file names
 */
struct estimate_request {
	const char			*guest_path;
	const char			*vm;
	const struct estimate_limit	*limit;
	bool				any_clock;
};

int show_estimate(struct host *host, const struct estimate_request *request, struct host_vm **vm,
		  struct findings *findings);

#endif /* TSC_OFFSET_SHOW_ESTIMATE_H */
