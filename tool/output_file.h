/* SPDX-License-Identifier: GPL-2.0 */
/* A file that a verb writes for its user: whole or not at all, and never in the place of a recording. */
#ifndef TSC_OFFSET_OUTPUT_FILE_H
#define TSC_OFFSET_OUTPUT_FILE_H

#include <stdio.h>

#include "new_file.h"

/**
 * struct output_file - a file while it is written
 * @new: where the bytes go
 * @stream: to write with; owned
 */
struct output_file {
	struct new_file	new;
	FILE		*stream;
};

int output_file_open(struct output_file *output, const char *path);
int output_file_finish(struct output_file *output);
void output_file_close(struct output_file *output);

#endif /* TSC_OFFSET_OUTPUT_FILE_H */
