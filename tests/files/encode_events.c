// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The kvm_write_tsc_offset events of a host's trace.dat, turned into the payload of a TIME_SHIFT
 * option on stdout: file -> event -> history -> sync points, as the tool and the hook do it.
 *
 * Argument: the host's file. It must have events of one VM only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <trace-cmd/trace-cmd.h>

#include "event.h"
#include "history.h"
#include "time_shift.h"

#define MAX_VCPUS 16

struct state {
	struct tep_event		*event;
	struct tsc_offset_format	format;
	struct vm_history		vm;
	uint64_t			first;
	uint64_t			last;
	unsigned int			events;
};

static int take(struct tracecmd_input *handle, struct tep_record *record, int cpu, void *data)
{
	struct state *s = data;
	struct tsc_offset_event event;

	if (!s->first)
		s->first = record->ts;
	s->last = record->ts;
	if (tep_data_type(tracecmd_get_tep(handle), record) != s->event->id)
		return 0;
	s->events++;
	if (tsc_offset_event_decode(&s->format, record->ts, record->data, record->size, &event))
		return -1;
	return vm_history_add(&s->vm, &event);
}

int main(int argc, char **argv)
{
	const struct vcpu_history *vcpus[MAX_VCPUS];
	struct tracecmd_input *handle;
	struct time_shift shift;
	struct state s = { 0 };
	void *option;
	size_t size;

	handle = argc == 2 ? tracecmd_open(argv[1], TRACECMD_FL_LOAD_NO_PLUGINS) : NULL;
	if (!handle)
		return 2;
	s.event = tep_find_event_by_name(tracecmd_get_tep(handle), TSC_OFFSET_SYSTEM,
					 TSC_OFFSET_EVENT);
	if (!s.event || tsc_offset_format_init(&s.format, s.event) ||
	    tracecmd_iterate_events(handle, NULL, 0, take, &s))
		return 1;
	fprintf(stderr, "%u events of %zu vCPUs\n", s.events, s.vm.nr_vcpus);
	if (s.vm.nr_vcpus > MAX_VCPUS)
		return 1;
	for (size_t i = 0; i < s.vm.nr_vcpus; i++)
		vcpus[i] = &s.vm.vcpus[i];
	/* The guest may have begun before the host: unscaled lines are extended exactly */
	if (time_shift_build(&shift, vcpus, s.vm.nr_vcpus, s.first, s.last) ||
	    time_shift_encode(&shift, tracecmd_get_traceid(handle), &option, &size))
		return 1;
	fwrite(option, 1, size, stdout);
	free(option);
	time_shift_release(&shift);
	vm_history_release(&s.vm);
	tracecmd_close(handle);
	return 0;
}
