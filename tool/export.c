// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset export: write the recordings of a host and its guests in another program's format.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "default_files.h"
#include "export.h"
#include "findings.h"
#include "merged_recording.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "perfetto_export.h"
#include "progress.h"

/* The command line */
struct request {
	const char		*out;
	struct merged_request	files;
	uint64_t		tsc_khz;
};

/* The data of one run */
struct ctx {
	const struct request	*request;
	struct merged_recording	recording;
	struct findings		findings;
};

static void print_help(void)
{
	printf("Usage: tsc-offset export [OPTIONS] --perfetto OUT [HOST.dat GUEST.dat...]\n"
	       "\n"
	       "Write host and guests into one trace for the Perfetto UI, which opens it in the\n"
	       "browser and sends nothing to a server: https://ui.perfetto.dev\n"
	       "The trace looks as if Perfetto had recorded host and guests itself: each is a\n"
	       "machine with its events, its threads and their states. Slices show when each\n"
	       "vCPU was in guest mode and why guest mode ended. Counters show the TSC offsets.\n"
	       "\n"
	       "All times are the host's. The times of guests are those that trace-cmd report\n"
	       "shows, whichever tool synchronised the files. If a guest's TSC jumped backward,\n"
	       "or if its file is not synchronised, its times are computed from the history of\n"
	       "the offsets. Record all files with -C x86-tsc, and the host's with -e kvm and\n"
	       "--tsc2nsec. With -e sched, the trace shows which threads ran.\n"
	       "Without files, use trace.dat in this directory and its guests' trace-*.dat, or\n"
	       "host.dat, guest.dat and guest-*.dat if there is no trace.dat.\n"
	       "\n"
	       "      --perfetto OUT  write the trace to OUT; a recording is not replaced\n"
	       "      --vm ID         use this VM of the host's file, if the events do not\n"
	       "                      decide: its name as show lists it, the thread of one of\n"
	       "                      its vCPUs, or all of these threads, separated by commas;\n"
	       "                      on the host, while the VM runs, also its VMM's process\n"
	       "      --tsc-khz KHZ   use this frequency of the host's TSC (default: that in the\n"
	       "                      host's file, which trace-cmd record --tsc2nsec writes; if\n"
	       "                      it has none, each cycle is shown as a nanosecond)\n"
	       "      --any-clock     assume TSC values, whatever clock the files name\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but events or their fields\n"
	       "are missing, or some events do not have exact host times\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static void review(struct ctx *ctx, const struct perfetto_export *export)
{
	const char *path = ctx->request->out;

	message("%s: %" PRIu64 " events, %" PRIu64 " times in guest mode", path, export->events, export->slices);
	if (export->copies)
		findings_note(&ctx->findings, FINDING_TEXT,
			      "%s: %" PRIu64 " events are in several buffers of a file: each is written once", path,
			      export->copies);
	if (export->lost)
		findings_doubt(&ctx->findings, FINDING_HISTORY,
			       "%s: events were lost in %" PRIu64 " %s, each is shown there as \"events lost\"", path,
			       export->lost, export->lost == 1 ? "place" : "places");
	if (export->unordered)
		findings_doubt(&ctx->findings, FINDING_TEXT,
			       "%s: %" PRIu64 " events have times that Perfetto cannot express: left out", path,
			       export->unordered);
	if (export->other_cpus)
		findings_doubt(&ctx->findings, FINDING_TEXT,
			       "%s: %" PRIu64 " events are of CPUs whose numbers Perfetto does not take: left out",
			       path, export->other_cpus);
	if (export->cut)
		findings_doubt(&ctx->findings, FINDING_TEXT,
			       "%s: %" PRIu64 " events lack a field, or a part of one: their records do not fit their formats, or have more than Perfetto takes",
			       path, export->cut);
	merged_recording_review(&ctx->recording);
}

static int write_perfetto(struct ctx *ctx)
{
	struct merged_recording *recording = &ctx->recording;
	_cleanup_(output_file_close) struct output_file output;
	struct progress progress;
	struct perfetto_export export = { .recording = recording, .progress = &progress };
	int ret;

	ret = output_file_open(&output, ctx->request->out);
	if (ret)
		return ret;
	/* Users without access to all inputs must not get access to the output */
	output_file_restrict(&output, recording->host.dat.fd);
	for (size_t i = 0; i < recording->nr_guests; i++)
		output_file_restrict(&output, recording->guests[i].dat.fd);
	if (!merged_recording_frequency(recording, ctx->request->tsc_khz, &export.frequency))
		findings_note(&ctx->findings, FINDING_CLOCK,
			      "%s: TSC frequency unknown, showing each cycle as a nanosecond; use --tsc-khz",
			      recording->host.dat.path);
	findings_print(&ctx->findings);
	progress_begin(&progress, ctx->request->out, merged_recording_bytes(recording));
	ret = perfetto_export_write(&export, output.stream);
	progress_end(&progress);
	if (ret && ferror(output.stream))
		error_set(&ctx->recording.error, ret, ctx->request->out, "cannot be written: %s", strerror(-ret));
	if (!ret)
		ret = output_file_finish(&output);
	if (!ret)
		review(ctx, &export);
	return ret;
}

static enum exit_status export_files(const struct request *request)
{
	struct ctx ctx = { .request = request };
	enum exit_status status;
	int ret;

	ret = merged_recording_open(&ctx.recording, &request->files, &ctx.findings);
	if (!ret)
		ret = write_perfetto(&ctx);
	status = verb_end(ret, &ctx.recording.error, &ctx.findings);
	merged_recording_close(&ctx.recording);
	return status;
}

static enum exit_status run(int argc, char **argv)
{
	_cleanup_(default_files_release) struct default_files files = { 0 };
	struct request request = { 0 };
	const struct verb_options options = {
		.verb = "export", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 2, .repeats = true,
		.files = &files,
		.options = {
			{ "perfetto", .string = &request.out, .needed = "OUT" },
			{ "vm", .string = &request.files.vm, .max_operands = 2 },
			{ "tsc-khz", .parse = merged_recording_parse_khz, .value = &request.tsc_khz,
			  .wants = "the frequency of a TSC in kHz" },
			{ "any-clock", .flag = &request.files.any_clock },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.files.host_path = argv[0];
	request.files.guest_paths = argv + 1;
	request.files.nr_guests = (size_t)argc - 1;
	return export_files(&request);
}

const struct verb export_verb = {
	.name		= "export",
	.summary	= "write host and guests into one trace for the Perfetto UI",
	.run		= run,
};
