// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset explain: print where the time of vCPUs and of guests' tasks went.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "default_files.h"
#include "explain.h"
#include "explain_choice.h"
#include "explain_json.h"
#include "explain_table.h"
#include "explanation.h"
#include "findings.h"
#include "merged_recording.h"
#include "message.h"
#include "options.h"
#include "progress.h"

/* The command line */
struct request {
	struct merged_request	files;
	struct explain_request	explain;
	uint64_t		vcpu;
	uint64_t		worst;
	uint64_t		tsc_khz;
	bool			json;
};

/* The data of one run */
struct ctx {
	const struct request	*request;
	struct merged_recording	recording;
	struct explanation	explanation;
	struct findings		findings;
};

/* Instead of a vcpu_id: all vCPUs */
#define ALL_VCPUS	UINT64_MAX

static void print_help(void)
{
	printf("Usage: tsc-offset explain [OPTIONS] [HOST.dat [GUEST.dat...]]\n"
	       "\n"
	       "Print where the time of vCPUs and of guests' tasks went: how much exits cost\n"
	       "each task, which threads took the CPUs of the vCPUs, where wake-ups wait, and\n"
	       "how long each task was in guest mode, in exits, stolen and halted. For each\n"
	       "vCPU, guest mode, exits, stolen, halted and unknown sum to the wall time.\n"
	       "\n"
	       "Record all files with -C x86-tsc -e sched, and the host's with -e kvm --tsc2nsec\n"
	       "as well. If the host recorded -e kvm alone, the exits are listed, but their time\n"
	       "is not divided. Guests' events are converted to host times as by export.\n"
	       "Without files, use trace.dat in this directory and its guests' trace-*.dat, or\n"
	       "host.dat, guest.dat and guest-*.dat if there is no trace.dat.\n"
	       "\n"
	       "      --task NAME|PID  show only this task of the guests\n"
	       "      --vcpu N         show only vCPUs with KVM's vcpu_id N\n"
	       "      --worst N        list the N longest exits, stolen times and wake-ups, with\n"
	       "                       host times as trace-cmd report --raw-ts shows them\n"
	       "                       (maximum: %d)\n"
	       "      --vm ID          use this VM of the host's file, if the events do not\n"
	       "                       decide: its name as show lists it, the thread of one of\n"
	       "                       its vCPUs, or all of these threads, separated by commas;\n"
	       "                       on the host, while the VM runs, also its VMM's process\n"
	       "      --tsc-khz KHZ    use this frequency of the host's TSC (default: that in\n"
	       "                       the host's file, which trace-cmd record --tsc2nsec\n"
	       "                       writes; if it has none, all times are in cycles)\n"
	       "      --any-clock      assume TSC values, whatever clock the files name\n"
	       "      --json           print one JSON object, with all rows for each vCPU\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but events are missing, or\n"
	       "some events do not have exact host times\n",
	       EXPLAIN_MAX_WORST, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static void review(struct ctx *ctx)
{
	const struct explanation *explanation = &ctx->explanation;
	const char *path = ctx->request->files.host_path;
	size_t unswitched = vcpu_states_unswitched(&explanation->states);

	if (explanation->nr_lost)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: events were lost in %" PRIu64 " %s of these files: the times there are \"unknown\"",
			       path, explanation->nr_lost, explanation->nr_lost == 1 ? "place" : "places");
	if (explanation->nr_untold)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: by the kernel's counts %" PRIu64 " events of these files were lost at unknown times: any time may be wrong",
			       path, explanation->nr_untold);
	if (explanation->nr_unreadable)
		findings_doubt(&ctx->findings, FINDING_TEXT, "%s: %" PRIu64 " events of these files do not fit their formats: left out",
			       path, explanation->nr_unreadable);
	if (explanation->states.nr_missing)
		findings_doubt(&ctx->findings, FINDING_HOST_EVENTS,
			       "%s: sched events are missing in %" PRIu64 " places: was a filter used? The times around them may be wrong",
			       path, explanation->states.nr_missing);
	if (explanation->nr_guest_missing)
		findings_doubt(&ctx->findings, FINDING_HOST_EVENTS,
			       "%s: sched events of its guests are missing in %" PRIu64 " places: was a filter used? The times of their tasks may be wrong",
			       path, explanation->nr_guest_missing);
	if (explanation->states.nr_unwoken)
		findings_doubt(&ctx->findings, FINDING_HOST_EVENTS,
			       "%s: %" PRIu64 " times a vCPU's thread slept without a sched_waking after it: its wait for a CPU counts as halted or as exit, not as stolen; record the host with -e sched",
			       path, explanation->states.nr_unwoken);
	if (unswitched)
		findings_doubt(&ctx->findings, FINDING_HOST_EVENTS,
			       "%s: vCPUs halted on %zu %s without a sched_switch: was a filter used? Halted and stolen times there count as exits",
			       path, unswitched, unswitched == 1 ? "CPU" : "CPUs");
	if (explanation->states.nr_late)
		findings_note(&ctx->findings, FINDING_HOST_EVENTS,
			      "%s: %" PRIu64 " times a thread was switched out before its kvm_exit was recorded: the time up to the kvm_exit counts as guest mode",
			      path, explanation->states.nr_late);
	merged_recording_review(&ctx->recording);
}

static int answer(struct ctx *ctx)
{
	const struct request *request = ctx->request;
	int ret;

	if (!explanation_adds_up(&ctx->explanation))
		return error_set(&ctx->recording.error, -EPROTO, request->files.host_path,
				 "the sums do not agree with the wall time: this is a bug in tsc-offset");
	if (request->json)
		ret = explain_json_write(&ctx->explanation, &ctx->findings, stdout);
	else
		ret = explain_table_write(&ctx->explanation, stdout);
	if (ret == -ENOMEM)
		error_set(&ctx->recording.error, ret, request->files.host_path, "no memory");
	return ret;
}

static int explain(struct ctx *ctx, struct explain_request *explain)
{
	const struct request *request = ctx->request;
	struct progress progress;
	int ret;

	if (!merged_recording_frequency(&ctx->recording, request->tsc_khz, &explain->frequency))
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: TSC frequency unknown, all times are cycles; use --tsc-khz",
			      request->files.host_path);
	progress_begin(&progress, request->files.host_path, merged_recording_bytes(&ctx->recording));
	ret = explanation_make(&ctx->explanation, &ctx->recording, explain, &progress);
	progress_end(&progress);
	if (ret)
		return ret;
	/* All later times have this value */
	if (ctx->explanation.end.ns == UINT64_MAX)
		return error_set(&ctx->recording.error, -EOVERFLOW, request->files.host_path,
				 "its times are more nanoseconds than 64 bits hold; --tsc-khz requires the frequency of the host's TSC in kHz");
	review(ctx);
	ret = explain_choice_check(&ctx->explanation);
	if (ret)
		return error_keep(&ctx->recording.error, ret, request->files.host_path);
	return answer(ctx);
}

static enum exit_status explain_files(struct request *request)
{
	struct ctx ctx = { .request = request };
	enum exit_status status;
	int ret;

	ret = merged_recording_open(&ctx.recording, &request->files, &ctx.findings);
	if (!ret)
		ret = explain(&ctx, &request->explain);
	status = verb_end(ret, &ctx.recording.error, &ctx.findings);
	explanation_release(&ctx.explanation);
	merged_recording_close(&ctx.recording);
	return status;
}

static enum exit_status run(int argc, char **argv)
{
	_cleanup_(default_files_release) struct default_files files = { 0 };
	struct request request = { .vcpu = ALL_VCPUS, .explain.max_keys = SUM_TABLE_MAX };
	const struct verb_options options = {
		.verb = "explain", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 1, .repeats = true,
		.files = &files,
		.options = {
			{ "task", .string = &request.explain.filter.task },
			{ "vcpu", .number = &request.vcpu, .max = UINT32_MAX, .wants = "KVM's number of a vCPU" },
			{ "worst", .number = &request.worst, .min = 1, .max = EXPLAIN_MAX_WORST,
			  .wants = "a number from 1 to " OPTION_TEXT(EXPLAIN_MAX_WORST) },
			{ "vm", .string = &request.files.vm, .min_operands = 2, .max_operands = 2 },
			{ "tsc-khz", .parse = merged_recording_parse_khz, .value = &request.tsc_khz,
			  .wants = "the frequency of a TSC in kHz" },
			{ "any-clock", .flag = &request.files.any_clock },
			{ "json", .flag = &request.json },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.files.host_path = argv[0];
	request.files.guest_paths = argv + 1;
	request.files.nr_guests = (size_t)argc - 1;
	request.explain.any_vcpu = request.vcpu == ALL_VCPUS;
	request.explain.vcpu = (uint32_t)request.vcpu;
	request.explain.filter.worst = request.worst;
	return explain_files(&request);
}

const struct verb explain_verb = {
	.name		= "explain",
	.summary	= "print where the time of vCPUs and of guests' tasks went",
	.run		= run,
};
