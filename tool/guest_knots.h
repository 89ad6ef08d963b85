/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a VM's history in a host's file to the knots for a guest's file, and what of it is in doubt: each
 * doubt is a line on stderr that names vCPU and guest times.
 */
#ifndef TSC_OFFSET_GUEST_KNOTS_H
#define TSC_OFFSET_GUEST_KNOTS_H

#include <stddef.h>

#include "time_shift.h"

struct guest_trace;
struct host_trace;
struct host_vm;
struct initial_values;

/**
 * struct guest_knots - the result
 * @shift: the knots
 * @nr_changes: changes of an offset that are in it
 * @nr_doubts: ranges of guest times that are in doubt
 */
struct guest_knots {
	struct time_shift	shift;
	size_t			nr_changes;
	size_t			nr_doubts;
};

int guest_knots_build(struct guest_knots *knots, const struct host_trace *host, struct host_vm *vm,
		      const struct guest_trace *guest, const struct initial_values *initial);
void guest_knots_release(struct guest_knots *knots);

#endif /* TSC_OFFSET_GUEST_KNOTS_H */
