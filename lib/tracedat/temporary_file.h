/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Temporary files: an interrupted command leaves none of them. */
#ifndef TSC_OFFSET_TEMPORARY_FILE_H
#define TSC_OFFSET_TEMPORARY_FILE_H

int temporary_file_make(char *path);
void temporary_file_forget(const char *path);

#endif /* TSC_OFFSET_TEMPORARY_FILE_H */
