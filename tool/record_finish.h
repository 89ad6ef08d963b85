/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What record does once trace-cmd has ended. */
#ifndef TSC_OFFSET_RECORD_FINISH_H
#define TSC_OFFSET_RECORD_FINISH_H

#include <stdbool.h>

struct host_changes;
struct record_files;

void record_finish(const struct record_files *files, const char *but, const struct host_changes *changes, bool rewrite);

#endif /* TSC_OFFSET_RECORD_FINISH_H */
