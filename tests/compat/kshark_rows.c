// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Prints the rows that KernelShark shows of several files, in its order: stream, CPU, thread, time, event and Info
 * column. It uses KernelShark's own library.
 */
#include <stdio.h>
#include <stdlib.h>

#include <libkshark.h>

int main(int argc, char **argv)
{
	struct kshark_context *context = NULL;
	struct kshark_entry **rows = NULL;
	ssize_t nr_rows;

	if (argc < 2 || !kshark_instance(&context))
		return 2;
	for (int i = 1; i < argc; i++) {
		if (kshark_open(context, argv[i]) != i - 1)
			return 1;
	}
	nr_rows = kshark_load_all_entries(context, &rows);
	if (nr_rows <= 0)
		return 1;
	for (ssize_t i = 0; i < nr_rows; i++) {
		char *event = kshark_get_event_name(rows[i]);
		char *info = kshark_get_info(rows[i]);

		printf("%d %d %d %lld %s %s\n", rows[i]->stream_id, rows[i]->cpu,
		       kshark_get_pid(rows[i]), (long long)rows[i]->ts, event ? event : "",
		       info ? info : "");
		free(event);
		free(info);
		free(rows[i]);
	}
	free(rows);
	kshark_close_all(context);
	kshark_free(context);
	return 0;
}
