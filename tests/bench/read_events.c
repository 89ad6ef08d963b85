// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Reads all events of all buffers of files, in the order of time, and the type of each: for the speed of reading.
 *
 * usage: read_events FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "trace_dat.h"
#include "trace_stream.h"

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int ret = argc < 2 ? 2 : 0;

	for (int i = 1; i < argc && !ret; i++) {
		uint64_t events = 0, types = 0;
		double start = seconds(), took;
		struct error error = { 0 };
		struct trace_dat dat;

		ret = trace_dat_open(&dat, argv[i], &error);
		for (size_t b = 0; b < dat.nr_buffers && !ret; b++) {
			const struct cpu_stream *cpu;
			struct trace_stream stream;

			ret = trace_stream_open(&stream, &dat, &dat.buffers[b], NULL);
			while (!ret && (ret = trace_stream_next(&stream, &cpu)) == 1) {
				uint16_t type;

				ret = 0;
				events++;
				if (cpu->event.size >= sizeof(type)) {
					memcpy(&type, cpu->event.data, sizeof(type));
					types += type;
				}
			}
			trace_stream_close(&stream);
		}
		if (ret)
			fprintf(stderr, "%s: %s\n", argv[i], error.text);
		took = seconds() - start;
		printf("%s: %llu events in %.3f s, %.1f million events/s, %.0f MB/s (%llx)\n", argv[i],
		       (unsigned long long)events, took, events / took / 1e6, dat.size / took / 1e6,
		       (unsigned long long)types);
		trace_dat_close(&dat);
	}
	return ret != 0;
}
