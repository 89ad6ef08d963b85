// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "copy_mark.h"
#include "default_files.h"
#include "guest_link.h"
#include "guest_stamp.h"
#include "host_changes.h"
#include "host_recording.h"
#include "input_file.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "record_files.h"
#include "record_stamp.h"
#include "sanitize.h"
#include "stamp.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/* Values of --check */
enum { CHECK_SAMPLE, CHECK_FULL };

/*
 * What the command line asks for. @options is for all guests; @outs are the names of what is made of each guest's file,
 * NULL for that file itself. @host_out: the copy of the host's file that names its guests, NULL without --link.
 */
struct request {
	const char			*host_path;
	char				**guest_paths;
	size_t				nr_guests;
	const char			*out;
	char				**outs;
	char				*host_out;
	bool				in_place;
	bool				link;
	bool				dry_run;
	unsigned int			check;	/* number of events: CHECK_SAMPLE or CHECK_FULL */
	struct guest_stamp_options	options;
};

/* The copy of the host's file that names its guests: what it gets, its TRACEID, and how many guests it names */
struct link {
	struct trace_dat_edit	edit;
	uint64_t		trace_id;
	size_t			nr_guests;
};

static void print_help(void)
{
	printf("Usage: tsc-offset stamp [OPTIONS] HOST.dat GUEST.dat...\n"
	       "\n"
	       "Write the history of each guest's TSC offsets, from the host's file, into a copy\n"
	       "of the guest's file, GUEST.synced.dat. trace-cmd report -i HOST.dat\n"
	       "-i GUEST.synced.dat and KernelShark then show both on one timeline. No agent is\n"
	       "needed. The guest's events decide which VM and which vCPUs the file belongs to,\n"
	       "and prove the result. Record both files with -C x86-tsc, and the host's with\n"
	       "-e kvm and --tsc2nsec.\n"
	       "With several guests, --output, --vm, --initial and --boot cannot be used.\n"
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
	       "                        kvm_entry and kvm_exit in the host's file. Without this\n"
	       "                        option, stamp estimates only offsets that did not\n"
	       "                        change, and with -i none; such a result is in doubt\n"
	       "      --max-error ERROR refuse estimates that may be wrong by more: 1ms (the\n"
	       "                        default), 50us, or cycles without a unit\n"
	       "      --since HOST_TSC  do not consider earlier offsets: the guest recorded\n"
	       "                        nothing before this host TSC\n"
	       "      --boot N          like --since, with the host TSC of the VM's boot N; show\n"
	       "                        lists the boots\n"
	       "      --check sample|full\n"
	       "                        prove the result with a sample of the guest's events\n"
	       "                        (the default), or with every event, which takes longer\n"
	       "                        for large files\n"
	       "      --buffer NAME     correct this instance of the guest's file; it becomes\n"
	       "                        the only buffer of the result\n"
	       "      --rewrite         write host times into the events themselves: for readers\n"
	       "                        that cannot correct times, for instances, and if a TSC\n"
	       "                        jumped backward\n"
	       "      --link            also write HOST.linked.dat, a copy of the host's file\n"
	       "                        that names the guests: for KernelShark's plots of both,\n"
	       "                        and for the guests' symbols in trace-cmd report\n"
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

/* Did stamp write this file, beside its original? */
static bool is_copy(const char *path)
{
	struct error error = { 0 };
	struct trace_dat dat;
	bool is_it = !trace_dat_open(&dat, path, &error) && copy_mark_read(&dat);

	trace_dat_close(&dat);
	return is_it;
}

/* @over_recording: an earlier result has this name, unless the user chose another one */
static int check_output(const struct request *request, const char *path, bool over_recording)
{
	if (output_file_same(path, request->host_path)) {
		message("%s: is the host's recording and is not replaced", path);
		return -EEXIST;
	}
	for (size_t i = 0; i < request->nr_guests; i++) {
		if (output_file_same(path, request->guest_paths[i])) {
			message("%s: is the guest's recording and is not replaced; --in-place adds to it", path);
			return -EEXIST;
		}
	}
	if (request->options.initial_from && output_file_same(path, request->options.initial_from)) {
		message("%s: is the file of --initial-from and is not replaced", path);
		return -EEXIST;
	}
	return output_file_check(path, over_recording);
}

/* Names that lead to one file, as "g" and "g.dat" do */
static int check_distinct(const struct request *request)
{
	for (size_t i = 0; i < request->nr_guests; i++) {
		if (!request->outs[i])
			continue;
		if (request->host_out && output_file_same(request->outs[i], request->host_out)) {
			message("%s: --output and --link would both write it", request->outs[i]);
			return -EEXIST;
		}
		for (size_t j = 0; j < i; j++) {
			if (output_file_same(request->outs[i], request->outs[j])) {
				message("%s: the results of %s and %s would both have this name", request->outs[i],
					request->guest_paths[j], request->guest_paths[i]);
				return -EEXIST;
			}
		}
	}
	return 0;
}

static int check_guest_output(const struct request *request, size_t i)
{
	const char *path = request->outs[i];

	return path ? check_output(request, path, !request->out || is_copy(path)) : 0;
}

/* Before anything is read: what would be lost is not worth waiting for */
static int check_outputs(const struct request *request)
{
	int ret = 0;

	for (size_t i = 0; i < request->nr_guests && !ret; i++)
		ret = check_guest_output(request, i);
	if (!ret && request->host_out)
		ret = check_output(request, request->host_out, true);
	return ret ? ret : check_distinct(request);
}

static void say_what(const struct request *request, const struct guest_stamp *stamp)
{
	const struct guest_stamp_options *options = stamp->options;
	_cleanup_(freep) char *out = sanitized(options->out ? options->out : options->guest_path);
	char words[GUEST_STAMP_WORDS_SIZE];

	if (stamp->is_done) {
		_cleanup_(freep) char *guest = sanitized(options->guest_path);

		printf("%s: already rewritten by 'stamp --rewrite'; nothing is written\n",
		       guest ? guest : "?");
		return;
	}
	printf("%s: %s%s%s\n", out ? out : "?", guest_stamp_words(stamp, words),
	       request->dry_run ? " (not written)" : "", stamp->findings.nr_doubts ? "; a part is in doubt" : "");
}

static int link_guest(struct link *link, const struct guest_stamp *stamp)
{
	const struct trace_dat *host = &stamp->host->dat;
	int ret = guest_link(&link->edit, host, stamp->fit.vm, &stamp->fit.vcpus, stamp->options->guest_path,
			     stamp->guest_trace_id);

	if (ret)
		return trace_dat_refuse(&stamp->host->dat, ret, "cannot name its guest %s: %s",
					stamp->options->guest_path, strerror(-ret));
	link->nr_guests++;
	return 0;
}

static enum exit_status stamp_guest(const struct request *request, struct host_recording *host, size_t i,
				    struct link *link)
{
	struct guest_stamp_options options = request->options;
	struct guest_stamp stamp;
	enum exit_status status;
	int ret;

	*host->error = (struct error) { 0 };
	options.guest_path = request->guest_paths[i];
	options.out = request->outs[i];
	options.linked_as = link->trace_id;
	ret = guest_stamp_prepare(&stamp, &options, host);
	/* That took a while: another file may have the name by now */
	if (!ret && !request->dry_run)
		ret = check_guest_output(request, i);
	if (!ret && !request->dry_run)
		ret = guest_stamp_write(&stamp);
	findings_print(&stamp.findings);
	if (!ret) {
		say_what(request, &stamp);
		stamp.findings.nr_doubts += !request->dry_run &&
					    !output_file_reported(options.out ? options.out : options.guest_path);
	}
	if (!ret && link->trace_id && !stamp.is_done)
		ret = link_guest(link, &stamp);
	if (ret && host->error->code)
		input_file_fail(host->error);
	else if (ret == -ENOMEM)
		message("out of memory");
	status = verb_status(ret, &stamp.findings);
	guest_stamp_release(&stamp);
	return status;
}

static int begin_link(const struct request *request, struct host_recording *host, struct link *link)
{
	int ret;

	if (!request->host_out)
		return 0;
	if (host->dat.version != 7)
		return trace_dat_refuse(&host->dat, -ENOTSUP,
					"--link requires a file of version 7 (trace-cmd convert --file-version 7)");
	ret = guest_link_trace_id(&link->edit, &host->dat, &link->trace_id);
	return ret ? error_set_code(host->error, ret, host->dat.path) : 0;
}

/* Guests that could not be stamped are not named */
static enum exit_status write_link(const struct request *request, struct host_recording *host, struct link *link)
{
	_cleanup_(freep) char *name = sanitized(request->host_out ? request->host_out : "");
	int unsynced;

	if (!link->nr_guests)
		return EXIT_DONE;
	*host->error = (struct error) { 0 };
	if (!request->dry_run) {
		if (trace_dat_edit_copy(&host->dat, &link->edit, request->host_out, &unsynced)) {
			input_file_fail(host->error);
			return EXIT_FAILED;
		}
		output_file_say_unsynced(request->host_out, unsynced);
	}
	printf("%s: knows its guest%s%s\n", name ? name : "?", link->nr_guests == 1 ? "" : "s",
	       request->dry_run ? " (not written)" : "");
	return request->dry_run || output_file_reported(request->host_out) ? EXIT_DONE : EXIT_INCOMPLETE;
}

/* The status of two parts: it failed if one of them did */
static enum exit_status worse(enum exit_status a, enum exit_status b)
{
	if (a == EXIT_FAILED || b == EXIT_FAILED)
		return EXIT_FAILED;
	return a == EXIT_DONE ? b : a;
}

static enum exit_status stamp_guests(const struct request *request, struct host_recording *host)
{
	enum exit_status status = EXIT_DONE;
	struct link link = { 0 };

	if (begin_link(request, host, &link)) {
		input_file_fail(host->error);
		status = EXIT_FAILED;
	}
	for (size_t i = 0; i < request->nr_guests && (!request->host_out || link.trace_id); i++)
		status = worse(status, stamp_guest(request, host, i, &link));
	status = worse(status, write_link(request, host, &link));
	trace_dat_edit_release(&link.edit);
	return status;
}

static enum exit_status stamp_with(const struct request *request, const struct host_changes *changes)
{
	enum exit_status status = EXIT_FAILED;
	struct error error = { 0 };
	struct host_recording host = { .dat.fd = -1 };

	if (!host_recording_open(&host, request->host_path, changes, &error) && !host_recording_read_times(&host))
		status = stamp_guests(request, &host);
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
		message("%s: tsc-offset record was killed during this recording, and the offsets that it left in the kernel are incomplete: using the events in the file only",
			request->host_path);
		return stamp_with(request, NULL);
	}
	message("%s: tsc-offset record was killed during this recording: using the offsets that it left in the kernel, for all guests",
		request->host_path);
	record_files_all(&files, request->host_path);
	record_stamp(&files, request->guest_paths, NULL, changes, request->options.rewrite);
	record_files_release(&files);
	return stamp_with(request, changes);
}

static enum exit_status stamp_files(const struct request *request)
{
	enum exit_status status = EXIT_FAILED;
	struct host_changes changes;
	struct error error = { 0 };
	int ret;

	ret = input_file_check_guests(request->host_path, request->guest_paths, request->nr_guests, &error);
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
		.verb = "stamp", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 2, .repeats = true,
		.options = {
			{ "output", 'o', .string = &request->out, .max_operands = 2 },
			{ "in-place", 'i', .flag = &request->in_place, .excludes = "output" },
			{ "dry-run", 'n', .flag = &request->dry_run },
			{ "vm", .string = &request->options.vm, .max_operands = 2 },
			{ "initial", .parse = parse_initial, .value = &request->options.initial,
			  .wants = "VCPU=OFFSET[,VCPU=OFFSET...], each vCPU once", .max_operands = 2 },
			{ "initial-from", .string = &request->options.initial_from },
			{ "estimate", .flag = &request->options.estimate },
			{ "max-error", .parse = estimate_limit_parse, .value = &request->options.max_error,
			  .wants = ESTIMATE_LIMIT_WANTS },
			{ "since", .number = &request->options.since, .min = 1, .wants = "a host TSC in cycles" },
			{ "boot", .number = &request->options.boot, .min = 1, .wants = "a number as show lists it",
			  .excludes = "since", .max_operands = 2 },
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
	request->guest_paths = argv + 1;
	request->nr_guests = (size_t)argc - 1;
	request->options.check_all = request->check == CHECK_FULL;
	/* The file itself gets estimates only if the user says so */
	request->options.may_estimate = !request->in_place;
	return true;
}

/* What is made is called so. Returns: false without memory. */
static bool name_outputs(struct request *request)
{
	request->outs = calloc(request->nr_guests, sizeof(*request->outs));
	for (size_t i = 0; request->outs && i < request->nr_guests && !request->in_place; i++) {
		request->outs[i] = request->out ? strdup(request->out) :
			with_infix(request->guest_paths[i], SYNCED_INFIX);
		if (!request->outs[i])
			return false;
	}
	request->host_out = request->link ? with_infix(request->host_path, ".linked") : NULL;
	return request->outs && (!request->link || request->host_out);
}

static void release(struct request *request)
{
	for (size_t i = 0; request->outs && i < request->nr_guests; i++)
		free(request->outs[i]);
	free(request->outs);
	free(request->host_out);
	initial_offsets_release(&request->options.initial);
}

static enum exit_status run_stamp(int argc, char **argv)
{
	struct request request = { .options.max_error = ESTIMATE_LIMIT_DEFAULT };
	enum exit_status status;

	if (parse(argc, argv, &request, &status)) {
		if (name_outputs(&request)) {
			status = stamp_files(&request);
		} else {
			message("out of memory");
			status = EXIT_FAILED;
		}
	}
	release(&request);
	return status;
}

const struct verb stamp_verb = {
	.name		= "stamp",
	.summary	= "synchronise guests' files that were recorded without an agent",
	.run		= run_stamp,
};
