/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * How each format of a file can be printed. A child of this process finds it out, so that a format that crashes
 * libtraceevent's parser, or that it never finishes, costs only that format.
 */
#ifndef TSC_OFFSET_FORMAT_TRIAL_H
#define TSC_OFFSET_FORMAT_TRIAL_H

#include <stddef.h>

struct event_format;
struct tep_handle;

int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal);

#endif /* TSC_OFFSET_FORMAT_TRIAL_H */
