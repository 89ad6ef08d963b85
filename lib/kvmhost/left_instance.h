/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What tsc-offset record leaves in its instance if it is killed, to complete the recording. The instance's trace_marker
 * has these lines:
 *
 *	tsc-offset record 1 file=PATH
 *
 * with the path of the host's file; then those of tsc-offset mark (vcpu_mark.h); and after events were drained
 *
 *	tsc-offset record drained
 */
#ifndef TSC_OFFSET_LEFT_INSTANCE_H
#define TSC_OFFSET_LEFT_INSTANCE_H

struct record_instance;
struct vcpu_mark;

int left_instance_name_file(const struct record_instance *instance, const char *path);
int left_instance_mark(const struct record_instance *instance, const struct vcpu_mark *mark);
int left_instance_drained(const struct record_instance *instance);
int left_instance_open(struct record_instance *instance, const char *path);

#endif /* TSC_OFFSET_LEFT_INSTANCE_H */
