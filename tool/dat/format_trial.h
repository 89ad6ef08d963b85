/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How each format of a file can be printed, found out where it costs only that format if libtraceevent's parser ends
 * or does not end: in a child of this process.
 */
#ifndef TSC_OFFSET_FORMAT_TRIAL_H
#define TSC_OFFSET_FORMAT_TRIAL_H

#include <stddef.h>

struct event_format;
struct tep_handle;

int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal);

#endif /* TSC_OFFSET_FORMAT_TRIAL_H */
