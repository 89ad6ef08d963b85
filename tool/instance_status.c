// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What tsc-offset instance status shows. The data go to stdout, what is wrong goes to stderr, and
 * in JSON to both.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include <json-c/json.h>
#include <tracefs.h>

#include "cleanup.h"
#include "instance.h"
#include "instance_counts.h"
#include "instance_settings.h"
#include "instance_status.h"
#include "instance_vms.h"
#include "json_members.h"
#include "message.h"
#include "refusal.h"
#include "tsc_clock.h"

/**
 * struct status - all that is shown
 * @instance: what is looked at
 * @clock: its clock; owned
 * @counts: its buffers
 * @vms: whose events it has
 * @by_tsc: the clock is right, so times mean something
 * @age: seconds since the oldest event
 * @problems: lines of text, an array in JSON
 */
struct status {
	struct tracefs_instance	*instance;
	char			*clock;
	struct instance_counts	counts;
	struct instance_vms	vms;
	bool			by_tsc;
	uint64_t		age;
	struct json_object	*problems;
};

static __attribute__((format(printf, 2, 3)))
void add_problem(struct status *status, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_array_add(status->problems, json_object_new_string(text));
}

static uint64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Only the kernel's log tells the TSC's frequency: it is measured, well enough for an age */
static uint64_t seconds_since(uint64_t tsc)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	uint64_t ns = raw_ns(), begin = __rdtsc(), end;

	nanosleep(&nap, NULL);
	ns = raw_ns() - ns;
	end = __rdtsc();
	if (end <= begin || end <= tsc)
		return 0;
	return (uint64_t)((unsigned __int128)(end - tsc) * ns / (end - begin) / 1000000000);
}

static int add_setting(struct tracefs_instance *instance, const struct instance_setting *setting,
		       void *context)
{
	struct status *status = context;

	if (setting->is)
		add_problem(status, "%s is %s and should be %s", setting->file, setting->is,
			    setting->wanted);
	else
		add_problem(status, "%s does not exist: the module kvm was unloaded", setting->file);
	return 0;
}

static void find_lost(struct status *status)
{
	const struct cpu_counts *sum = &status->counts.sum;

	if (sum->overrun)
		add_problem(status, "%" PRIu64 " events were overwritten by newer ones: "
			    "history incomplete", sum->overrun);
	if (sum->commit_overrun || sum->dropped)
		add_problem(status, "%" PRIu64 " events were dropped for lack of room: history incomplete",
			    sum->commit_overrun + sum->dropped);
	if (sum->read)
		add_problem(status, "%" PRIu64 " events were consumed by a reader: "
			    "history incomplete", sum->read);
}

static void find_unrecorded(struct status *status)
{
	const struct instance_vms *vms = &status->vms;

	for (size_t i = 0; i < vms->nr_unrecorded; i++)
		add_problem(status, "process %d runs a VM without any event: history incomplete",
			    vms->unrecorded[i]);
	for (size_t i = 0; i < vms->history.nr_vms; i++) {
		const struct vm_history *vm = &vms->history.vms[i];
		size_t late = instance_vm_late(vm), gaps = instance_vm_gaps(vm);

		if (late)
			add_problem(status, "process %d: %zu vCPUs miss their first events: "
				    "history incomplete", vm->vm, late);
		if (gaps)
			add_problem(status, "process %d: %zu vCPUs miss events between others: "
				    "history incomplete", vm->vm, gaps);
	}
}

static int gather(struct status *status)
{
	int ret;

	status->clock = tracefs_get_clock(status->instance);
	status->by_tsc = status->clock && !strcmp(status->clock, TSC_CLOCK);
	if (!status->by_tsc)
		add_problem(status, "the clock is %s and should be " TSC_CLOCK
			    ": its events cannot be used",
			    status->clock ? status->clock : "unknown");
	ret = instance_settings_check(status->instance, add_setting, status);
	if (!ret)
		ret = instance_counts_read(&status->counts, status->instance);
	if (!ret)
		ret = instance_vms_read(&status->vms);
	if (ret)
		return ret;
	if (status->by_tsc && status->vms.nr_events)
		status->age = seconds_since(status->vms.oldest);
	find_lost(status);
	find_unrecorded(status);
	return 0;
}

static size_t nr_vcpus(const struct instance_vms *vms)
{
	size_t sum = 0;

	for (size_t i = 0; i < vms->history.nr_vms; i++)
		sum += vms->history.vms[i].nr_vcpus;
	return sum;
}

static void print_age(uint64_t seconds)
{
	static const struct {
		uint64_t	seconds;
		const char	*name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && seconds < units[i].seconds)
		i++;
	printf("%" PRIu64 " %s", seconds / units[i].seconds, units[i].name);
	if (i + 1 < sizeof(units) / sizeof(units[0]))
		printf(" %" PRIu64 " %s", seconds % units[i].seconds / units[i + 1].seconds,
		       units[i + 1].name);
	printf(" ago");
}

static const char *state_of(struct tracefs_instance *instance, const char *event)
{
	int enabled = instance_event_enabled(instance, event);

	return enabled < 0 ? "not in this kernel" : enabled ? "recorded" : "off";
}

static void print_counts(const char *name, const struct cpu_counts *counts)
{
	printf("%-9s %" PRIu64 " events; lost: %" PRIu64 " overwritten, %" PRIu64 " not written, %"
	       PRIu64 " read\n", name, counts->entries, counts->overrun,
	       counts->commit_overrun + counts->dropped, counts->read);
}

static void print_text(const struct status *status)
{
	const struct instance_counts *counts = &status->counts;
	const struct instance_vms *vms = &status->vms;
	char name[32];

	printf("instance  " BOOT_INSTANCE "\n");
	printf("clock     %s\n", status->clock ? status->clock : "unknown");
	printf("tracing   %s\n", tracefs_trace_is_on(status->instance) > 0 ? "on" : "off");
	for (size_t i = 0; i < nr_instance_events; i++)
		printf("%-9s %s: %s\n", i ? "" : "events", instance_events[i],
		       state_of(status->instance, instance_events[i]));
	printf("buffers   %zu of %" PRIu64 " KiB\n", counts->nr_cpus, counts->sum.buffer_kb);
	print_counts("all CPUs", &counts->sum);
	for (size_t i = 0; i < counts->nr_cpus; i++) {
		if (!cpu_counts_lost(&counts->cpus[i]))
			continue;
		snprintf(name, sizeof(name), "CPU %u", counts->cpus[i].cpu);
		print_counts(name, &counts->cpus[i]);
	}
	if (status->by_tsc && vms->nr_events) {
		printf("oldest    TSC %" PRIu64 ", ", vms->oldest);
		print_age(status->age);
		printf("\n");
	}
	printf("running   %zu VMs with %zu vCPUs, and %zu VMs without any event\n",
	       vms->history.nr_vms, nr_vcpus(vms), vms->nr_unrecorded);
	printf("ended     %zu threads that wrote offsets\n", vms->nr_ended);
}

static void add_counts(struct json_object *object, const struct cpu_counts *counts)
{
	add_number(object, "buffer_kb", counts->buffer_kb);
	add_number(object, "entries", counts->entries);
	add_number(object, "overrun", counts->overrun);
	add_number(object, "commit_overrun", counts->commit_overrun);
	add_number(object, "dropped", counts->dropped);
	add_number(object, "read", counts->read);
}

static struct json_object *cpus_json(const struct instance_counts *counts)
{
	struct json_object *cpus = json_object_new_array();

	for (size_t i = 0; i < counts->nr_cpus; i++) {
		struct json_object *cpu = json_object_new_object();

		add_number(cpu, "cpu", counts->cpus[i].cpu);
		add_counts(cpu, &counts->cpus[i]);
		json_object_array_add(cpus, cpu);
	}
	return cpus;
}

static struct json_object *events_json(struct tracefs_instance *instance)
{
	struct json_object *events = json_object_new_array();

	for (size_t i = 0; i < nr_instance_events; i++) {
		int enabled = instance_event_enabled(instance, instance_events[i]);
		struct json_object *event = json_object_new_object();

		add_text(event, "name", instance_events[i]);
		json_object_object_add(event, "exists", json_object_new_boolean(enabled >= 0));
		json_object_object_add(event, "enabled", json_object_new_boolean(enabled > 0));
		json_object_array_add(events, event);
	}
	return events;
}

static struct json_object *vms_json(const struct tsc_history *history)
{
	struct json_object *vms = json_object_new_array();

	for (size_t i = 0; i < history->nr_vms; i++) {
		const struct vm_history *vm = &history->vms[i];
		struct json_object *vcpus = json_object_new_array();
		struct json_object *object = json_object_new_object();

		for (size_t v = 0; v < vm->nr_vcpus; v++) {
			struct json_object *vcpu = json_object_new_object();

			add_number(vcpu, "vcpu_id", vm->vcpus[v].vcpu_id);
			add_number(vcpu, "events", vm->vcpus[v].nr_segments);
			json_object_array_add(vcpus, vcpu);
		}
		add_number(object, "pid", (uint64_t)vm->vm);
		json_object_object_add(object, "vcpus", vcpus);
		json_object_array_add(vms, object);
	}
	return vms;
}

static struct json_object *pids_json(const pid_t *pids, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, json_object_new_int(pids[i]));
	return array;
}

static void print_object(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static struct json_object *new_object(bool exists)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "instance", BOOT_INSTANCE);
	json_object_object_add(object, "exists", json_object_new_boolean(exists));
	return object;
}

static void print_json(const struct status *status)
{
	struct json_object *object = new_object(true);
	const struct instance_vms *vms = &status->vms;

	json_object_object_add(object, "clock", status->clock ?
			       json_object_new_string(status->clock) : NULL);
	json_object_object_add(object, "tracing_on",
			       json_object_new_boolean(tracefs_trace_is_on(status->instance) > 0));
	json_object_object_add(object, "events", events_json(status->instance));
	add_counts(object, &status->counts.sum);
	json_object_object_add(object, "cpus", cpus_json(&status->counts));
	if (status->by_tsc && vms->nr_events) {
		add_number(object, "oldest_tsc", vms->oldest);
		add_number(object, "oldest_age_seconds", status->age);
	}
	json_object_object_add(object, "vms", vms_json(&vms->history));
	json_object_object_add(object, "unrecorded_vms",
			       pids_json(vms->unrecorded, vms->nr_unrecorded));
	add_number(object, "ended_threads", vms->nr_ended);
	json_object_object_add(object, "problems", json_object_get(status->problems));
	print_object(object);
}

/**
 * instance_status_print - show the state of an instance
 * @instance: the instance
 * @json: as JSON
 *
 * Nothing is consumed.
 *
 * Returns: the verb's exit status.
 */
enum exit_status instance_status_print(struct tracefs_instance *instance, bool json)
{
	struct status status = { .instance = instance, .problems = json_object_new_array() };
	enum exit_status result = EXIT_DONE;
	int ret = gather(&status);
	char why[REFUSAL_SIZE];

	if (ret) {
		message("the instance " BOOT_INSTANCE " cannot be read: %s", refusal_text(-ret, why));
		result = EXIT_FAILED;
	} else {
		if (json)
			print_json(&status);
		else
			print_text(&status);
		fflush(stdout);
		for (size_t i = 0; i < json_object_array_length(status.problems); i++) {
			message("%s", json_object_get_string(
					json_object_array_get_idx(status.problems, i)));
			result = EXIT_INCOMPLETE;
		}
	}
	json_object_put(status.problems);
	instance_vms_release(&status.vms);
	instance_counts_release(&status.counts);
	free(status.clock);
	return result;
}

/**
 * instance_status_print_none - the same in JSON where there is no instance
 */
void instance_status_print_none(void)
{
	print_object(new_object(false));
}
