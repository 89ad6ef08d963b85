/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Marks a guest's file whose pages have host times. The mark follows the version of the recorder in the option VERSION:
 * readers only show this text, but warn about unknown options.
 */
#ifndef TSC_OFFSET_REWRITTEN_MARK_H
#define TSC_OFFSET_REWRITTEN_MARK_H

#include <stdbool.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_edit;

int rewritten_mark_add(struct trace_dat_edit *edit, const struct trace_dat *dat, uint64_t host_trace_id);
bool rewritten_mark_read(const struct trace_dat *dat, uint64_t *host_trace_id);

#endif /* TSC_OFFSET_REWRITTEN_MARK_H */
