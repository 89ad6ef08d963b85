/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Adding options to a trace.dat of version 7, so that nothing is lost: whoever opens the file at any time
 * finds the old one or the new one, and so does who comes after a crash.
 *
 * A section of options is appended and then linked from the end of the last one: until these eight bytes
 * are written the new ones are after the end of all that a reader knows. They change in one sector of the disk
 * only, which is written as a whole or not at all. Only then are those hidden that they replace. Or a copy is made,
 * complete before it has a name.
 */
#ifndef TSC_OFFSET_TRACE_DAT_EDIT_H
#define TSC_OFFSET_TRACE_DAT_EDIT_H

#include <stddef.h>
#include <stdint.h>

struct trace_dat;

/**
 * struct trace_dat_edit - what is to be changed; all zero for nothing
 * @options: the new section without its header and its end; owned
 * @size: bytes at @options
 * @retired: where the payload of old options lies that readers must not see any more; owned
 * @nr_retired: how many
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
