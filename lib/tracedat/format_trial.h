/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Tries how each format of a file can be printed. A child process does it, so that a format that crashes
 * libtraceevent's parser, or never lets it finish, costs only that format.
 */
#ifndef TSC_OFFSET_FORMAT_TRIAL_H
#define TSC_OFFSET_FORMAT_TRIAL_H

#include <stddef.h>

struct event_format;
struct tep_handle;

int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal);

#endif /* TSC_OFFSET_FORMAT_TRIAL_H */
