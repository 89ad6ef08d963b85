// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A guest's Perfetto trace, as an attacker writes it: its clocks, and its packets while they are rewritten. */
#include <stdint.h>
#include <stdlib.h>

#include "clock_rows.h"
#include "error.h"
#include "guest_places.h"
#include "guest_times.h"
#include "history.h"
#include "packet_file.h"
#include "packet_rewrite.h"

#define HZ	2500000000ULL
#define NS	1000000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One jump forward and one backward, like the seeds */
static void make_history(struct vm_history *vm)
{
	struct vcpu_history *vcpu = vm_history_vcpu(vm, 0);
	const struct tsc_mapping maps[] = { { .offset = -100 }, { .offset = 5000 }, { .offset = -7000 } };

	if (!vcpu || vcpu_history_add(vcpu, HZ, &maps[1], &maps[0]) ||
	    vcpu_history_add(vcpu, 2 * HZ, &maps[2], &maps[1]))
		abort();
}

static void rewrite_all(struct packet_file *file, struct guest_times *times)
{
	struct packet_rewrite rewrite = { .times = times, .machine_id = 1 };
	struct wire copy = { 0 };
	struct cursor packet, again;
	struct wire_field field;

	while (packet_file_next(file, &packet) > 0) {
		if (packet_copy_host(&copy, packet) || packet_rewrite(&rewrite, packet))
			break;
		/* The output is one packet again */
		again = (struct cursor) { rewrite.out.bytes, rewrite.out.size };
		if (rewrite.out.size &&
		    (wire_take_field(&again, &field) != 1 || field.type != WIRE_BYTES || again.left))
			abort();
		while (rewrite.out.size && field.bytes.left) {
			if (wire_take_field(&field.bytes, &(struct wire_field) { 0 }) != 1)
				abort();
		}
	}
	packet_rewrite_release(&rewrite);
	wire_release(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct clock_rows host = {
		.rows = (struct clock_row[]) {
			{ .has = 1 << CLOCK_ID_BOOTTIME | 1 << CLOCK_ID_TSC },
			{ .has = 1 << CLOCK_ID_BOOTTIME | 1 << CLOCK_ID_TSC,
			  .values = { [CLOCK_ID_BOOTTIME] = 10 * NS, [CLOCK_ID_TSC] = 10 * HZ } },
		}, .nr = 2,
	};
	struct clock_rate rate = { NS, HZ };
	struct guest_places places = { 0 };
	struct guest_times times = { 0 };
	struct clock_rows rows = { 0 };
	struct vm_history vm = { 0 };
	struct error error = { 0 };
	struct packet_file file = { .path = "fuzz", .error = &error, .size = size };

	file.stream = size ? fmemopen((void *)data, size, "r") : NULL;
	if (!file.stream)
		return 0;
	make_history(&vm);
	if (!clock_rows_read(&rows, &file) && rows.nr > 1 &&
	    !packet_file_rewind(&file) && !guest_places_find(&places, &rows, &vm, &rate)) {
		guest_places_correct(&places);
		if (!guest_times_make(&times, &places, &host))
			rewrite_all(&file, &times);
	}
	guest_times_release(&times);
	guest_places_release(&places);
	clock_rows_release(&rows);
	packet_file_close(&file);
	vm_history_release(&vm);
	return 0;
}
