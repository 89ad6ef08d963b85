/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Adds options to a trace.dat of version 7 safely: a reader finds either the old or the new file at any time, also
 * after a crash.
 *
 * A new section of options is appended and then linked from the end of the last one. Readers do not see it until these
 * eight bytes are written. They are within one disk sector, which is written as a whole or not at all. Only then are
 * the options hidden that the new ones replace. Alternatively, a copy is made, which gets its name when it is complete.
 */
#ifndef TSC_OFFSET_TRACE_DAT_EDIT_H
#define TSC_OFFSET_TRACE_DAT_EDIT_H

#include <stddef.h>
#include <stdint.h>

struct trace_dat;

/**
 * struct trace_dat_edit - the changes; all zeros for none
 * @options: the new section without header and end; owned
 * @size: size of @options in bytes
 * @retired: places of the payloads of old options that readers must not see any more; owned
 * @nr_retired: number of @retired
 */
struct trace_dat_edit {
	uint8_t		*options;
	size_t		size;
	uint64_t	*retired;
	size_t		nr_retired;
};

int trace_dat_edit_add(struct trace_dat_edit *edit, int id, const void *data, size_t size);
int trace_dat_edit_retire(struct trace_dat_edit *edit, uint64_t offset);
void trace_dat_edit_release(struct trace_dat_edit *edit);

int trace_dat_edit_in_place(struct trace_dat *dat, const struct trace_dat_edit *edit);
int trace_dat_edit_copy(struct trace_dat *dat, const struct trace_dat_edit *edit, const char *path,
			int *unsynced);

#endif /* TSC_OFFSET_TRACE_DAT_EDIT_H */
