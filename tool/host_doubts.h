/* SPDX-License-Identifier: GPL-2.0 */
/* What makes a host's file doubtful for all of its guests. */
#ifndef TSC_OFFSET_HOST_DOUBTS_H
#define TSC_OFFSET_HOST_DOUBTS_H

#include <stddef.h>

struct host_trace;
struct host_vcpus;

size_t host_doubts_say(const struct host_trace *host, const struct host_vcpus *vcpus);

#endif /* TSC_OFFSET_HOST_DOUBTS_H */
