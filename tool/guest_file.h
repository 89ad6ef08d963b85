/* SPDX-License-Identifier: GPL-2.0 */
/* A guest's file as readers merge it with its host's: what they correct it with, and which VM it is. */
#ifndef TSC_OFFSET_GUEST_FILE_H
#define TSC_OFFSET_GUEST_FILE_H

#include <stdbool.h>

#include "time_shift_reader.h"
#include "trace_dat.h"

struct host_trace;
struct host_vm;

/**
 * struct guest_file - a guest's file beside its host's
 * @dat: the file; owned
 * @reader: what readers correct it with; owned
 * @has_time_shift: they do
 * @vm: the VM that it is
 */
struct guest_file {
	struct trace_dat		dat;
	struct time_shift_reader	reader;
	bool				has_time_shift;
	struct host_vm			*vm;
};

int guest_file_open(struct guest_file *guest, const char *path, struct host_trace *host, const char *wanted);
bool guest_file_same_nanoseconds(const struct guest_file *guest, const struct host_trace *host);
bool guest_file_is_of(const struct guest_file *guest, const struct host_trace *host);
void guest_file_close(struct guest_file *guest);

#endif /* TSC_OFFSET_GUEST_FILE_H */
