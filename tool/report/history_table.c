// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The history of offsets for people: the source, the VMs with their evidence, the doubts, and a table of changes for
 * each VM.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cleanup.h"
#include "duration.h"
#include "history_table.h"
#include "host.h"
#include "host_vms.h"
#include "sanitize.h"
#include "show_report.h"
#include "tsc_clock.h"
#include "tsc_ratio.h"
#include "vm_boots.h"

/* Limit of losses, gaps or jumps with a line each; --json has all */
#define MAX_LINES	5

#define NAME_WIDTH	10

enum column { VCPU, HOST_TSC, CYCLES, SECONDS, PREVIOUS, NEXT, DELTA, MOVED, RATIO, NR_COLUMNS };

/* A 64-bit number with its sign, or the text of a time */
typedef char cell[TSC_SECONDS_SIZE];

static const char *const titles[NR_COLUMNS] = {
	[VCPU]		= "vCPU",
	[HOST_TSC]	= "host TSC",
	[CYCLES]	= "since first event",
	[SECONDS]	= "seconds",
	[PREVIOUS]	= "previous",
	[NEXT]		= "next",
	[DELTA]		= "delta",
	[MOVED]		= "in time",
	[RATIO]		= "ratio",
};

/* In kHz; 0 if it is not known, or none that a TSC has */
static uint32_t frequency_of(const struct show_report *report)
{
	uint64_t khz = (tsc_frequency_hz(&report->frequency) + 500) / 1000;

	return khz <= UINT32_MAX ? (uint32_t)khz : 0;
}

static void fill_row(const struct show_report *report, const struct vcpu_history *vcpu, size_t i,
		     cell row[NR_COLUMNS])
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	uint64_t since = segment->host_tsc - report->host->first;
	uint32_t khz = frequency_of(report);
	struct tsc_duration moved = { "" };
	char ratio[TSC_RATIO_SIZE];

	snprintf(row[VCPU], sizeof(cell), "%" PRIu32, vcpu->vcpu_id);
	snprintf(row[HOST_TSC], sizeof(cell), "%" PRIu64, segment->host_tsc);
	snprintf(row[CYCLES], sizeof(cell), "%" PRIu64, since);
	tsc_frequency_seconds(&report->frequency, since, row[SECONDS]);
	snprintf(row[PREVIOUS], sizeof(cell), "%" PRId64, segment->previous.offset);
	snprintf(row[NEXT], sizeof(cell), "%" PRId64, segment->map.offset);
	snprintf(row[DELTA], sizeof(cell), "%+" PRId64, show_report_delta(segment));
	snprintf(row[MOVED], sizeof(cell), "%s", khz ? tsc_duration(&moved, show_report_delta(segment), khz) : "");
	snprintf(row[RATIO], sizeof(cell), "%s", tsc_ratio_text(&segment->map, ratio));
}

static const char *plural(size_t number, const char *one, const char *many)
{
	return number == 1 ? one : many;
}

static bool is_shown(const struct show_report *report, enum column column)
{
	/* The duration of a host's sleep is unknown. Cycles are the host TSC without a constant: seconds are better. */
	if (column == CYCLES || column == SECONDS)
		return !host_clock_went_back(&report->host->clock) &&
			(column == SECONDS) == (report->frequency.mult != 0);
	if (column == MOVED)
		return frequency_of(report);
	return column != RATIO || report->scaled;
}

static size_t nr_changes(const struct host_vm *vm)
{
	size_t sum = 0;

	for (size_t i = 0; i < vm->history.nr_vcpus; i++)
		sum += vm->history.vcpus[i].nr_segments;
	return sum;
}

static void write_row(const struct show_report *report, const struct vcpu_history *vcpu, size_t i,
		      const int *widths, FILE *file)
{
	enum vm_boot_kind boot = vcpu_boot_kind(vcpu, i);
	cell row[NR_COLUMNS];
	uint64_t from, to;

	fill_row(report, vcpu, i, row);
	for (enum column c = 0; c < NR_COLUMNS; c++) {
		if (is_shown(report, c))
			fprintf(file, "  %*s", widths[c], row[c]);
	}
	if (boot != VM_GOES_ON)
		fprintf(file, "  %s", vm_boot_word(boot));
	fprintf(file, "%s%s\n", vcpu_history_gap(vcpu, i) ? "  changes missing before" : "",
		vcpu_history_backward(vcpu, i, &from, &to) ? "  backward" : "");
}

static void write_changes(const struct show_report *report, const struct host_vm *vm, FILE *file)
{
	int widths[NR_COLUMNS];
	cell row[NR_COLUMNS];

	if (!nr_changes(vm))
		return;
	for (enum column c = 0; c < NR_COLUMNS; c++)
		widths[c] = (int)strlen(titles[c]);
	for (size_t v = 0; v < vm->history.nr_vcpus; v++) {
		for (size_t i = 0; i < vm->history.vcpus[v].nr_segments; i++) {
			fill_row(report, &vm->history.vcpus[v], i, row);
			for (enum column c = 0; c < NR_COLUMNS; c++) {
				if (is_shown(report, c) && (int)strlen(row[c]) > widths[c])
					widths[c] = (int)strlen(row[c]);
			}
		}
	}
	fprintf(file, "\n");
	for (enum column c = 0; c < NR_COLUMNS; c++) {
		if (is_shown(report, c))
			fprintf(file, "  %*s", widths[c], titles[c]);
	}
	fprintf(file, "\n");
	for (size_t v = 0; v < vm->history.nr_vcpus; v++) {
		for (size_t i = 0; i < vm->history.vcpus[v].nr_segments; i++)
			write_row(report, &vm->history.vcpus[v], i, widths, file);
	}
}

static void write_more(size_t nr, FILE *file)
{
	if (nr > MAX_LINES)
		fprintf(file, "%*sand %zu more\n", NAME_WIDTH, "", nr - MAX_LINES);
}

static void write_doubts(const struct vcpu_history *vcpu, FILE *file)
{
	size_t gaps = 0, jumps = 0;
	uint64_t from, to;

	if (vcpu_history_previous_unreported(vcpu))
		fprintf(file, "%*sits events do not report the previous offset: previous and delta are invalid\n",
			NAME_WIDTH, "");
	for (size_t i = 0; i <= vcpu->nr_segments; i++) {
		if (!vcpu_history_gap(vcpu, i) || ++gaps > MAX_LINES)
			continue;
		fprintf(file, "%*schanges may be missing", NAME_WIDTH, "");
		if (i)
			fprintf(file, " after host TSC %" PRIu64, vcpu->segments[i - 1].host_tsc);
		if (i < vcpu->nr_segments)
			fprintf(file, " before host TSC %" PRIu64, vcpu->segments[i].host_tsc);
		fprintf(file, "\n");
	}
	write_more(gaps, file);
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (!vcpu_history_backward(vcpu, i, &from, &to) || ++jumps > MAX_LINES)
			continue;
		fprintf(file, "%*sbackward at host TSC %" PRIu64 ": guest times from %" PRIu64 " to %" PRIu64
			" are ambiguous\n", NAME_WIDTH, "", vcpu->segments[i].host_tsc, from, to);
	}
	write_more(jumps, file);
}

static void write_vcpu(const struct show_report *report, const struct host_vm *vm, size_t i, FILE *file)
{
	const struct vcpu_history *vcpu = &vm->history.vcpus[i];
	struct vcpu_now now = show_report_current(vm, i);
	const char *before = "thread ";
	char name[32];

	snprintf(name, sizeof(name), "  vCPU %" PRIu32, vcpu->vcpu_id);
	fprintf(file, "%-*s ", NAME_WIDTH - 1, name);
	for (size_t t = 0; t < vm->nr_threads; t++) {
		if (vm->threads[t].vcpu_id != vcpu->vcpu_id)
			continue;
		fprintf(file, "%s%d", before, vm->threads[t].tid);
		before = ", ";
	}
	fprintf(file, "%s", *before == ',' ? ": " : "");
	if (vcpu->nr_segments)
		fprintf(file, "%zu %s", vcpu->nr_segments,
			plural(vcpu->nr_segments, "change", "changes"));
	else
		fprintf(file, "no change");
	if (vcpu->tsc_protected)
		fprintf(file, "; protected TSC");
	if (!now.known)
		fprintf(file, "; offset%s not known", vcpu->nr_segments ? " at the end" : "");
	else if (now.bound.estimated)
		fprintf(file, "; offset estimated as %" PRId64 ", %s %" PRIu64 " cycles", now.map.offset,
			estimate_words(&now.bound), now.bound.max_error);
	else if (show_report_is_live(report))
		fprintf(file, "; offset %" PRId64 " at host TSC %" PRIu64, now.map.offset, now.host_tsc);
	fprintf(file, "\n");
	write_doubts(vcpu, file);
}

static const char *known_by(const struct host_vm *vm)
{
	static const char *const texts[] = {
		[VM_BY_EVENT]		= "known by its events",
		[VM_BY_GUEST_OPTION]	= "known by trace-cmd (option GUEST)",
		[VM_BY_THREADS]		= "known by the order of its threads",
		[VM_BY_USER]		= "known by --vm",
		[VM_BY_PROCESS]		= "known by its process",
	};

	return texts[vm->evidence];
}

/* From the first to the last entry, which shows VMs in sequence */
static void write_lifetime(const struct show_report *report, const struct host_vm *vm, FILE *file)
{
	struct host_thread all = { 0 };

	for (size_t i = 0; i < vm->nr_threads; i++)
		host_thread_add_entries(&all, &vm->threads[i]);
	if (all.entries && !host_clock_went_back(&report->host->clock))
		fprintf(file, "%*sentered guest mode first at host TSC %" PRIu64 ", last at %" PRIu64 "\n",
			NAME_WIDTH, "", all.first, all.last);
}

static int write_boots(const struct host_vm *vm, FILE *file)
{
	struct vm_boots boots;
	int ret = vm_boots_find(&boots, &vm->history);

	for (size_t i = 0; !ret && i < boots.nr && i < MAX_LINES; i++)
		fprintf(file, "%*sboot %zu: %s at host TSC %" PRIu64 "\n", NAME_WIDTH, "", i + 1,
			vm_boot_word(boots.boots[i].kind), boots.boots[i].host_tsc);
	if (!ret)
		write_more(boots.nr, file);
	vm_boots_release(&boots);
	return ret;
}

static int write_vm(const struct show_report *report, const struct host_vm *vm, FILE *file)
{
	_cleanup_(freep) char *guest = sanitized(vm->guest_name ? vm->guest_name : "");
	size_t nr = vm->history.nr_vcpus;
	char name[HOST_VM_NAME_SIZE + 3];

	if (!guest)
		return -ENOMEM;
	snprintf(name, sizeof(name), "VM %s", vm->name);
	fprintf(file, "\n%-*s %s%s%s; %zu %s\n", NAME_WIDTH - 1, name, known_by(vm),
		*guest ? "; guest " : "", guest, nr, plural(nr, "vCPU", "vCPUs"));
	write_lifetime(report, vm, file);
	if (write_boots(vm, file))
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		write_vcpu(report, vm, i, file);
	write_changes(report, vm, file);
	return 0;
}

static void write_lost(const struct host *host, FILE *file)
{
	fprintf(file, "%-*s", NAME_WIDTH, "lost");
	if (!host->nr_lost) {
		fprintf(file, "nothing\n");
		return;
	}
	fprintf(file, "events in %zu %s:\n", host->nr_lost, plural(host->nr_lost, "place", "places"));
	for (size_t i = 0; i < host->nr_lost && i < MAX_LINES; i++) {
		fprintf(file, "%*s", NAME_WIDTH, "");
		if (host->lost[i].from)
			fprintf(file, "after host TSC %" PRIu64, host->lost[i].from);
		else
			fprintf(file, "from the beginning");
		if (host->lost[i].to < UINT64_MAX)
			fprintf(file, ", before host TSC %" PRIu64, host->lost[i].to);
		fprintf(file, "\n");
	}
	write_more(host->nr_lost, file);
}

static int write_buffer(const struct show_report *report, FILE *file)
{
	const struct host *host = report->host;
	_cleanup_(freep) char *name = NULL;

	if (!report->buffer) {
		fprintf(file, "%-*snone: no history\n", NAME_WIDTH, "buffer");
		return 0;
	}
	name = sanitized(report->buffer);
	if (!name)
		return -ENOMEM;
	fprintf(file, "%-*s", NAME_WIDTH, "buffer");
	if (*name)
		fprintf(file, "instance %s", name);
	else
		fprintf(file, "the top buffer");
	fprintf(file, "; %" PRIu64 " events, %zu %s of a TSC offset\n", host->nr_events,
		host->nr_offset_events, plural(host->nr_offset_events, "change", "changes"));
	return 0;
}

/**
 * history_table_write - write a report for people
 * @report: the report
 * @file: the output
 *
 * Returns: 0 or -ENOMEM.
 */
int history_table_write(const struct show_report *report, FILE *file)
{
	_cleanup_(freep) char *source = sanitized(report->source);
	uint64_t khz = (tsc_frequency_hz(&report->frequency) + 500) / 1000;
	const struct host_vm *vm = NULL;
	int ret;

	if (!source)
		return -ENOMEM;
	fprintf(file, "%-*s%s\n", NAME_WIDTH, show_report_is_live(report) ? "host" : "file",
		show_report_is_live(report) ? "this machine, now" : source);
	fprintf(file, "%-*s" TSC_CLOCK, NAME_WIDTH, "clock");
	if (khz)
		fprintf(file, ", %" PRIu64 ".%03" PRIu64 " MHz\n", khz / 1000, khz % 1000);
	else
		fprintf(file, "; frequency unknown\n");
	ret = write_buffer(report, file);
	if (report->buffer)
		write_lost(report->host, file);
	while (!ret && (vm = show_report_next_vm(report, vm)))
		ret = write_vm(report, vm, file);
	return ret;
}
