/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* After trace-cmd has ended: writes the history into the files of the recording. */
#ifndef TSC_OFFSET_RECORD_STAMP_H
#define TSC_OFFSET_RECORD_STAMP_H

#include <stdbool.h>

struct host_changes;
struct record_files;
struct record_ssh;

void record_stamp(const struct record_files *files, char *const *but, const struct record_ssh *ssh,
		  const struct host_changes *changes, bool rewrite);

#endif /* TSC_OFFSET_RECORD_STAMP_H */
