// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset show: the history of offsets, from a host's file or from this machine.
 *
 * Data go to stdout, missing data and doubts to stderr and into the exit status.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot_instance.h"
#include "cleanup.h"
#include "default_files.h"
#include "event.h"
#include "findings.h"
#include "history_svg.h"
#include "history_table.h"
#include "history_tsv.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_frequency.h"
#include "host_vms.h"
#include "initial_estimate.h"
#include "input_file.h"
#include "live_host.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "show.h"
#include "show_estimate.h"
#include "show_report.h"
#include "snapshot.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

/* The command line */
struct request {
	const char		*path;
	const char		*vm;
	const char		*estimate;
	struct estimate_limit	max_error;
	const char		*svg_path;
	bool			json;
	bool			tsv;
	bool			any_clock;
};

static void print_help(void)
{
	printf("Usage: tsc-offset show [OPTIONS] [HOST.dat]\n"
	       "\n"
	       "Print the TSC offsets of a host's VMs, vCPU by vCPU, with all their changes.\n"
	       "With a file, they are those in a recording of the host (-C x86-tsc -e kvm).\n"
	       "Without a file, they are those of the VMs that run on this machine, from the\n"
	       "instance " BOOT_INSTANCE " (see tsc-offset instance -h) and KVM's debugfs. show\n"
	       "does not read a trace.dat that is not named.\n"
	       "\n"
	       "      --vm ID      show only this VM: its name as show lists it, or the thread\n"
	       "                   of one of its vCPUs; for a file, also all of these threads,\n"
	       "                   separated by commas; on the host, while the VM runs, also\n"
	       "                   its VMM's process\n"
	       "      --json       print one JSON object; printed without a file, it can be\n"
	       "                   saved for stamp --initial-from and a later recording\n"
	       "      --tsv        print a table with tabs, a row for each change:\n"
	       "                     tsc-offset show --tsv HOST.dat > offsets.tsv\n"
	       "                     gnuplot -p -e 'plot \"offsets.tsv\" using 4:7 with points'\n"
	       "                   (column 5 has seconds, if the file has the frequency)\n"
	       "      --svg FILE   write a picture of the offsets over time, with a tooltip for\n"
	       "                   each change, shaded where changes may be missing\n"
	       "      --estimate GUEST.dat\n"
	       "                   estimate the offsets that are unknown: find those with which\n"
	       "                   the events of this guest are in guest mode, and how far they\n"
	       "                   may be wrong; with --json, a file for stamp --initial-from\n"
	       "      --max-error ERROR\n"
	       "                   refuse estimates that may be wrong by more: 1ms (the\n"
	       "                   default), 50us, or cycles without a unit\n"
	       "      --any-clock  assume TSC values, whatever clock the file names\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but changes may be\n"
	       "missing, or a TSC jumped backward without a reset, which makes guest times\n"
	       "ambiguous, or some events of a guest do not fit an estimate\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static int write_picture(const struct show_report *report, const char *path)
{
	_cleanup_(output_file_close) struct output_file output;
	int ret;

	if (host_clock_went_back(&report->host->clock)) {
		message("%s: its times go back: --svg cannot show them on one timeline", report->source);
		return -ERANGE;
	}
	ret = output_file_open(&output, path);
	if (ret)
		return ret;
	ret = history_svg_write(report, output.stream);
	if (ret) {
		message("%s: %s", path, strerror(-ret));
		return ret;
	}
	return output_file_finish(&output);
}

static int write_report(const struct show_report *report, const struct request *request)
{
	int ret = 0;

	if (request->svg_path)
		return write_picture(report, request->svg_path);
	if (request->json)
		ret = snapshot_write(report, stdout);
	else if (request->tsv)
		history_tsv_write(report, stdout);
	else
		ret = history_table_write(report, stdout);
	/* Findings come after it */
	fflush(stdout);
	/* main() reports failed writes to stdout */
	if (ret == -ENOMEM)
		message("%s: %s", report->source, strerror(-ret));
	return ret;
}

static void review_vm(struct findings *findings, const struct host_vm *vm)
{
	size_t with_gaps = 0, with_jumps = 0;

	for (size_t i = 0; i < vm->history.nr_vcpus; i++) {
		with_gaps += show_report_gaps(&vm->history.vcpus[i]) != 0;
		with_jumps += show_report_jumps(&vm->history.vcpus[i]) != 0;
	}
	if (with_gaps)
		findings_doubt(findings, FINDING_HISTORY,
			       "VM %s: history incomplete: changes of %zu of its %zu vCPUs may be missing", vm->name,
			       with_gaps, vm->history.nr_vcpus);
	if (with_jumps)
		findings_doubt(findings, FINDING_BACKWARD,
			       "VM %s: the TSC of %zu of its %zu vCPUs moved backward: guest times are ambiguous, the table and --json say which",
			       vm->name, with_jumps, vm->history.nr_vcpus);
}

/* Several VMs, one of which is known only by the order in which VMMs start threads */
static void review_grouping(struct findings *findings, const struct show_report *report)
{
	const struct host_vm *vm = NULL;
	char list[4096] = "";
	bool guessed = false;

	while ((vm = show_report_next_vm(report, vm)))
		guessed |= vm->evidence == VM_BY_THREADS;
	if (report->only || report->host->nr_vms < 2 || !guessed)
		return;
	host_list_vms(report->host, list, sizeof(list));
	findings_note(findings, FINDING_VM,
		      "%s: which threads belong to one VM is known from their order only%s; use --vm THREAD,THREAD... to name those of one",
		      report->source, list);
}

static void review(struct findings *findings, const struct show_report *report)
{
	const struct host_vm *vm = NULL;

	if (!show_report_is_live(report))
		host_findings_add(findings, report->host, NULL);
	if (report->host->nr_lost)
		findings_note(findings, FINDING_HISTORY,
			      "%s: history incomplete: the ring buffer lost events in %zu %s", report->source,
			      report->host->nr_lost, report->host->nr_lost == 1 ? "place" : "places");
	while ((vm = show_report_next_vm(report, vm)))
		review_vm(findings, vm);
	review_grouping(findings, report);
}

static enum exit_status show(struct show_report *report, struct host *host, const struct request *request,
			     struct findings *findings)
{
	struct error error = { 0 };
	int ret;

	if (request->vm && !report->only) {
		report->only = host_choose_vm(host, request->vm, 0, &error);
		if (!report->only) {
			error.path = report->source;
			input_file_fail(&error);
			return EXIT_FAILED;
		}
	}
	show_report_complete(report);
	review(findings, report);
	report->findings = findings;
	ret = write_report(report, request);
	if (ret)
		return EXIT_FAILED;
	findings_print(findings);
	return report->complete && !findings->nr_doubts ? EXIT_DONE : EXIT_INCOMPLETE;
}

static int check_clock(const struct host *host, const struct request *request)
{
	const struct trace_dat_buffer *buffer = host->offsets ? host->offsets : host->guest_modes;

	return request->any_clock ? 0 : input_file_check_clock(host->dat, buffer);
}

/* Could a change have been recorded? */
static bool has_event(struct findings *findings, struct trace_dat *dat)
{
	char *text = NULL;
	size_t size;
	int ret = trace_dat_event_format(dat, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT, &text, &size);

	free(text);
	if (ret != -ENOENT)
		return true;
	findings_doubt(findings, FINDING_HISTORY,
		       "%s: " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT " was not recorded: no change is known; record with -e " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT,
		       dat->path);
	return false;
}

static int add_estimate(struct show_report *report, struct host *host, const struct request *request,
			struct findings *findings)
{
	const struct estimate_request estimate = {
		.guest_path = request->estimate, .vm = request->vm, .limit = &request->max_error,
		.any_clock = request->any_clock,
	};
	struct host_vm *vm;
	int ret;

	if (!request->estimate)
		return 0;
	ret = show_estimate(host, &estimate, &vm, findings);
	/* Choosing it again would make another VM of a list of threads */
	if (!ret && request->vm)
		report->only = vm;
	return ret;
}

static enum exit_status show_file(const struct request *request)
{
	struct host host = { 0 };
	enum exit_status status = EXIT_FAILED;
	struct error error = { 0 };
	struct trace_dat dat;
	struct show_report report = { .source = request->path, .host = &host };
	struct findings findings = { 0 };
	int ret;

	ret = trace_dat_open(&dat, request->path, &error);
	if (!ret)
		ret = host_file_read(&host, &dat, NULL);
	if (!ret && !host.nr_vms)
		ret = trace_dat_refuse(&dat, -ENOENT,
				       "there is no VM in it: neither " TSC_OFFSET_EVENT " nor kvm_entry; record the host with -e kvm, or is this a guest's file?");
	if (!ret)
		ret = check_clock(&host, request);
	if (!ret)
		ret = add_estimate(&report, &host, request, &findings);
	if (ret) {
		findings_print(&findings);
		input_file_fail(&error);
	} else {
		report.buffer = host.offsets ? host.offsets->name : host.guest_modes->name;
		report.complete = host.nr_offset_events || has_event(&findings, &dat);
		tsc2nsec_frequency(&report.frequency, &dat);
		host_vms_use_tsc(&host);
		status = show(&report, &host, request, &findings);
	}
	findings_release(&findings);
	host_release(&host);
	trace_dat_close(&dat);
	return status;
}

static enum exit_status show_live(const struct request *request)
{
	struct live_host live;
	enum exit_status status = EXIT_FAILED;
	struct show_report report = { .source = SOURCE_LIVE, .host = &live.host };
	int ret;

	ret = live_host_read(&live);
	if (ret || (!live.host.nr_vms && request->vm))
		findings_print(&live.findings);
	if (ret && ret != -ENODATA)
		message("cannot read this machine's VMs: %s", strerror(-ret));
	if (!ret && !live.host.nr_vms) {
		message("no VM runs on this machine");
		status = request->vm ? EXIT_FAILED : EXIT_DONE;
	}
	if (!ret && (live.host.nr_vms || !request->vm)) {
		report.buffer = live.has_history ? BOOT_INSTANCE : NULL;
		report.complete = live.complete;
		host_frequency_read(&report.frequency);
		status = show(&report, &live.host, request, &live.findings);
	}
	if ((ret || !live.host.nr_vms) && default_files_host())
		message("without a file, show is about the running machine; for the recording in this directory: tsc-offset show %s",
			default_files_host());
	live_host_release(&live);
	return status;
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { .max_error = ESTIMATE_LIMIT_DEFAULT };
	const struct verb_options options = {
		.verb = "show", .operands = { "HOST.dat" },
		.options = {
			{ "vm", .string = &request.vm },
			{ "json", .flag = &request.json, .excludes = "tsv" },
			{ "tsv", .flag = &request.tsv, .excludes = "svg" },
			{ "svg", .string = &request.svg_path, .excludes = "json" },
			{ "estimate", .string = &request.estimate, .min_operands = 1 },
			{ "max-error", .parse = estimate_limit_parse, .value = &request.max_error,
			  .wants = ESTIMATE_LIMIT_WANTS, .requires = "estimate" },
			{ "any-clock", .flag = &request.any_clock, .min_operands = 1 },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.path = argv[0];
	if (request.path)
		return show_file(&request);
	if (request.svg_path && input_file_is_recording(request.svg_path))
		return misuse("show", "--svg requires a file name before HOST.dat, '%s' is a recording",
			      request.svg_path);
	/* A list regroups a file's threads; here their processes are known */
	if (request.vm && strchr(request.vm, ','))
		return misuse("show", "without HOST.dat, --vm requires one number, not '%s'", request.vm);
	return show_live(&request);
}

const struct verb show_verb = {
	.name		= "show",
	.summary	= "print the history of the offsets, of a recording or of this machine",
	.run		= run,
};
