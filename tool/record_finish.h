/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What record does once trace-cmd has ended. */
#ifndef TSC_OFFSET_RECORD_FINISH_H
#define TSC_OFFSET_RECORD_FINISH_H

struct host_changes;
struct timespec;

void record_finish(const char *host_path, const struct timespec *begin, const struct host_changes *changes);

#endif /* TSC_OFFSET_RECORD_FINISH_H */
