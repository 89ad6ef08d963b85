/* SPDX-License-Identifier: GPL-2.0 */
/* What is doubtful of a host's file, for all of its guests or for one. */
#ifndef TSC_OFFSET_HOST_DOUBTS_H
#define TSC_OFFSET_HOST_DOUBTS_H

#include <stddef.h>

struct guest_fit;
struct host_trace;
struct host_vcpus;

void host_doubts_which_vm(const struct host_trace *host, const struct guest_fit *fit, const char *guest_path);
void host_doubts_say_shown_twice(const char *host_path);
size_t host_doubts_say(const struct host_trace *host, const struct host_vcpus *vcpus);

#endif /* TSC_OFFSET_HOST_DOUBTS_H */
