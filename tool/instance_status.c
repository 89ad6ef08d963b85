// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset instance status. Data go to stdout, problems to stderr, and in JSON to both.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include <tracefs.h>

#include "boot_instance.h"
#include "cleanup.h"
#include "findings.h"
#include "findings_json.h"
#include "instance_counts.h"
#include "instance_settings.h"
#include "instance_status.h"
#include "instance_vms.h"
#include "json_writer.h"
#include "kvm_probes.h"
#include "message.h"
#include "record_instance.h"
#include "refusal.h"
#include "tsc_clock.h"

/**
 * struct status - the contents of the report
 * @instance: the instance
 * @clock: its clock; owned
 * @counts: its buffers
 * @vms: the VMs of its events
 * @by_tsc: the clock is correct, so times are meaningful
 * @age: seconds since the oldest event
 * @problems: the problems: all are doubts
 */
struct status {
	struct tracefs_instance	*instance;
	char			*clock;
	struct instance_counts	counts;
	struct instance_vms	vms;
	bool			by_tsc;
	uint64_t		age;
	struct findings		problems;
};

static uint64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Only the kernel's log has the TSC's frequency: measure it, precisely enough for an age */
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
	struct findings *problems = context;

	if (setting->is)
		findings_doubt(problems, FINDING_INSTANCE, "%s is %s and should be %s", setting->file, setting->is,
			       setting->wanted);
	else
		findings_doubt(problems, FINDING_INSTANCE, "%s does not exist: the module kvm was unloaded",
			       setting->file);
	return 0;
}

static void find_lost(struct findings *problems, const struct cpu_counts *sum)
{
	if (sum->overrun)
		findings_doubt(problems, FINDING_HISTORY,
			       "%" PRIu64 " events were overwritten by newer ones: history incomplete", sum->overrun);
	if (sum->commit_overrun || sum->dropped)
		findings_doubt(problems, FINDING_HISTORY,
			       "%" PRIu64 " events were dropped for lack of room: history incomplete",
			       sum->commit_overrun + sum->dropped);
	if (sum->read)
		findings_doubt(problems, FINDING_HISTORY,
			       "%" PRIu64 " events were consumed by a reader: history incomplete", sum->read);
}

static void find_unrecorded(struct findings *problems, const struct instance_vms *vms)
{
	for (size_t i = 0; i < vms->nr_unrecorded; i++)
		findings_doubt(problems, FINDING_HISTORY,
			       "process %d runs a VM without any event: history incomplete", vms->unrecorded[i]);
	for (size_t i = 0; i < vms->history.nr_vms; i++) {
		const struct vm_history *vm = &vms->history.vms[i];
		size_t late = instance_vm_late(vm), gaps = instance_vm_gaps(vm);

		if (late)
			findings_doubt(problems, FINDING_HISTORY,
				       "process %d: %zu vCPUs miss their first events: history incomplete", vm->vm,
				       late);
		if (gaps)
			findings_doubt(problems, FINDING_HISTORY,
				       "process %d: %zu vCPUs miss events between others: history incomplete", vm->vm,
				       gaps);
	}
}

static int gather(struct status *status)
{
	int ret;

	status->clock = tracefs_get_clock(status->instance);
	status->by_tsc = status->clock && !strcmp(status->clock, TSC_CLOCK);
	if (!status->by_tsc)
		findings_doubt(&status->problems, FINDING_CLOCK,
			       "the clock is %s and should be " TSC_CLOCK ": its events cannot be used",
			       status->clock ? status->clock : "unknown");
	ret = instance_settings_check(status->instance, add_setting, &status->problems);
	if (!ret)
		ret = instance_counts_read(&status->counts, status->instance);
	if (!ret)
		ret = instance_vms_read(&status->vms);
	if (ret)
		return ret;
	if (status->by_tsc && status->vms.nr_events)
		status->age = seconds_since(status->vms.oldest);
	find_lost(&status->problems, &status->counts.sum);
	find_unrecorded(&status->problems, &status->vms);
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

/* The sources of offsets on this machine, with the words of JSON and of the text */
static const char *const sources[][2] = {
	{ "patched", "the kernel's own events, which report VM and ratio" },
	{ "probes", "the kernel's own event, and probes, which report VM, ratio and offsets that never change" },
	{ "stock", "the kernel's own event, without VM and ratio; 'instance start --probes' adds them" },
};

static const char *const *source(void)
{
	return sources[tsc_event_names_vm() ? 0 : kvm_probes_defined() ? 1 : 2];
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
	printf("source    %s\n", source()[1]);
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
	printf("running   VMs: %zu, with %zu vCPUs; VMs without an event: %zu\n",
	       vms->history.nr_vms, nr_vcpus(vms), vms->nr_unrecorded);
	printf("ended     threads that wrote offsets: %zu\n", vms->nr_ended);
}

static void add_counts(struct json_writer *json, const struct cpu_counts *counts)
{
	json_add_uint(json, "buffer_kb", counts->buffer_kb);
	json_add_uint(json, "entries", counts->entries);
	json_add_uint(json, "overrun", counts->overrun);
	json_add_uint(json, "commit_overrun", counts->commit_overrun);
	json_add_uint(json, "dropped", counts->dropped);
	json_add_uint(json, "read", counts->read);
}

static void add_cpus(struct json_writer *json, const struct instance_counts *counts)
{
	json_begin(json, "cpus", JSON_ARRAY);
	for (size_t i = 0; i < counts->nr_cpus; i++) {
		json_begin(json, NULL, JSON_OBJECT);
		json_add_uint(json, "cpu", counts->cpus[i].cpu);
		add_counts(json, &counts->cpus[i]);
		json_end(json);
	}
	json_end(json);
}

static void add_events(struct json_writer *json, struct tracefs_instance *instance)
{
	json_begin(json, "events", JSON_ARRAY);
	for (size_t i = 0; i < nr_instance_events; i++) {
		int enabled = instance_event_enabled(instance, instance_events[i]);

		json_begin(json, NULL, JSON_OBJECT);
		json_add_text(json, "name", instance_events[i]);
		json_add_bool(json, "exists", enabled >= 0);
		json_add_bool(json, "enabled", enabled > 0);
		json_end(json);
	}
	json_end(json);
}

static void add_vms(struct json_writer *json, const struct instance_vms *vms)
{
	json_begin(json, "vms", JSON_ARRAY);
	for (size_t i = 0; i < vms->history.nr_vms; i++) {
		const struct vm_history *vm = &vms->history.vms[i];

		json_begin(json, NULL, JSON_OBJECT);
		json_add_int(json, "pid", vm->vm);
		json_begin(json, "vcpus", JSON_ARRAY);
		for (size_t v = 0; v < vm->nr_vcpus; v++) {
			json_begin(json, NULL, JSON_OBJECT);
			json_add_uint(json, "vcpu_id", vm->vcpus[v].vcpu_id);
			json_add_uint(json, "events", vm->vcpus[v].nr_segments);
			json_end(json);
		}
		json_end(json);
		json_end(json);
	}
	json_end(json);
	json_begin(json, "unrecorded_vms", JSON_ARRAY);
	for (size_t i = 0; i < vms->nr_unrecorded; i++)
		json_add_int(json, NULL, vms->unrecorded[i]);
	json_end(json);
	json_add_uint(json, "ended_threads", vms->nr_ended);
}

static void add_problems(struct json_writer *json, const struct findings *problems)
{
	json_begin(json, "problems", JSON_ARRAY);
	for (size_t i = 0; i < problems->nr; i++)
		json_add_text(json, NULL, problems->list[i].text);
	json_end(json);
	findings_json(json, problems);
}

static void begin(struct json_writer *json, bool exists)
{
	json_begin_document(json);
	json_add_text(json, "instance", BOOT_INSTANCE);
	json_add_bool(json, "exists", exists);
}

static int print_json(const struct status *status)
{
	struct json_writer json = { .pretty = true };

	begin(&json, true);
	json_add_text(&json, "clock", status->clock);
	json_add_bool(&json, "tracing_on", tracefs_trace_is_on(status->instance) > 0);
	add_events(&json, status->instance);
	json_add_text(&json, "source", source()[0]);
	add_counts(&json, &status->counts.sum);
	add_cpus(&json, &status->counts);
	if (status->by_tsc && status->vms.nr_events) {
		json_add_uint(&json, "oldest_tsc", status->vms.oldest);
		json_add_uint(&json, "oldest_age_seconds", status->age);
	}
	add_vms(&json, &status->vms);
	add_problems(&json, &status->problems);
	json_end(&json);
	return json_finish(&json, stdout);
}

/**
 * instance_status_print - show the state of an instance
 * @instance: the instance
 * @json: print JSON
 *
 * Nothing is consumed.
 *
 * Returns: the verb's exit status.
 */
enum exit_status instance_status_print(struct tracefs_instance *instance, bool json)
{
	struct status status = { .instance = instance };
	enum exit_status result = EXIT_FAILED;
	char why[REFUSAL_SIZE];
	int ret = gather(&status);

	if (ret) {
		message("the instance " BOOT_INSTANCE " cannot be read: %s", refusal_text(-ret, why));
	} else {
		if (json)
			ret = print_json(&status);
		else
			print_text(&status);
		fflush(stdout);
		/* main() reports failed writes to stdout */
		if (ret == -ENOMEM)
			message("the status of the instance " BOOT_INSTANCE ": %s", strerror(-ret));
		findings_print(&status.problems);
		result = verb_status(ret, &status.problems);
	}
	findings_release(&status.problems);
	instance_vms_release(&status.vms);
	instance_counts_release(&status.counts);
	free(status.clock);
	return result;
}

/**
 * instance_status_print_none - show in JSON that there is no instance
 *
 * main() reports failed writes to stdout.
 */
void instance_status_print_none(void)
{
	struct json_writer json = { .pretty = true };

	begin(&json, false);
	json_end(&json);
	json_finish(&json, stdout);
}
