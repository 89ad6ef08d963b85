// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What KernelShark shows in its Info column for kvm_write_tsc_offset and kvm_write_tsc_multiplier, by its
 * own library.
 *
 * The file is opened twice, as two streams. The rows of the first are asked for from the last to
 * the first, then, with the second stream closed, from the first to the last, and each text has to
 * be the same again. Prints the event and its text, one a line, in the order of time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libkshark.h>

#define SYSTEM "kvm/"

static const char *const events[] = { "kvm_write_tsc_offset", "kvm_write_tsc_multiplier" };

/* Returns: the event's name, NULL if it is another one */
static const char *name_of_ours(const struct kshark_entry *entry)
{
	char *name = kshark_get_event_name(entry);
	const char *ours = NULL;

	for (size_t i = 0; name && i < sizeof(events) / sizeof(events[0]); i++) {
		if (!strncmp(name, SYSTEM, strlen(SYSTEM)) && !strcmp(name + strlen(SYSTEM), events[i]))
			ours = events[i];
	}
	free(name);
	return ours;
}

int main(int argc, char **argv)
{
	struct kshark_context *context = NULL;
	struct kshark_entry **rows = NULL;
	ssize_t nr_rows, i;
	int stream, other;
	char **texts;

	if (argc != 2 || !kshark_instance(&context))
		return 2;
	stream = kshark_open(context, argv[1]);
	other = kshark_open(context, argv[1]);
	if (stream < 0 || other < 0)
		return 1;
	nr_rows = kshark_load_entries(context, stream, &rows);
	if (nr_rows <= 0)
		return 1;
	texts = calloc((size_t)nr_rows, sizeof(*texts));
	if (!texts)
		return 1;

	for (i = nr_rows - 1; i >= 0; i--) {
		if (name_of_ours(rows[i]))
			texts[i] = kshark_get_info(rows[i]);
	}
	kshark_close(context, other);
	for (i = 0; i < nr_rows; i++) {
		char *again;

		if (!texts[i])
			continue;
		again = kshark_get_info(rows[i]);
		if (!again || strcmp(again, texts[i])) {
			fprintf(stderr, "row %zd was '%s' and is '%s'\n", i, texts[i], again);
			return 1;
		}
		printf("%s: %s\n", name_of_ours(rows[i]), texts[i]);
		free(again);
		free(texts[i]);
	}

	for (i = 0; i < nr_rows; i++)
		free(rows[i]);
	free(rows);
	free(texts);
	kshark_close(context, stream);
	kshark_free(context);
	return 0;
}
