// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>

#include "check_table.h"
#include "cleanup.h"
#include "color.h"
#include "error_bound.h"
#include "guest_check.h"
#include "host.h"
#include "sanitize.h"

/* "-41000 to +47000": how far all events may be moved */
static void write_bound(const struct guest_mode_cpu *cpu, FILE *file)
{
	if (cpu->counts.violations || !cpu->counts.inside) {
		fprintf(file, "  -\n");
		return;
	}
	fprintf(file, "  -%" PRIu64 " to ", cpu->earlier);
	if (cpu->later == GUEST_MODE_NO_LIMIT)
		fprintf(file, "?\n");
	else
		fprintf(file, "+%" PRIu64 "\n", cpu->later);
}

static void write_span(const struct guest_mode_span *span, FILE *file)
{
	if (span->entry)
		fprintf(file, "%" PRIu64 " to ", span->entry);
	else
		fprintf(file, "? to ");
	if (span->exit)
		fprintf(file, "%" PRIu64, span->exit);
	else
		fprintf(file, "?");
}

static void write_violations(const struct guest_mode_cpu *cpu, FILE *file)
{
	if (!cpu->nr_listed)
		return;
	fprintf(file, "CPU %u, the first %zu of %" PRIu64 " violations:\n", cpu->cpu,
		cpu->nr_listed, cpu->counts.violations);
	for (size_t i = 0; i < cpu->nr_listed; i++) {
		const struct guest_mode_violation *violation = &cpu->listed[i];

		fprintf(file, "  guest %" PRIu64 " shown at %" PRIu64 ": ", violation->guest_tsc, violation->host_tsc);
		if (violation->impossible) {
			fprintf(file, "the vCPU's TSC never had this value on this host\n");
			continue;
		}
		if (violation->before.exit)
			fprintf(file, "%" PRIu64 " after kvm_exit", violation->host_tsc - violation->before.exit);
		if (violation->after.entry)
			fprintf(file, "%s%" PRIu64 " before kvm_entry", violation->before.exit ? ", " : "",
				violation->after.entry - violation->host_tsc);
		fprintf(file, "; in guest mode ");
		write_span(&violation->before, file);
		fprintf(file, " and ");
		write_span(&violation->after, file);
		fprintf(file, "\n");
	}
}

static void write_buffer(const struct guest_mode_buffer *buffer, FILE *file)
{
	_cleanup_(freep) char *name = sanitized(buffer->buffer->name);

	if (*buffer->buffer->name)
		fprintf(file, "instance %s\n", name ? name : "?");
	fprintf(file, "  CPU  vCPU       events       inside   violations      outside not provable"
		      "  slack (cycles)\n");
	for (size_t i = 0; i < buffer->nr_cpus; i++) {
		const struct guest_mode_cpu *cpu = &buffer->cpus[i];
		const struct guest_mode_counts *counts = &cpu->counts;
		char vcpu[16] = "-";

		if (cpu->has_vcpu)
			snprintf(vcpu, sizeof(vcpu), "%u", cpu->vcpu_id);
		fprintf(file,
			"%5u %5s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64
			" %12" PRIu64,
			cpu->cpu, vcpu, counts->events, counts->inside, counts->violations, counts->outside,
			counts->unprovable);
		write_bound(cpu, file);
	}
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		write_violations(&buffer->cpus[i], file);
}

/* The table has it in cycles */
static void write_slack(const struct guest_check *check, FILE *file)
{
	char text[ERROR_BOUND_SIZE];
	uint64_t cycles;

	if (check->frequency.mult && guest_check_slack(check, &cycles))
		fprintf(file, "; slack at most %s", error_bound_text(cycles, &check->frequency, text));
}

static void write_verdict(const struct guest_check *check, FILE *file)
{
	struct guest_mode_counts sums = guest_check_sums(check);
	_cleanup_(freep) char *printed = sanitized(check->guest.dat.path);
	const char *path = printed ? printed : "?";

	switch (guest_check_verdict(check)) {
	case GUEST_FITS:
		fprintf(file, "%s: %sfits%s: %" PRIu64 " of %" PRIu64 " events are in guest mode",
			path, color_begin(COLOR_GOOD, file), color_end(file), sums.inside, sums.events);
		if (sums.outside)
			fprintf(file, ", %" PRIu64 " outside of what the host recorded",
				sums.outside);
		if (sums.unprovable)
			fprintf(file, ", %" PRIu64 " cannot be proved", sums.unprovable);
		write_slack(check, file);
		fprintf(file, "\n");
		break;
	case GUEST_VIOLATES:
		fprintf(file, "%s: %s%" PRIu64 " violations%s", path, color_begin(COLOR_BAD, file), sums.violations,
			color_end(file));
		if (sums.impossible)
			fprintf(file, ", %" PRIu64 " of them at guest times that the TSC never had on this host",
				sums.impossible);
		fprintf(file, "\n");
		break;
	case GUEST_OUTSIDE:
		fprintf(file, "%s: %sproves little%s: %" PRIu64 " of %" PRIu64 " events are outside of what the host "
			"recorded, %" PRIu64 " in guest mode\n", path, color_begin(COLOR_DOUBT, file), color_end(file),
			sums.outside, sums.events, sums.inside);
		break;
	case GUEST_NOT_PROVABLE:
		fprintf(file, "%s: %snothing can be proved%s%s\n", path, color_begin(COLOR_DOUBT, file),
			color_end(file), sums.inside ? " of one of its buffers" : "");
		break;
	}
}

/**
 * check_table_write - write the result of a guest's file for people
 * @check: a finished check
 * @host_path: the host's file
 * @file: the output
 */
void check_table_write(const struct guest_check *check, const char *host_path, FILE *file)
{
	const struct guest_mode_check *result = &check->result;
	_cleanup_(freep) char *guest = sanitized(check->guest.dat.path);
	_cleanup_(freep) char *host = sanitized(host_path);

	write_verdict(check, file);
	fprintf(file, "%s: %s of %s, ", guest ? guest : "?", check->guest.fit.name ? check->guest.fit.name : "no VM",
		host ? host : "?");
	if (check->guest.rewritten)
		fprintf(file, "rewritten with host times\n");
	else if (!check->guest.shown.has_shift)
		fprintf(file, "without TIME_SHIFT\n");
	else
		fprintf(file, "TIME_SHIFT with %s\n",
			check->guest.shown.shift.interpolate ? "interpolation" : "steps");
	for (size_t i = 0; i < result->nr_buffers; i++) {
		if (result->buffers[i].nr_cpus)
			write_buffer(&result->buffers[i], file);
	}
}
