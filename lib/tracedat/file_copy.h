/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Writes to a place in a file, and copies a part of a trace.dat there. Holes stay holes. */
#ifndef TSC_OFFSET_FILE_COPY_H
#define TSC_OFFSET_FILE_COPY_H

#include <stddef.h>
#include <stdint.h>

struct trace_dat;

int file_write(int fd, const void *data, size_t size, uint64_t offset);
int file_copy(struct trace_dat *dat, uint64_t from, uint64_t size, int fd, uint64_t offset);

#endif /* TSC_OFFSET_FILE_COPY_H */
