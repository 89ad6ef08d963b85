// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Arbitrary TIME_SHIFT options, as a file can have them, applied to times from the input. The first two bytes are the
 * option's length; the rest after it is times.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "time_shift_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct time_shift_reader *reader)
{
	for (size_t v = 0; v < reader->nr_vcpus; v++)
		for (size_t i = 1; i < reader->nr_samples[v]; i++)
			if (reader->samples[v][i].ts <= reader->samples[v][i - 1].ts)
				abort();
}

static void apply(const struct time_shift_reader *reader, uint64_t ts)
{
	for (size_t v = 0; v <= reader->nr_vcpus; v++) {
		uint64_t host = time_shift_apply(reader, v, ts);

		if (!time_shift_corrects(reader, v) && host != ts)
			abort();
		/* At each sample and next to it */
		for (size_t i = 0; v < reader->nr_vcpus && i < reader->nr_samples[v]; i++)
			for (uint64_t beside = 0; beside < 3; beside++)
				time_shift_apply(reader, v,
						 (uint64_t)reader->samples[v][i].ts + beside - 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct time_shift_reader reader;
	size_t length;
	uint64_t ts;
	void *option;

	if (size < 2)
		return 0;
	length = data[0] | data[1] << 8;
	data += 2;
	size -= 2;
	if (length > size)
		length = size;
	/* A copy of the exact size, so that reads after it are detected */
	option = malloc(length ? length : 1);
	memcpy(option, data, length);
	time_shift_decode(&reader, option, length);
	free(option);
	check(&reader);
	data += length;
	size -= length;
	for (; size >= sizeof(ts); data += sizeof(ts), size -= sizeof(ts)) {
		memcpy(&ts, data, sizeof(ts));
		apply(&reader, ts);
	}
	time_shift_reader_release(&reader);
	return 0;
}
