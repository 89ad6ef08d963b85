/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The mark of a file that stamp wrote beside its original: it may be written again, since nothing is lost with it.
 *
 * It is an option VERSION that readers pass over: they show the last of these, which is the recorder's own again.
 */
#ifndef TSC_OFFSET_COPY_MARK_H
#define TSC_OFFSET_COPY_MARK_H

#include <stdbool.h>

struct trace_dat;
struct trace_dat_edit;

int copy_mark_add(struct trace_dat_edit *edit, const struct trace_dat *dat);
bool copy_mark_read(const struct trace_dat *dat);

#endif /* TSC_OFFSET_COPY_MARK_H */
