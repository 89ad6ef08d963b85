// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>

#include "findings.h"
#include "guest_fit.h"
#include "host_choice.h"
#include "host.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "trace_dat.h"
#include "tsc_clock.h"

#define SHOWN_TWICE "readers show some of its times twice: the place of a guest's events among them is unknown"

/* Any process with access to trace_marker can have written them */
static void add_marks(struct findings *findings, const struct host *host)
{
	const struct host_marks *marks = &host->marks;
	const char *path = host->dat->path;

	if (marks->nr && !host->reports_changes)
		findings_doubt(findings, FINDING_HISTORY,
			       "%s: changes of offsets were not recorded: the offsets of tsc-offset mark may have changed later; record the host with -e kvm",
			       path);
	if (marks->nr_wrong)
		findings_doubt(findings, FINDING_OFFSET,
			       "%s: %" PRIu64 " lines of tsc-offset mark contradict the events, the first has offset %" PRId64 " for vCPU %" PRIu32 " of VM %d-%d: using the events",
			       path, marks->nr_wrong, marks->wrong.map.offset, marks->wrong.vcpu_id,
			       marks->wrong.vm_pid, marks->wrong.vm_fd);
	if (marks->nr_foreign)
		findings_doubt(findings, FINDING_HISTORY,
			       "%s: %" PRIu64 " lines of tsc-offset mark are of vCPUs without a change, but threads that run no vCPU changed offsets, maybe theirs: tsc-offset record records which VM each change belongs to",
			       path, marks->nr_foreign);
	/* A file that shows one VM may be another guest's, and without kvm_entry nothing disproves it */
	if (marks->nr_unshown && !host->guest_modes)
		findings_doubt(findings, FINDING_VM,
			       "%s: %" PRIu64 " lines of tsc-offset mark are of vCPUs that nothing else in it shows: a guest may be another VM than it seems; record the host with -e kvm",
			       path, marks->nr_unshown);
	if (marks->nr_early)
		findings_doubt(findings, FINDING_OFFSET,
			       "%s: the offsets of %" PRIu64 " vCPUs were marked before the recording began; later changes up to its beginning are unknown",
			       path, marks->nr_early);
	if (marks->nr_unknown)
		findings_note(findings, FINDING_OFFSET,
			      "%s: ignoring %" PRIu64 " lines of another version of tsc-offset mark", path,
			      marks->nr_unknown);
	if (marks->nr_bad)
		findings_note(findings, FINDING_OFFSET,
			      "%s: ignoring %" PRIu64 " lines that begin like those of tsc-offset mark, but have another format or a wrong time",
			      path, marks->nr_bad);
	if (marks->nr_excess)
		findings_note(findings, FINDING_OFFSET, "%s: more than %u lines of tsc-offset mark: ignoring the rest",
			      path, HOST_MARKS_MAX);
}

/**
 * host_findings_add - add doubts about a host's file
 * @findings: the list
 * @host: the host
 * @vcpus: its vCPUs, NULL or all zeros if they were not read
 */
void host_findings_add(struct findings *findings, const struct host *host, const struct host_vcpus *vcpus)
{
	const struct host_clock *clock = &host->clock;

	for (size_t i = 1; i < clock->nr_epochs; i++)
		findings_doubt(findings, FINDING_HOST_CLOCK,
			       "%s: the host's own TSC went back, from %" PRIu64 " to %" PRIu64 ": did the host sleep? Readers show later events among earlier ones",
			       host->dat->path, clock->epochs[i - 1].last, clock->epochs[i].first);
	add_marks(findings, host);
	if (host->missed)
		findings_doubt(findings, FINDING_HISTORY,
			       "%s: ignoring changes of offsets in %s%s, whose clock is not " TSC_CLOCK ": record all buffers with -C " TSC_CLOCK,
			       host->dat->path, *host->missed->name ? "instance " : "the top buffer",
			       host->missed->name);
	if (vcpus && host_vcpus_lack_exits(vcpus))
		findings_doubt(findings, FINDING_HOST_EVENTS, "%s: kvm_exit is missing after %" PRIu64 " of %" PRIu64
			       " kvm_entry: was it recorded with a filter? Nothing between such entries can be proved",
			       host->dat->path, vcpus->missing_exits, vcpus->nr_entries);
}

/**
 * host_doubt_shown_twice - add the doubt that readers show some of a host's times twice
 * @findings: the list
 * @host: the host
 */
void host_doubt_shown_twice(struct findings *findings, const struct host *host)
{
	findings_doubt(findings, FINDING_HOST_CLOCK, "%s: " SHOWN_TWICE, host->dat->path);
}

/**
 * host_refuse_shown_twice - set the error that readers show some of a host's times twice
 * @host: the host
 *
 * Returns: -ERANGE
 */
int host_refuse_shown_twice(const struct host *host)
{
	return trace_dat_refuse(host->dat, -ERANGE, SHOWN_TWICE);
}

/**
 * host_refuse_vms - set the error that nothing decides which VM a guest is, with the candidates
 * @host: the host
 * @fit: the result of the fit
 * @guest_path: path of the guest's file
 *
 * Returns: -ENOENT
 */
int host_refuse_vms(const struct host *host, const struct guest_fit *fit, const char *guest_path)
{
	char list[ERROR_TEXT_SIZE] = "";

	host_list_vms(host, list, sizeof(list));
	return error_set(host->dat->error, -ENOENT, guest_path,
			 "%s%s%s; there are %zu VMs in %s, choose one with --vm%s",
			 fit->tally.inside ? "VM " : "cannot determine its VM", fit->tally.inside ? fit->vm->name : "",
			 fit->tally.inside ? " and others fit equally" : "", host->nr_vms, host->dat->path, list);
}
