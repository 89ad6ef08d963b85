// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset check: do the times that readers show of a guest fit its host? guest_mode_check computes the proof; this
 * file adds the doubts about it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "check.h"
#include "check_json.h"
#include "check_table.h"
#include "cleanup.h"
#include "cpu_stream.h"
#include "default_files.h"
#include "findings.h"
#include "guest_check.h"
#include "guest_mode_check.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_recording.h"
#include "host_vcpus.h"
#include "input_file.h"
#include "json_writer.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "quiet_time.h"
#include "show_report.h"
#include "stamp_trial.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

#define MAX_VIOLATIONS 10
/* Readers round: two equivalent ways to write a line may differ by this many cycles */
#define ROUNDING 2
/* Limit of --max-violations: the list is allocated for each CPU in advance */
#define MOST_VIOLATIONS 100000

/* The command line */
struct request {
	const char	*host_path;
	char		**guest_paths;
	size_t		nr_guests;
	const char	*vm;
	uint64_t	max_violations;
	bool		any_clock;
	bool		json;
};

static void print_help(void)
{
	printf("Usage: tsc-offset check [OPTIONS] [HOST.dat GUEST.dat...]\n"
	       "\n"
	       "Check whether guests' files fit their host's file. Each event of a guest's\n"
	       "CPU must be between a kvm_entry of its vCPU and the next kvm_exit, to the cycle.\n"
	       "check uses the times that trace-cmd report and KernelShark show, whichever tool\n"
	       "synchronised the files. The events decide which vCPU each CPU is. Record all\n"
	       "files with -C x86-tsc, and the host's with -e kvm:kvm_entry -e kvm:kvm_exit.\n"
	       "Without files, use trace.dat in this directory and its guests' trace-*.dat, or\n"
	       "host.dat, guest.dat and guest-*.dat if there is no trace.dat.\n"
	       "\n"
	       "      --vm ID             use this VM of the host's file, if the events do not\n"
	       "                          decide: its name as show lists it, the thread of one\n"
	       "                          of its vCPUs, or all of these threads, separated by\n"
	       "                          commas; on the host, while the VM runs, also its VMM's\n"
	       "                          process\n"
	       "      --max-violations N  list at most N violations of each CPU\n"
	       "                          (default: %d, maximum: %d)\n"
	       "      --any-clock         assume TSC values, whatever clock the files name\n"
	       "      --json              print one JSON object\n"
	       "  -h, --help\n"
	       "\n"
	       "For each CPU of a guest, the table has the number of its events, and how many of\n"
	       "them are\n"
	       "  inside        in guest mode, as all events should be\n"
	       "  violations    at times at which the vCPU did not run, or at guest times that\n"
	       "                its TSC never had\n"
	       "  outside       before or after the host's recording\n"
	       "  not provable  where the host lost events or did not record each kvm_exit\n"
	       "If there are no violations, the last column has the slack: by how many cycles\n"
	       "all events could be moved together and still fit. The error is not larger.\n"
	       "\n"
	       "Exit status: %d all fit, %d failed, %d wrong usage, %d violations, little or nothing\n"
	       "can be proved, or a part was not checked; messages say which\n",
	       MAX_VIOLATIONS, MOST_VIOLATIONS, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

/* What readers do besides the correction, and what makes a correction doubtful */
static void note_options(struct guest_check *check, const struct host *host)
{
	const char *path = check->guest.dat.path;

	if (!shown_times_same_unit(&check->guest.shown, &check->guest.times.host->shown))
		findings_doubt(&check->findings, FINDING_READERS,
			       "%s: readers convert its times and those of %s to nanoseconds by different factors, or only those of one file, so that what they show does not fit; checking the times before the conversion",
			       path, host->dat->path);
	if (check->guest.times.added)
		findings_note(&check->findings, FINDING_READERS,
			      "%s: readers show all its times %" PRId64 " cycles later than those of %s, by DATE and OFFSET in both",
			      path, check->guest.times.added, host->dat->path);
	if (!guest_file_is_of(&check->guest, host))
		findings_note(&check->findings, FINDING_READERS,
			      "%s: its %s made for another recording of the host; readers %s anyway",
			      path, check->guest.rewritten ? "times were" : "TIME_SHIFT was",
			      check->guest.rewritten ? "show them" : "apply it");
}

static void note_buffers(struct guest_check *check)
{
	const struct guest_mode_check *result = &check->result;

	for (size_t i = 0; i < result->nr_buffers; i++) {
		const struct guest_mode_buffer *buffer = &result->buffers[i];
		const char *name = buffer->buffer->name;

		if (!buffer->checked && trace_dat_buffer_has_data(buffer->buffer))
			findings_doubt(&check->findings, FINDING_CLOCK,
				       "%s: %s%s%sits clock is \"%s\", not x86-tsc: not checked; record with -C x86-tsc",
				       check->guest.dat.path, *name ? "instance \"" : "", name, *name ? "\": " : "",
				       buffer->clock);
		if (buffer->checked && *name && check->guest.shown.has_shift)
			findings_note(&check->findings, FINDING_READERS,
				      "%s: readers do not correct the times of instance \"%s\"", check->guest.dat.path,
				      name);
	}
}

/* CPUs with an unknown vCPU, and doubts about the host */
static void note_vcpus(struct guest_check *check, const struct host *host, const struct host_vcpus *vcpus)
{
	const struct guest_vcpus *cpus = &check->guest.fit.vcpus;

	for (size_t i = 0; i < cpus->nr; i++) {
		if (!cpus->cpus[i].has_events || cpus->cpus[i].known)
			continue;
		findings_doubt(&check->findings, FINDING_VCPU, "%s: CPU %zu fits none of the vCPUs of %s: not checked",
			       check->guest.dat.path, i, host->dat->path);
	}
	findings_move(&check->findings, &check->guest.fit.apart);
	host_findings_add(&check->findings, host, vcpus);
	if (guest_check_sums(check).doubtful)
		findings_doubt(&check->findings, FINDING_PROOF, "%s: " QUIET_TIME_DOUBT, check->guest.dat.path,
			       guest_check_sums(check).doubtful, "events");
}

/*
 * Does the TSC of the guest's VM jump backward while the guest runs? Then readers cannot show all its times correctly.
 */
static bool jumps_backward(const struct guest_file *guest)
{
	for (size_t i = 0; guest->vm && i < guest->vm->history.nr_vcpus; i++) {
		if (show_report_jumps(&guest->vm->history.vcpus[i]))
			return true;
	}
	return false;
}

/* Count the events of a CPU that readers show at other times than the host's history gives */
static int count_misplaced(struct guest_check *check, size_t buffer, size_t cpu, uint64_t *nr)
{
	const struct trace_dat_buffer *data = &check->guest.dat.buffers[buffer];
	const struct merged_times times = merged_times_of(&check->guest.times, data);
	struct timeline_cursor cursor = { .cpu = &check->guest.timelines.buffers[buffer].timeline.cpus[cpu] };
	struct cpu_stream events;
	int ret = cpu_stream_open(&events, &check->guest.dat, data, &data->cpus[cpu]);

	while (!ret && (ret = cpu_stream_next(&events)) > 0) {
		uint64_t shown = merged_time(&times, data->cpus[cpu].cpu, events.event.ts);

		/* Readers round */
		*nr += shown - timeline_event_time(&cursor, &events) + ROUNDING > 2 * ROUNDING;
		ret = 0;
	}
	cpu_stream_close(&events);
	return ret;
}

/* If a TSC jumped backward, the host's history and the order of events show more than readers' times */
static int compare_history(struct guest_check *check, const struct request *request, const struct host *host,
			   const struct host_vcpus *vcpus)
{
	struct trace_dat *dat = &check->guest.dat;
	uint64_t nr = 0;
	int ret;

	if (!jumps_backward(&check->guest) || check->guest.rewritten)
		return 0;
	ret = guest_file_place(&check->guest, host, vcpus, request->vm, request->any_clock, &check->findings);
	for (size_t i = 0; i < dat->nr_buffers && !ret && check->guest.placed; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus && !ret; j++) {
			if (check->guest.timelines.buffers[i].known && dat->buffers[i].cpus[j].size)
				ret = count_misplaced(check, i, j, &nr);
		}
	}
	if (nr)
		findings_doubt(&check->findings, FINDING_BACKWARD,
			       "%s: readers show %" PRIu64 " of its events at times that differ from the host's history, because its TSC jumped backward; use 'stamp --rewrite'",
			       dat->path, nr);
	return ret;
}

static void note_inexact(struct guest_check *check)
{
	const struct inexact_times *inexact = &check->guest.inexact;
	uint64_t events = 0, most = 0;

	if (!check->guest.rewritten || !inexact->nr)
		return;
	for (size_t i = 0; i < inexact->nr; i++) {
		const struct inexact_time *time = &inexact->list[i];

		events += time->nr_events;
		most = time->earlier > most ? time->earlier : most;
		most = time->later > most ? time->later : most;
	}
	findings_note(&check->findings, FINDING_BACKWARD,
		      "%s: %" PRIu64 " events after jumps backward within pages of the ring buffer have no exact times: they may be wrong by up to %" PRIu64 " cycles; --json lists them",
		      check->guest.dat.path, events, most);
}

static bool is_checked(const struct guest_mode_check *result)
{
	return any_of(i, result->nr_buffers, result->buffers[i].checked &&
					     trace_dat_buffer_has_data(result->buffers[i].buffer));
}

static int check_guest(struct guest_check *check, const struct request *request, struct host_recording *recording,
		       const char *path)
{
	const struct host_vcpus *vcpus = &recording->vcpus;
	const struct host *host = &recording->host;
	struct progress progress;
	struct guest_mode_check_input input = {
		.guest = &check->guest.dat, .vcpus = &check->guest.fit.vcpus,
		.file = &check->guest.times, .any_clock = request->any_clock,
		.max_listed = request->max_violations, .progress = &progress,
	};
	int ret;

	ret = guest_file_open(&check->guest, path, &recording->host, &recording->times, request->vm);
	if (ret)
		return ret;
	if (!tsc2nsec_frequency(&check->frequency, host->dat))
		tsc2nsec_frequency(&check->frequency, &check->guest.dat);
	note_options(check, host);
	ret = guest_file_find_vm(&check->guest, host, &recording->vcpus, request->vm, request->any_clock);
	if (ret)
		return ret;
	input.begin = vcpus->begin;
	input.end = vcpus->end;
	progress_begin(&progress, path, guest_mode_check_bytes(&check->guest.dat, NULL));
	ret = guest_mode_check(&check->result, &input) ?: host_vcpus_error(vcpus, host);
	progress_end(&progress);
	if (ret)
		return ret;
	note_buffers(check);
	note_vcpus(check, host, vcpus);
	note_inexact(check);
	ret = compare_history(check, request, host, vcpus);
	if (ret)
		return ret;
	if (is_checked(&check->result))
		return 0;
	return trace_dat_refuse(&check->guest.dat, -ENODATA,
				check->findings.nr_doubts ? "nothing in it can be checked" : "no events in it");
}

/* main() reports failed writes to stdout */
static int finish_json(struct json_writer *json, const struct request *request)
{
	int ret;

	json_end(json);
	json_end(json);
	ret = json_finish(json, stdout);
	if (ret == -ENOMEM)
		message("%s: %s", request->host_path, strerror(-ret));
	return ret;
}

/* Does the file not fit as it is? Without right times, the VM can be uncertain, too. */
static bool needs_advice(const struct guest_check *check, int ret)
{
	return ret ? ret == -ENOENT : guest_check_verdict(check) != GUEST_FITS;
}

/*
 * What to do about a file that does not fit: stamp it, if that helps. This is not a finding: JSON has to be complete,
 * also if there is not enough memory for a trial.
 */
static void advise(const struct request *request, const char *path)
{
	const struct stamp_trial_request tried = {
		.host_path = request->host_path, .guest_path = path, .vm = request->vm, .any_clock = request->any_clock,
	};
	_cleanup_(freep) char *command = stamp_trial_command(&tried);

	if (!command)
		return;
	fflush(stdout);
	message("%s: to correct its times: %s", path, command);
}

static enum exit_status check_guests(const struct request *request, struct host_recording *host)
{
	struct json_writer json = { .pretty = true };
	enum exit_status status = EXIT_DONE;

	if (request->json) {
		json_begin_document(&json);
		json_add_text(&json, "host", request->host_path);
		json_begin(&json, "guests", JSON_ARRAY);
	}
	for (size_t i = 0; i < request->nr_guests; i++) {
		struct guest_check check = { .guest.dat.fd = -1 };
		int ret;

		*host->error = (struct error) { 0 };
		ret = check_guest(&check, request, host, request->guest_paths[i]);
		if (!ret && request->json)
			check_json_add(&json, &check);
		findings_print(&check.findings);
		if (ret) {
			input_file_fail(host->error);
			status = EXIT_FAILED;
		} else {
			if (!request->json)
				check_table_write(&check, request->host_path, stdout);
			if (status == EXIT_DONE &&
			    (check.findings.nr_doubts || guest_check_verdict(&check) != GUEST_FITS))
				status = EXIT_INCOMPLETE;
		}
		if (!request->json && needs_advice(&check, ret))
			advise(request, request->guest_paths[i]);
		guest_check_release(&check);
	}
	if (request->json && finish_json(&json, request))
		status = EXIT_FAILED;
	return status;
}

static int open_host(const struct request *request, struct host_recording *host, struct error *error)
{
	int ret = host_recording_open(host, request->host_path, NULL, error);

	if (!ret && !host->host.guest_modes)
		ret = trace_dat_refuse(&host->dat, -ENODATA,
				       "no kvm_entry in it: record the host with -C x86-tsc -e kvm, or is this the guest's file? HOST.dat comes first");
	return ret ? ret : host_recording_place(host, request->any_clock);
}

static bool parse(int argc, char **argv, struct request *request, struct default_files *files, enum exit_status *status)
{
	const struct verb_options options = {
		.verb = "check", .operands = { "HOST.dat", "GUEST.dat" }, .min_operands = 2, .repeats = true,
		.files = files,
		.options = {
			{ "vm", .string = &request->vm, .max_operands = 2 },
			{ "max-violations", .number = &request->max_violations, .max = MOST_VIOLATIONS,
			  .wants = "a number up to " OPTION_TEXT(MOST_VIOLATIONS) },
			{ "any-clock", .flag = &request->any_clock },
			{ "json", .flag = &request->json },
			{ "help", 'h', .print = print_help },
		},
	};

	if (!options_read(&options, &argc, &argv, status))
		return false;
	request->host_path = argv[0];
	request->guest_paths = argv + 1;
	request->nr_guests = (size_t)argc - 1;
	return true;
}

static enum exit_status run(int argc, char **argv)
{
	_cleanup_(default_files_release) struct default_files files = { 0 };
	struct request request = { .max_violations = MAX_VIOLATIONS };
	struct host_recording host = { .dat.fd = -1 };
	enum exit_status status;
	struct error error = { 0 };

	if (!parse(argc, argv, &request, &files, &status))
		return status;
	if (open_host(&request, &host, &error)) {
		input_file_fail(&error);
		status = EXIT_FAILED;
	} else {
		status = check_guests(&request, &host);
	}
	host_recording_close(&host);
	return status;
}

const struct verb check_verb = {
	.name		= "check",
	.summary	= "check whether guests' files fit their host's file",
	.run		= run,
};
