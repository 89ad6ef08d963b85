// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "check_json.h"
#include "findings_json.h"
#include "guest_check.h"
#include "host.h"
#include "json_writer.h"

static void add_span(struct json_writer *json, const char *key, const struct guest_mode_span *span)
{
	/* 0 is an unknown value */
	json_begin(json, key, JSON_OBJECT);
	json_add_known(json, "entry", span->entry, span->entry);
	json_add_known(json, "exit", span->exit, span->exit);
	json_end(json);
}

static void add_violations(struct json_writer *json, const struct guest_mode_cpu *cpu)
{
	json_begin(json, "first_violations", JSON_ARRAY);
	for (size_t i = 0; i < cpu->nr_listed; i++) {
		const struct guest_mode_violation *violation = &cpu->listed[i];

		json_begin(json, NULL, JSON_OBJECT);
		json_add_uint(json, "guest_tsc", violation->guest_tsc);
		json_add_uint(json, "shown_at", violation->host_tsc);
		json_add_bool(json, "impossible", violation->impossible);
		add_span(json, "guest_mode_before", &violation->before);
		add_span(json, "guest_mode_after", &violation->after);
		json_end(json);
	}
	json_end(json);
}

static void add_counts(struct json_writer *json, const struct guest_mode_counts *counts)
{
	json_add_uint(json, "events", counts->events);
	json_add_uint(json, "inside", counts->inside);
	json_add_uint(json, "violations", counts->violations);
	json_add_uint(json, "impossible", counts->impossible);
	json_add_uint(json, "outside", counts->outside);
	json_add_uint(json, "unprovable", counts->unprovable);
}

static void add_bound(struct json_writer *json, const struct guest_mode_cpu *cpu)
{
	if (cpu->counts.violations || !cpu->counts.inside) {
		json_add_null(json, "may_be_moved");
		return;
	}
	json_begin(json, "may_be_moved", JSON_OBJECT);
	json_add_uint(json, "earlier", cpu->earlier);
	json_add_known(json, "later", cpu->later != GUEST_MODE_NO_LIMIT, cpu->later);
	json_end(json);
}

static void add_cpu(struct json_writer *json, const struct guest_mode_cpu *cpu)
{
	json_begin(json, NULL, JSON_OBJECT);
	json_add_uint(json, "cpu", cpu->cpu);
	json_add_known(json, "vcpu_id", cpu->has_vcpu, cpu->vcpu_id);
	json_add_bool(json, "corrected", cpu->corrected);
	add_counts(json, &cpu->counts);
	add_bound(json, cpu);
	add_violations(json, cpu);
	json_end(json);
}

static void add_buffer(struct json_writer *json, const struct guest_mode_buffer *buffer)
{
	json_begin(json, NULL, JSON_OBJECT);
	json_add_text(json, "instance", buffer->buffer->name);
	json_add_text(json, "clock", buffer->clock);
	json_add_bool(json, "checked", buffer->checked);
	json_begin(json, "cpus", JSON_ARRAY);
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		add_cpu(json, &buffer->cpus[i]);
	json_end(json);
	json_end(json);
}

/* Events without exact times, after jumps backward within pages */
static void add_inexact(struct json_writer *json, const struct guest_file *guest)
{
	json_begin(json, "inexact", JSON_ARRAY);
	for (size_t i = 0; i < guest->inexact.nr; i++) {
		const struct inexact_time *time = &guest->inexact.list[i];

		json_begin(json, NULL, JSON_OBJECT);
		json_add_text(json, "instance", guest->dat.buffers[time->buffer].name);
		json_add_uint(json, "cpu", time->cpu);
		json_add_uint(json, "events", time->nr_events);
		json_add_uint(json, "host_tsc", time->host_tsc);
		json_add_uint(json, "earlier", time->earlier);
		json_add_uint(json, "later", time->later);
		json_end(json);
	}
	json_end(json);
	json_add_uint(json, "inexact_unlisted", guest->inexact.more);
}

/**
 * check_json_add - add the result of a guest's file
 * @json: the document, inside the array of results
 * @check: a finished check
 */
void check_json_add(struct json_writer *json, const struct guest_check *check)
{
	static const char *const verdicts[] = {
		[GUEST_FITS] = "fits",
		[GUEST_VIOLATES] = "violations",
		[GUEST_OUTSIDE] = "outside",
		[GUEST_NOT_PROVABLE] = "not provable",
	};
	struct guest_mode_counts sums = guest_check_sums(check);
	const char *time_shift = check->guest.shown.shift.interpolate ? "interpolated" : "steps";
	const struct host_vm *vm = check->guest.vm;

	json_begin(json, NULL, JSON_OBJECT);
	json_add_text(json, "file", check->guest.dat.path);
	json_add_known(json, "vm", vm, vm ? (uint64_t)vm->id : 0);
	json_add_text(json, "vm_name", vm ? vm->name : "");
	json_add_text(json, "time_shift", check->guest.shown.has_shift ? time_shift : NULL);
	json_add_bool(json, "rewritten", check->guest.rewritten);
	json_add_text(json, "verdict", verdicts[guest_check_verdict(check)]);
	add_counts(json, &sums);
	add_inexact(json, &check->guest);
	json_begin(json, "buffers", JSON_ARRAY);
	for (size_t i = 0; i < check->result.nr_buffers; i++)
		add_buffer(json, &check->result.buffers[i]);
	json_end(json);
	findings_json(json, &check->findings);
	json_end(json);
}
