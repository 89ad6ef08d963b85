// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <json-c/json.h>

#include "check_json.h"
#include "findings_json.h"
#include "guest_check.h"
#include "host_file.h"
#include "json_members.h"

/* 0 is what is not known */
static void add_known(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, value ? json_object_new_uint64(value) : NULL);
}

static struct json_object *span_json(const struct guest_mode_span *span)
{
	struct json_object *object = json_object_new_object();

	add_known(object, "entry", span->entry);
	add_known(object, "exit", span->exit);
	return object;
}

static struct json_object *violations_json(const struct guest_mode_cpu *cpu)
{
	struct json_object *violations = json_object_new_array();

	for (size_t i = 0; i < cpu->nr_listed; i++) {
		const struct guest_mode_violation *violation = &cpu->listed[i];
		struct json_object *object = json_object_new_object();

		add_number(object, "guest_tsc", violation->guest_tsc);
		add_number(object, "shown_at", violation->host_tsc);
		json_object_object_add(object, "impossible", json_object_new_boolean(violation->impossible));
		json_object_object_add(object, "guest_mode_before", span_json(&violation->before));
		json_object_object_add(object, "guest_mode_after", span_json(&violation->after));
		json_object_array_add(violations, object);
	}
	return violations;
}

static struct json_object *bound_json(const struct guest_mode_cpu *cpu)
{
	struct json_object *bound;

	if (cpu->violations || !cpu->inside)
		return NULL;
	bound = json_object_new_object();
	add_number(bound, "earlier", cpu->earlier);
	json_object_object_add(bound, "later", cpu->later == GUEST_MODE_NO_LIMIT ? NULL :
			       json_object_new_uint64(cpu->later));
	return bound;
}

static struct json_object *cpu_json(const struct guest_mode_cpu *cpu)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "cpu", cpu->cpu);
	json_object_object_add(object, "vcpu_id",
			       cpu->has_vcpu ? json_object_new_uint64(cpu->vcpu_id) : NULL);
	json_object_object_add(object, "corrected", json_object_new_boolean(cpu->corrected));
	add_number(object, "events", cpu->events);
	add_number(object, "inside", cpu->inside);
	add_number(object, "violations", cpu->violations);
	add_number(object, "impossible", cpu->impossible);
	add_number(object, "outside", cpu->outside);
	add_number(object, "unprovable", cpu->unprovable);
	json_object_object_add(object, "may_be_moved", bound_json(cpu));
	json_object_object_add(object, "first_violations", violations_json(cpu));
	return object;
}

static struct json_object *buffer_json(const struct guest_mode_buffer *buffer)
{
	struct json_object *object = json_object_new_object();
	struct json_object *cpus = json_object_new_array();

	add_text(object, "instance", buffer->buffer->name);
	add_text(object, "clock", buffer->clock);
	json_object_object_add(object, "checked", json_object_new_boolean(buffer->checked));
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		json_object_array_add(cpus, cpu_json(&buffer->cpus[i]));
	json_object_object_add(object, "cpus", cpus);
	return object;
}

static struct json_object *time_shift_json(const struct guest_check *check)
{
	if (!check->guest.shown.has_shift)
		return NULL;
	return json_object_new_string(check->guest.shown.shift.interpolate ? "interpolated" : "steps");
}

static struct json_object *check_json(const struct guest_check *check)
{
	static const char *const verdicts[] = {
		[GUEST_FITS] = "fits",
		[GUEST_VIOLATES] = "violations",
		[GUEST_OUTSIDE] = "outside",
		[GUEST_NOT_PROVABLE] = "not provable",
	};
	struct json_object *object = json_object_new_object();
	struct json_object *buffers = json_object_new_array();
	struct guest_check_sums sums = guest_check_sums(check);

	add_text(object, "file", check->guest.dat.path);
	json_object_object_add(object, "vm", check->guest.vm ? json_object_new_int(check->guest.vm->id) : NULL);
	add_text(object, "vm_name", check->guest.vm ? check->guest.vm->name : "");
	json_object_object_add(object, "time_shift", time_shift_json(check));
	add_text(object, "verdict", verdicts[guest_check_verdict(check)]);
	add_number(object, "events", sums.events);
	add_number(object, "inside", sums.inside);
	add_number(object, "violations", sums.violations);
	add_number(object, "impossible", sums.impossible);
	add_number(object, "outside", sums.outside);
	add_number(object, "unprovable", sums.unprovable);
	for (size_t i = 0; i < check->result.nr_buffers; i++)
		json_object_array_add(buffers, buffer_json(&check->result.buffers[i]));
	json_object_object_add(object, "buffers", buffers);
	json_object_object_add(object, "findings", findings_json(&check->findings));
	return object;
}

/**
 * check_json_add - add what was found of a guest's file
 * @guests: an array
 * @check: done
 */
void check_json_add(struct json_object *guests, const struct guest_check *check)
{
	json_object_array_add(guests, check_json(check));
}

/**
 * check_json_write - write what was found of all guests' files as one object
 * @guests: an array of them; freed
 * @host_path: the host's file
 * @file: where to
 */
void check_json_write(struct json_object *guests, const char *host_path, FILE *file)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "host", host_path);
	json_object_object_add(object, "guests", guests);
	fprintf(file, "%s\n",
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							       JSON_C_TO_STRING_SPACED |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}
