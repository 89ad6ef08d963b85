/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Messages about an input file that cannot be used. */
#ifndef TSC_OFFSET_INPUT_FILE_H
#define TSC_OFFSET_INPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct trace_dat;
struct trace_dat_buffer;

int input_file_fail(const struct error *error);
bool input_file_is_recording(const char *path);
bool input_file_same(const char *a, const char *b);
int input_file_check_other(const char *host, const char *guest, struct error *error);
int input_file_check_guests(const char *host, char *const *guests, size_t nr, struct error *error);
int input_file_check_clock(struct trace_dat *dat, const struct trace_dat_buffer *buffer);

#endif /* TSC_OFFSET_INPUT_FILE_H */
