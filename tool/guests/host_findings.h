/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Findings about a host's file, for all of its guests or for one. */
#ifndef TSC_OFFSET_HOST_FINDINGS_H
#define TSC_OFFSET_HOST_FINDINGS_H

struct findings;
struct guest_fit;
struct host;
struct host_vcpus;

void host_findings_add(struct findings *findings, const struct host *host, const struct host_vcpus *vcpus);
void host_doubt_shown_twice(struct findings *findings, const struct host *host);
int host_refuse_shown_twice(const struct host *host);
int host_refuse_vms(const struct host *host, const struct guest_fit *fit, const char *guest_path);

#endif /* TSC_OFFSET_HOST_FINDINGS_H */
