// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A host's and a guest's file, through everything that check, stamp, export and explain do with them except writing.
 * The input is the size of the host's file and both files. Mutations know the places of events, times and options,
 * because a page of random bytes is invalid, and nothing after the first fault is read.
 *
 * libtraceevent's parser is not run: print formats and texts have separate fuzzers, and events are shown by their
 * fields here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "cleanup.h"
#include "explanation.h"
#include "findings.h"
#include "format_parse.h"
#include "format_trial.h"
#include "guest_check.h"
#include "guest_file.h"
#include "guest_timelines.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "merged_recording.h"
#include "message.h"
#include "mutate_file.h"
#include "perfetto_export.h"
#include "prng.h"
#include "progress.h"
#include "proof.h"
#include "sync_points.h"
#include "time_shift.h"
#include "time_shift_compose.h"
#include "trace_dat.h"

#define LISTED		3
/* Few, so that some sums do not get their own row */
#define SUM_KEYS	8
#define HOST_TRACE_ID	1

struct memory_file memory_files[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

/* The sanitizer takes most of the time: keep less freed memory, and shorter stacks of allocations */
const char *__asan_default_options(void)
{
	return "malloc_context_size=2:quarantine_size_mb=8";
}

/* libtraceevent leaks parts of some formats */
const char *__lsan_default_suppressions(void)
{
	return "leak:libtraceevent.so\n";
}

/* Format the line, so that reads of its arguments are checked */
void message(const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
}

int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal)
{
	*nr_fatal = 0;
	for (size_t i = 0; i < nr; i++) {
		formats[i].way = PRINT_FIELDS;
		format_parse(tep, &formats[i]);
	}
	return 0;
}

/* Open the host's file as verbs do */
static int open_pair(struct merged_recording *pair)
{
	int ret = host_recording_open(&pair->host, "host", NULL, &pair->error);

	if (!ret)
		ret = host_recording_read_times(&pair->host);
	if (!ret)
		ret = host_recording_vcpus(&pair->host);
	if (ret && !pair->error.code)
		abort();
	return ret;
}

/* Each event has one kind, and the counts are consistent */
static void check_counts(const struct guest_mode_check *result)
{
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t j = 0; j < result->buffers[i].nr_cpus; j++) {
			const struct guest_mode_cpu *cpu = &result->buffers[i].cpus[j];
			const struct guest_mode_counts *counts = &cpu->counts;

			if (counts->events !=
			    counts->inside + counts->violations + counts->outside + counts->unprovable ||
			    counts->impossible > counts->violations || cpu->nr_listed > LISTED ||
			    cpu->nr_listed > counts->violations)
				abort();
		}
	}
}

/* Like check_guest() of check.c */
static int check(struct merged_recording *pair, struct guest_check *check)
{
	struct progress progress = { 0 };
	struct guest_mode_check_input input = {
		.guest = &check->guest.dat, .vcpus = &check->guest.fit.vcpus, .file = &check->guest.times,
		.any_clock = true, .max_listed = LISTED, .progress = &progress,
	};
	int ret;

	ret = guest_file_open(&check->guest, "guest", &pair->host.host, &pair->host.times, NULL);
	if (!ret)
		ret = guest_file_find_vm(&check->guest, &pair->host.host, &pair->host.vcpus, false, true);
	if (ret)
		return ret;
	input.begin = pair->host.vcpus.begin;
	input.end = pair->host.vcpus.end;
	ret = guest_mode_check(&check->result, &input);
	if (!ret) {
		check_counts(&check->result);
		guest_check_verdict(check);
	}
	host_findings_add(&check->findings, &pair->host.host, &pair->host.vcpus);
	return ret;
}

static ssize_t count_written(void *cookie, const char *data, size_t size)
{
	*(uint64_t *)cookie += size;
	return (ssize_t)size;
}

/* Like explain() of explain.c: each nanosecond counts once, for any contents of the files */
static void explain(struct merged_recording *pair)
{
	const struct explain_request request = { .filter.worst = LISTED, .any_vcpu = true, .max_keys = SUM_KEYS };
	struct progress progress = { 0 };
	struct explanation explanation;

	if (!explanation_make(&explanation, pair, &request, &progress) && !explanation_adds_up(&explanation))
		abort();
	explanation_release(&explanation);
}

/* Like write_perfetto() of export.c */
static void export(struct merged_recording *pair, struct guest_file *guest)
{
	static const struct merged_request request = { .any_clock = true };
	static const cookie_io_functions_t functions = { .write = count_written };
	struct progress progress = { 0 };
	struct findings findings = { 0 };
	uint64_t written = 0;
	FILE *file = fopencookie(&written, "w", functions);
	struct perfetto_export export = { .recording = pair, .progress = &progress };
	int ret;

	if (!file)
		return;
	pair->request = &request;
	pair->findings = &findings;
	pair->guests = guest;
	pair->nr_guests = 1;
	ret = perfetto_export_write(&export, file);
	if (!ret && (fflush(file) || !written))
		abort();
	explain(pair);
	pair->guests = NULL;
	pair->nr_guests = 0;
	fclose(file);
	findings_release(&findings);
}

/*
 * Compare stamp's proof with check, if stamp looked at all events. If check finds no violation, stamp must count the
 * same events in guest mode and no violation. If check finds violations, stamp's proof must be contradicted too.
 * check treats an instance as uncorrected.
 */
static void compare(struct merged_recording *pair, struct trace_dat *dat, const struct trace_dat_buffer *buffer,
		    const struct guest_fit *fit, const struct fit_tally *proof, const struct merged_times *times)
{
	struct progress progress = { 0 };
	const struct guest_mode_check_input input = {
		.guest = dat, .vcpus = &fit->vcpus, .begin = pair->host.vcpus.begin, .end = pair->host.vcpus.end,
		.file = times, .any_clock = true, .progress = &progress,
	};
	uint64_t all = proof->inside + proof->violations + proof->outside + proof->unknown;
	uint64_t events = 0, inside = 0, violations = 0;
	struct guest_mode_check result = { 0 };

	if (!*buffer->name && !guest_mode_check(&result, &input)) {
		for (size_t i = 0; i < result.nr_buffers; i++) {
			const struct guest_mode_buffer *checked = &result.buffers[i];

			for (size_t j = 0; j < checked->nr_cpus && checked->buffer == buffer; j++) {
				events += checked->cpus[j].counts.events;
				inside += checked->cpus[j].counts.inside;
				violations += checked->cpus[j].counts.violations;
			}
		}
		if (events == all && !violations && (proof->violations || proof->inside != inside))
			abort();
		if (events == all && violations && !fit_tally_against(proof))
			abort();
	}
	guest_mode_check_release(&result);
}

/* The option that goes into the file, and the proof with the times that readers show */
static void encode(struct merged_recording *pair, struct sync_points *points, const struct guest_fit *fit,
		   struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	static const struct tsc_frequency unknown;
	static const struct host_times host;
	_cleanup_(freep) void *option = NULL;
	struct time_shift_reader reader = { 0 };
	char words[PROOF_WORDS_SIZE];
	struct merged_times times;
	struct fit_tally proof;
	size_t size;

	if (time_shift_encode(&points->shift, HOST_TRACE_ID, &option, &size))
		return;
	if (time_shift_decode(&reader, option, size))
		abort();
	times = (struct merged_times) { .guest = &reader, .host = &host };
	proof_make(&proof, fit, &pair->host.vcpus, &times);
	compare(pair, dat, buffer, fit, &proof, &times);
	proof_words(&proof, "events", fit->max_error, &unknown, words);
	time_shift_reader_release(&reader);
	if (!pair->host.times.bends || time_shift_compose(&points->shift, &pair->host.times.to_shown))
		return;
	freep(&option);
	option = NULL;
	if (!time_shift_encode(&points->shift, HOST_TRACE_ID, &option, &size) &&
	    time_shift_decode(&reader, option, size))
		abort();
	time_shift_reader_release(&reader);
}

/* Like prepare_rewrite() of guest_stamp.c: the time of each event, without a file to write */
static void rewrite(struct merged_recording *pair, const struct guest_fit_input *input, const struct guest_fit *fit)
{
	struct guest_timelines timelines;
	struct findings findings = { 0 };

	if (!guest_timelines_make(&timelines, input, fit, true, &findings))
		guest_timelines_doubt_jumps(&timelines, &pair->host.dat, &findings);
	for (size_t i = 0; i < timelines.dat->nr_buffers; i++) {
		const struct guest_timeline *timeline = &timelines.buffers[i].timeline;

		/* Each section has late events */
		for (size_t j = 0; j < timeline->nr_jumps; j++) {
			const struct timeline_jump *jump = &timeline->jumps[j];

			if (!jump->nr_events || jump->nr_undecided > jump->nr_events || jump->earlier > jump->host_tsc)
				abort();
		}
	}
	findings_release(&findings);
	guest_timelines_release(&timelines);
}

/*
 * Like read_both() and prepare() of stamp.c; the buffer is the top buffer
 * or, if it has no data, the first one with data
 */
static void stamp(struct merged_recording *pair)
{
	struct guest_fit_input input = { .host = &pair->host.host, .vcpus = &pair->host.vcpus };
	struct guest_buffer guest = { 0 };
	struct sync_points points = { 0 };
	struct guest_fit fit = { 0 };
	struct trace_dat dat;

	if (trace_dat_open(&dat, "guest", &pair->error))
		goto out;
	for (size_t i = 0; i < dat.nr_buffers; i++) {
		if (trace_dat_buffer_has_data(&dat.buffers[i]) && (!input.buffer || !*dat.buffers[i].name))
			input.buffer = &dat.buffers[i];
	}
	input.dat = &dat;
	if (!input.buffer || guest_buffer_read(&guest, &dat, input.buffer) ||
	    host_named_vm(&pair->host.host, NULL, guest.trace_id, &input.vm, &pair->error) ||
	    guest_fit_find(&fit, &input))
		goto out;
	/* stamp refuses these, see accept_fit(): the result would be wrong */
	if (fit.rivals || fit.corrected)
		goto out;
	if (!sync_points_build(&points, &pair->host.host, &fit.vcpus, &guest, false))
		encode(pair, &points, &fit, &dat, input.buffer);
	rewrite(pair, &input, &fit);
out:
	sync_points_release(&points);
	guest_fit_release(&fit);
	guest_buffer_release(&guest);
	trace_dat_close(&dat);
}

/* Returns: the size of the host's file; both files are empty if the input is too short */
static size_t split(const uint8_t *data, size_t size)
{
	uint32_t host;

	memory_files[0] = memory_files[1] = (struct memory_file) { data, 0 };
	if (size < sizeof(host))
		return 0;
	memcpy(&host, data, sizeof(host));
	size -= sizeof(host);
	data += sizeof(host);
	if (host > size)
		host = size;
	memory_files[0] = (struct memory_file) { data, host };
	memory_files[1] = (struct memory_file) { data + host, size - host };
	return host;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_check checked = { .guest.dat.fd = -1 };
	struct merged_recording pair = { .host.dat.fd = -1 };

	split(data, size);
	if (!open_pair(&pair)) {
		if (!pair.host.times.ambiguous && !check(&pair, &checked))
			export(&pair, &checked.guest);
		stamp(&pair);
	}
	guest_check_release(&checked);
	merged_recording_close(&pair);
	return 0;
}

/* Change one of the files, in place */
static void change_file(uint64_t *random, uint8_t *data, bool guest)
{
	uint8_t *file = data + (memory_files[guest].data - data);
	struct error error = { 0 };
	struct trace_dat dat;

	if (!trace_dat_open(&dat, guest ? "guest" : "host", &error))
		mutate_file(random, &dat, file);
	trace_dat_close(&dat);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint64_t random = seed;
	uint32_t host = split(data, size);
	size_t changed;

	if (prng(&random) % 8) {
		for (size_t times = 1 + prng(&random) % 2; times; times--)
			change_file(&random, data, prng(&random) % 3 == 0);
		return size;
	}
	if (size < sizeof(host) || prng(&random) % 2)
		return LLVMFuzzerMutate(data, size, max_size);
	/* Change the guest's file, which may become longer */
	changed = LLVMFuzzerMutate(data + sizeof(host) + host, size - sizeof(host) - host,
				   max_size - sizeof(host) - host);
	return sizeof(host) + host + changed;
}
