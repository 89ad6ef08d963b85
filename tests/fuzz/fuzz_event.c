// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Arbitrary formats and records, as a file can have them. The first bytes define the fields of the format, their
 * offsets and their widths; the rest is the record. The grammar of formats is libtraceevent's and is not fuzzed here.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <traceevent/event-parse.h>

#include "event.h"
#include "mapping.h"

#define FIELD "\tfield:unsigned long %s;\toffset:%u;\tsize:%u;\tsigned:0;\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"common_pid", "vcpu_id", "previous_tsc_offset", "next_tsc_offset",
		"tsc_scaling_ratio", "tsc_scaling_ratio_frac_bits", "vm_pid", "vm_fd",
		"previous_tsc_scaling_ratio", "next_tsc_scaling_ratio", "tsc_offset",
		"l1_offset", "l1_ratio", "frac_bits", "vm", "vm_name", "vm_id",
	};
	char text[2048] = "name: " TSC_OFFSET_EVENT "\nID: 83\nformat:\n";
	size_t used = strlen(text);
	struct tsc_offset_event decoded;
	struct tsc_offset_format format;
	struct tep_event *event;
	struct tep_handle *tep = tep_alloc();
	char *system, *name;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && size >= 3;
	     i++, data += 3, size -= 3) {
		/* Offsets near the record, and some beyond all bounds; valid and invalid widths of numbers */
		unsigned int offset = data[0] | (data[1] & 0x80 ? 0xffffff00 : (data[1] & 1) << 8);

		if (data[2] < 0xf0)
			used += snprintf(text + used, sizeof(text) - used, FIELD "%s", names[i],
					 offset, data[2] & 8 ? data[2] : 1u << (data[2] & 3),
					 i ? "" : "\n");
	}
	snprintf(text + used, sizeof(text) - used, "\nprint fmt: \"\"\n");

	tep_set_loglevel(TEP_LOG_NONE);
	tep_parse_event(tep, text, strlen(text), TSC_OFFSET_SYSTEM);
	event = tep_find_event_by_name(tep, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT);
	system = event ? event->system : NULL;
	name = event ? event->name : NULL;
	/* The format of each event can have the fields of any event */
	for (size_t i = 0; event && i < NR_TSC_EVENTS; i++) {
		event->system = (char *)tsc_event_names[i].system;
		event->name = (char *)tsc_event_names[i].name;
		if (!tsc_offset_format_init(&format, event) &&
		    !tsc_offset_event_decode(&format, 1, data, size, &decoded) &&
		    decoded.frac_bits > TSC_MAX_FRAC_BITS)
			abort();
	}
	if (event) {
		event->system = system;
		event->name = name;
	}
	tep_free(tep);
	return 0;
}
