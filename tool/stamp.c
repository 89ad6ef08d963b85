// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "guest_stamp.h"
#include "host_changes.h"
#include "input_file.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "record_files.h"
#include "record_stamp.h"
#include "sanitize.h"
#include "stamp.h"
#include "host_recording.h"

/* Values of --check */
enum { CHECK_SAMPLE, CHECK_FULL };

/* The command line */
struct request {
	const char			*host_path;
	const char			*out;
	bool				in_place;
	bool				link;
	bool				dry_run;
	unsigned int			check;	/* number of events: CHECK_SAMPLE or CHECK_FULL */
	struct guest_stamp_options	options;
};

static void print_help(void)
{
	printf("Usage: tsc-offset stamp [OPTIONS] HOST.dat GUEST.dat\n"
	       "\n"
	       "Write the history of a guest's TSC offsets, which the host's file has, into a\n"
	       "copy of the guest's file, GUEST.synced.dat. trace-cmd report -i HOST.dat\n"
	       "-i GUEST.synced.dat and KernelShark then show both on one timeline. No agent is\n"
	       "needed. The guest's events decide which VM and which vCPUs the file belongs to,\n"
	       "and prove the result. Record both files with -C x86-tsc, and the host's with\n"
	       "-e kvm and --tsc2nsec.\n"
	       "\n"
	       "  -o, --output FILE     write FILE instead of GUEST.synced.dat\n"
	       "  -i, --in-place        add the history to GUEST.dat itself (version 7 only)\n"
	       "  -n, --dry-run         print what would be written, and write nothing\n"
	       "      --vm ID           use this VM of the host's file, if the events do not\n"
	       "                        decide: its name as show lists it, the thread of one of\n"
	       "                        its vCPUs, or all of these threads, separated by commas;\n"
	       "                        on the host, while the VM runs, also its VMM's process\n"
	       "      --initial VCPU=OFFSET[,...]\n"
	       "                        use these offsets before the first change, in cycles\n"
	       "      --initial-from FILE\n"
	       "                        use the offsets that show --json wrote on the host\n"
	       "      --estimate        estimate the offsets that are unknown: find those with\n"
	       "                        which the guest's events are in guest mode; requires\n"
	       "                        kvm_entry and kvm_exit in the host's file\n"
	       "      --max-error ERROR refuse estimates that may be wrong by more: 1ms (the\n"
	       "                        default), 50us, or cycles without a unit\n"
	       "      --since HOST_TSC  do not consider earlier offsets: the guest recorded\n"
	       "                        nothing before this host TSC\n"
	       "      --boot N          the same from the VM's boot N on, as show numbers boots\n"
	       "      --check sample|full\n"
	       "                        prove the result with a sample of the guest's events\n"
	       "                        (the default), or with every event, which takes longer\n"
	       "                        for large files\n"
	       "      --buffer NAME     correct this instance of the guest's file; it becomes\n"
	       "                        the only buffer of the result\n"
	       "      --rewrite         write host times into the events themselves: for readers\n"
	       "                        that cannot correct times, for instances, and if a TSC\n"
	       "                        jumped backward\n"
	       "      --link            also write HOST.linked.dat, a copy that names its guest:\n"
	       "                        for KernelShark's plots of both, and for the guest's\n"
	       "                        symbols in trace-cmd report\n"
	       "      --any-clock       assume TSC values, whatever clock the files name\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but a part is in doubt\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

/* "GUEST.synced.dat" of "GUEST.dat" */
static char *with_infix(const char *path, const char *infix)
{
	const char *dot = strrchr(path, '.');
	char *name;

	if (!dot || strchr(dot, '/') || strcmp(dot, ".dat"))
		dot = path + strlen(path);
	if (asprintf(&name, "%.*s%s.dat", (int)(dot - path), path, infix) < 0)
		return NULL;
	return name;
}

/* @over_recording: an earlier result has this name, unless the user chose another one */
static int check_output(const struct request *request, const char *path, bool over_recording)
{
	if (output_file_same(path, request->host_path)) {
		message("%s: is the host's recording and is not replaced", path);
		return -EEXIST;
	}
	if (output_file_same(path, request->options.guest_path)) {
		message("%s: is the guest's recording and is not replaced; --in-place adds to it", path);
		return -EEXIST;
	}
	return output_file_check(path, over_recording);
}

/* Check before reading: an output that cannot be written is not worth the wait */
static int check_outputs(const struct request *request)
{
	const char *out = request->options.out, *host_out = request->options.host_out;
	int ret = 0;

	if (out)
		ret = check_output(request, out, !request->out);
	if (!ret && host_out)
		ret = check_output(request, host_out, true);
	if (!ret && out && host_out && output_file_same(out, host_out)) {
		message("%s: --output and --link would both write it", out);
		ret = -EEXIST;
	}
	return ret;
}

static void say_what(const struct request *request, const struct guest_stamp *stamp)
{
	const struct guest_stamp_options *options = &request->options;
	_cleanup_(freep) char *out = sanitized(options->out ? options->out : options->guest_path);
	_cleanup_(freep) char *host_out = sanitized(options->host_out ? options->host_out : "");
	const char *unwritten = request->dry_run ? " (not written)" : "";
	char words[GUEST_STAMP_WORDS_SIZE];

	if (stamp->is_done) {
		_cleanup_(freep) char *guest = sanitized(options->guest_path);

		printf("%s: already rewritten by 'stamp --rewrite'; nothing is written\n",
		       guest ? guest : "?");
		return;
	}
	printf("%s: %s%s%s\n", out ? out : "?", guest_stamp_words(stamp, words), unwritten,
	       stamp->findings.nr_doubts ? "; a part is in doubt" : "");
	if (options->host_out)
		printf("%s: knows its guest%s\n", host_out ? host_out : "?", unwritten);
}

static enum exit_status stamp_file(const struct request *request, struct host_recording *host)
{
	const struct guest_stamp_options *options = &request->options;
	struct guest_stamp stamp;
	enum exit_status status;
	int ret;

	ret = guest_stamp_prepare(&stamp, options, host);
	if (!ret && !request->dry_run)
		ret = guest_stamp_write(&stamp);
	findings_print(&stamp.findings);
	if (!ret) {
		say_what(request, &stamp);
		stamp.findings.nr_doubts += !request->dry_run &&
					    !output_file_reported(options->out ? options->out : options->guest_path);
	} else if (host->error->code) {
		input_file_fail(host->error);
	} else if (ret == -ENOMEM) {
		message("out of memory");
	}
	status = verb_status(ret, &stamp.findings);
	guest_stamp_release(&stamp);
	return status;
}

static enum exit_status stamp_with(const struct request *request, const struct host_changes *changes)
{
	enum exit_status status = EXIT_FAILED;
	struct error error = { 0 };
	struct host_recording host = { .dat.fd = -1 };

	if (!host_recording_open(&host, request->host_path, changes, &error) && !host_recording_read_times(&host))
		status = stamp_file(request, &host);
	else if (error.code)
		input_file_fail(&error);
	host_recording_close(&host);
	return status;
}

/* record was killed before it could do this. Its instance can be read only once, so all guests get the history now. */
static enum exit_status complete_recording(const struct request *request, const struct host_changes *changes)
{
	struct record_files files;

	if (changes->lost) {
		message("%s: its tsc-offset record was killed and left a part of what it recorded: using the file's events only",
			request->host_path);
		return stamp_with(request, NULL);
	}
	message("%s: its tsc-offset record was killed: using what that left, for all its guests", request->host_path);
	record_files_all(&files, request->host_path);
	record_stamp(&files, request->options.guest_path, changes, request->options.rewrite);
	record_files_release(&files);
	return stamp_with(request, changes);
}

static enum exit_status stamp_files(const struct request *request)
{
	enum exit_status status = EXIT_FAILED;
	struct host_changes changes;
	struct error error = { 0 };
	int ret;

	ret = input_file_check_other(request->host_path, request->options.guest_path, &error);
	if (!ret)
		ret = check_outputs(request);
	if (error.code)
		input_file_fail(&error);
	if (ret)
		return status;
	if (request->dry_run || host_changes_adopt(&changes, request->host_path))
		return stamp_with(request, NULL);
	host_changes_end(&changes);
	status = complete_recording(request, &changes);
	host_changes_release(&changes);
	return status;
}

static int parse_initial(void *initial, const char *text)
{
	return initial_offsets_parse(initial, text);
}

static bool parse(int argc, char **argv, struct request *request, enum exit_status *status)
{
	const struct verb_options options = {
		.verb = "stamp", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 2,
		.options = {
			{ "output", 'o', .string = &request->out },
			{ "in-place", 'i', .flag = &request->in_place, .excludes = "output" },
			{ "dry-run", 'n', .flag = &request->dry_run },
			{ "vm", .string = &request->options.vm },
			{ "initial", .parse = parse_initial, .value = &request->options.initial,
			  .wants = "VCPU=OFFSET[,VCPU=OFFSET...], each vCPU once" },
			{ "initial-from", .string = &request->options.initial_from },
			{ "estimate", .flag = &request->options.estimate },
			{ "max-error", .parse = estimate_limit_parse, .value = &request->options.max_error,
			  .wants = ESTIMATE_LIMIT_WANTS, .requires = "estimate" },
			{ "since", .number = &request->options.since, .min = 1, .wants = "a host TSC in cycles" },
			{ "boot", .number = &request->options.boot, .min = 1, .wants = "a number as show lists it",
			  .excludes = "since" },
			{ "check", .word = &request->check, .wants = "'sample' or 'full'",
			  .words = { [CHECK_SAMPLE] = "sample", [CHECK_FULL] = "full" } },
			{ "buffer", .string = &request->options.buffer, .excludes = "rewrite" },
			{ "rewrite", .flag = &request->options.rewrite, .excludes = "in-place" },
			{ "link", .flag = &request->link },
			{ "any-clock", .flag = &request->options.any_clock },
			{ "help", 'h', .print = print_help },
		},
	};

	if (!options_read(&options, &argc, &argv, status))
		return false;
	request->host_path = argv[0];
	request->options.guest_path = argv[1];
	request->options.check_all = request->check == CHECK_FULL;
	return true;
}

static enum exit_status run_stamp(int argc, char **argv)
{
	struct request request = { .options.max_error = ESTIMATE_LIMIT_DEFAULT };
	_cleanup_(freep) char *out = NULL, *host_out = NULL;
	enum exit_status status;

	if (!parse(argc, argv, &request, &status)) {
		initial_offsets_release(&request.options.initial);
		return status;
	}
	out = request.in_place ? NULL : request.out ? strdup(request.out) :
	      with_infix(request.options.guest_path, ".synced");
	host_out = request.link ? with_infix(request.host_path, ".linked") : NULL;
	request.options.out = out;
	request.options.host_out = host_out;
	if ((request.in_place || out) && (!request.link || host_out)) {
		status = stamp_files(&request);
	} else {
		message("out of memory");
		status = EXIT_FAILED;
	}
	initial_offsets_release(&request.options.initial);
	return status;
}

const struct verb stamp_verb = {
	.name		= "stamp",
	.summary	= "synchronise a guest's file that was recorded without an agent",
	.run		= run_stamp,
};
