// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A page of any bytes and size: all events are within the page and in order, and reading ends. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ring_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t long_size = size % 4 ? 8 : 4, events = 0;
	/* The fuzzer's own copy ends with the input, so that reads after it are detected */
	const uint8_t *end = data;
	struct ring_event event;
	struct ring_page page;
	int ret;

	if (ring_page_open(&page, data, size, long_size))
		return 0;
	if (page.size > size || (page.nr_lost && !page.lost))
		abort();
	while ((ret = ring_page_next(&page, &event)) == 1) {
		if (event.data < end || event.data > data + size ||
		    event.size > (size_t)(data + size - event.data))
			abort();
		end = event.data + event.size;
		events++;
	}
	if (ret && ret != -EBADMSG)
		abort();
	if (ring_page_next(&page, &event) != ret || events > size / 4)
		abort();
	return 0;
}
