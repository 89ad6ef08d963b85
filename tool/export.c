// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset export: a host's recording and those of its guests in another program's format.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "export.h"
#include "findings.h"
#include "guest_file.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "input_file.h"
#include "message.h"
#include "number.h"
#include "options.h"
#include "output_file.h"
#include "perfetto_export.h"
#include "progress.h"
#include "show_report.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

/* What the command line asks for */
struct request {
	const char	*out;
	const char	*host_path;
	char		**guest_paths;
	size_t		nr_guests;
	const char	*vm;
	uint64_t	tsc_khz;
	bool		any_clock;
};

/* Everything that belongs to one run */
struct ctx {
	const struct request	*request;
	struct error		error;
	struct trace_dat	dat;
	struct host		host;
	struct host_times	host_times;
	struct host_vcpus	vcpus;
	struct guest_file	*guests;	/* owned */
	size_t			nr_guests;
	struct findings		findings;
};

static void print_help(void)
{
	printf("Usage: tsc-offset export [OPTIONS] --perfetto OUT HOST.dat GUEST.dat...\n"
	       "\n"
	       "Write a host's recording and those of its guests as one trace for the Perfetto\n"
	       "UI (https://ui.perfetto.dev opens it in the browser, nothing is sent to a\n"
	       "server): which threads the host's CPUs ran, when each vCPU was in guest mode,\n"
	       "what the guest did then, with each event as trace-cmd report -N prints it, and\n"
	       "the TSC offsets. All is on the host's time. A guest's times are those that\n"
	       "trace-cmd report shows, whichever tool synchronised the files. If the guest's\n"
	       "TSC jumped backward, or if its file is not synchronised, they are computed from\n"
	       "the history of the offsets. All files are recorded with -C x86-tsc, the host's\n"
	       "with -e kvm; -e sched shows what ran.\n"
	       "\n"
	       "      --perfetto OUT  what to write; a recording is not replaced\n"
	       "      --vm ID         the VM of the host's file, if the events do not decide it:\n"
	       "                      its name as show lists it, a thread of one of its vCPUs,\n"
	       "                      or all of these with commas; on the host itself, while it\n"
	       "                      runs, also its VMM's process\n"
	       "      --tsc-khz KHZ   frequency of the host's TSC. Without it cycles are\n"
	       "                      converted by option TSC2NSEC of the host's file, or else\n"
	       "                      each is shown as a nanosecond\n"
	       "      --any-clock     take the times for TSC values, whatever clock is named\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but events or their texts\n"
	       "are missing, or not all could be put on the host's time\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static int open_host(struct ctx *ctx)
{
	const struct request *request = ctx->request;
	int ret;

	ret = trace_dat_open(&ctx->dat, request->host_path, &ctx->error);
	if (!ret)
		ret = host_file_read(&ctx->host, &ctx->dat, NULL);
	if (!ret)
		ret = host_times_read(&ctx->host_times, &ctx->host);
	if (ret)
		return ret;
	host_findings_add(&ctx->findings, &ctx->host, NULL);
	if (ctx->host_times.ambiguous)
		return host_refuse_shown_twice(&ctx->host);
	if (!ctx->host.guest_modes)
		findings_doubt(&ctx->findings, FINDING_HOST_EVENTS,
			       "%s: no kvm_entry in it: when its VMs were in guest mode is not known; record the host with -C x86-tsc -e kvm",
			       request->host_path);
	return request->any_clock || !ctx->host.guest_modes ? 0 :
		input_file_check_clock(&ctx->dat, ctx->host.guest_modes);
}

static size_t nr_jumps(const struct guest_file *guest)
{
	size_t jumps = 0;

	for (size_t i = 0; guest->vm && i < guest->vm->history.nr_vcpus; i++)
		jumps += show_report_jumps(&guest->vm->history.vcpus[i]);
	return jumps;
}

/* What readers show is not the guest's time on the host, or cannot be: the host's history may have it */
static int place_guest(struct ctx *ctx, struct guest_file *guest)
{
	int ret;

	if (guest->rewritten || (guest->shown.has_shift && !nr_jumps(guest)))
		return 0;
	ret = guest_file_place(guest, &ctx->host, &ctx->vcpus, ctx->request->vm, ctx->request->any_clock, &ctx->findings);
	if (!ret && guest->placed && !guest->shown.has_shift)
		findings_note(&ctx->findings, FINDING_READERS,
			      "%s: not synchronised: its times are computed from the host's history of offsets",
			      guest->dat.path);
	return ret;
}

static void note_guest(struct ctx *ctx, const struct guest_file *guest)
{
	if (!guest->shown.has_shift && !guest->rewritten && !guest->placed)
		findings_doubt(&ctx->findings, FINDING_READERS,
			       "%s: readers do not correct its times, which are not the host's: synchronise it with tsc-offset stamp",
			       guest->dat.path);
	if (!guest_file_is_of(guest, &ctx->host))
		findings_doubt(&ctx->findings, FINDING_READERS,
			       "%s: its %s made for another recording of the host", guest->dat.path,
			       guest->rewritten ? "times were" : "TIME_SHIFT was");
	if (!shown_times_same_unit(&guest->shown, &ctx->host_times.shown))
		findings_doubt(&ctx->findings, FINDING_READERS,
			       "%s: readers convert its times and those of %s to nanoseconds by different numbers, or only one of them; here all are converted by the host's",
			       guest->dat.path, ctx->host.dat->path);
}

static int open_guests(struct ctx *ctx)
{
	const struct request *request = ctx->request;
	int ret = 0;

	ctx->guests = calloc(request->nr_guests + 1, sizeof(*ctx->guests));
	if (!ctx->guests)
		return error_set(&ctx->error, -ENOMEM, NULL, "no memory for %zu files", request->nr_guests);
	for (size_t i = 0; i < request->nr_guests && !ret; i++) {
		struct guest_file *guest = &ctx->guests[ctx->nr_guests++];

		ret = guest_file_open(guest, request->guest_paths[i], &ctx->host, &ctx->host_times, request->vm);
		if (!ret)
			ret = guest_file_find_vm(guest, &ctx->host, &ctx->vcpus, request->vm, request->any_clock);
		if (!ret)
			ret = place_guest(ctx, guest);
		if (!ret)
			note_guest(ctx, guest);
	}
	return ret;
}

static bool has_frequency(const struct ctx *ctx, struct tsc_frequency *frequency)
{
	if (ctx->request->tsc_khz)
		return tsc_frequency_of_khz(frequency, ctx->request->tsc_khz);
	return tsc2nsec_frequency(frequency, &ctx->dat);
}

/* What no correction can express, and what none is known for */
static void review_vm(struct ctx *ctx, const struct guest_file *guest)
{
	const struct host_vm *vm = guest->vm;
	size_t gaps = 0, jumps = guest->placed || guest->rewritten ? 0 : nr_jumps(guest);

	for (size_t i = 0; vm && i < vm->history.nr_vcpus; i++)
		gaps += show_report_gaps(&vm->history.vcpus[i]);
	if (gaps)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "VM %s: changes of its TSC offsets may be missing, in %zu %s: guest times after them may be wrong; tsc-offset show says where",
			       vm->name, gaps, gaps == 1 ? "place" : "places");
	if (jumps)
		findings_doubt(&ctx->findings, FINDING_BACKWARD,
			       "VM %s: its TSC moved backward, %zu times: some guest times are ambiguous and shown in the wrong place; tsc-offset show says which",
			       vm->name, jumps);
}

static void review(struct ctx *ctx, const struct perfetto_export *export)
{
	const char *path = ctx->request->out;

	message("%s: %" PRIu64 " events, %" PRIu64 " times in guest mode", path, export->events, export->slices);
	if (export->lost)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: events were lost in %" PRIu64 " %s, each is shown there as \"events lost\"", path,
			       export->lost, export->lost == 1 ? "place" : "places");
	if (export->unordered)
		findings_doubt(&ctx->findings, FINDING_TEXT,
			       "%s: %" PRIu64 " events have times that Perfetto cannot express: left out", path,
			       export->unordered);
	for (size_t i = 0; i < ctx->nr_guests; i++)
		review_vm(ctx, &ctx->guests[i]);
	if (export->untold)
		findings_doubt(&ctx->findings, FINDING_TEXT,
			       "%s: %" PRIu64 " events are without their text: the files' formats make it too long for what was recorded",
			       path, export->untold);
}

static int write_perfetto(struct ctx *ctx)
{
	_cleanup_(output_file_close) struct output_file output;
	struct progress progress;
	struct perfetto_export export = {
		.host = &ctx->host, .guests = ctx->guests, .nr_guests = ctx->nr_guests,
		.any_clock = ctx->request->any_clock, .progress = &progress, .findings = &ctx->findings,
	};
	int ret;

	ret = output_file_open(&output, ctx->request->out);
	if (ret)
		return ret;
	/* What was not for everybody to read is not now */
	output_file_restrict(&output, ctx->dat.fd);
	for (size_t i = 0; i < ctx->nr_guests; i++)
		output_file_restrict(&output, ctx->guests[i].dat.fd);
	if (!has_frequency(ctx, &export.frequency))
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: TSC frequency unknown, showing each cycle as a nanosecond; use --tsc-khz",
			      ctx->host.dat->path);
	findings_print(&ctx->findings);
	progress_begin(&progress, ctx->request->out, perfetto_export_bytes(&export));
	ret = perfetto_export_write(&export, output.stream);
	progress_end(&progress);
	if (ret && ferror(output.stream))
		error_set(&ctx->error, ret, ctx->request->out, "cannot be written: %s", strerror(-ret));
	if (!ret)
		ret = output_file_finish(&output);
	if (!ret)
		review(ctx, &export);
	return ret;
}

static enum exit_status export_files(const struct request *request)
{
	struct ctx ctx = { .request = request, .dat.fd = -1 };
	enum exit_status status;
	int ret;

	ret = open_host(&ctx);
	if (!ret)
		ret = open_guests(&ctx);
	if (!ret)
		ret = write_perfetto(&ctx);
	findings_print(&ctx.findings);
	if (ret && ctx.error.code)
		input_file_fail(&ctx.error);
	for (size_t i = 0; i < ctx.nr_guests; i++)
		guest_file_close(&ctx.guests[i]);
	free(ctx.guests);
	host_times_release(&ctx.host_times);
	host_vcpus_release(&ctx.vcpus);
	host_release(&ctx.host);
	trace_dat_close(&ctx.dat);
	status = ret ? EXIT_FAILED : ctx.findings.nr_doubts ? EXIT_INCOMPLETE : EXIT_DONE;
	findings_release(&ctx.findings);
	return status;
}

static int parse_khz(void *khz, const char *text)
{
	struct tsc_frequency frequency;

	return number_parse(text, khz) && tsc_frequency_of_khz(&frequency, *(uint64_t *)khz) ? 0 : -EINVAL;
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { 0 };
	const struct verb_options options = {
		.verb = "export", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 2, .repeats = true,
		.options = {
			{ "perfetto", .string = &request.out, .needed = "OUT" },
			{ "vm", .string = &request.vm, .max_operands = 2 },
			{ "tsc-khz", .parse = parse_khz, .value = &request.tsc_khz,
			  .wants = "the frequency of a TSC in kHz" },
			{ "any-clock", .flag = &request.any_clock },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.host_path = argv[0];
	request.guest_paths = argv + 1;
	request.nr_guests = (size_t)argc - 1;
	return export_files(&request);
}

const struct verb export_verb = {
	.name		= "export",
	.summary	= "a host's recording and its guests' in one trace for Perfetto",
	.run		= run,
};
