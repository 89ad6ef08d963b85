// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What time_shift_apply() makes of guest times.
 *
 * Argument: a file with the payload of a TIME_SHIFT option.
 * Lines on stdin: CPU, guest time. On stdout: "refused" or "skipped" if readers would do that, else the
 * host times.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "time_shift_reader.h"

static char option[1 << 20];

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	struct time_shift_reader reader;
	uint64_t time;
	uint32_t cpu;
	size_t size;

	if (!file)
		return 2;
	size = fread(option, 1, sizeof(option), file);
	fclose(file);
	switch (time_shift_decode(&reader, option, size)) {
	case 0:
		break;
	case -EBADMSG:
		puts("refused");
		return 0;
	case -ENODATA:
		puts("skipped");
		return 0;
	default:
		return 1;
	}
	while (scanf("%" SCNu32 " %" SCNu64, &cpu, &time) == 2)
		printf("%" PRIu64 "\n", time_shift_apply(&reader, cpu, time));
	time_shift_reader_release(&reader);
	return 0;
}
