// SPDX-License-Identifier: GPL-2.0
/*
 * tsc-offset check: does what readers show of a guest fit its host? The proof is causality's; here is what
 * is said of it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "causality.h"
#include "check.h"
#include "guest_vcpus.h"
#include "host_trace.h"
#include "input_file.h"
#include "message.h"
#include "progress.h"
#include "time_shift_option.h"
#include "trace_dat.h"
#include "tsc2nsec.h"
#include "usage.h"

#define MAX_VIOLATIONS 10

/* What the command line asks for */
struct request {
	const char	*host_path;
	char		**guest_paths;
	size_t		nr_guests;
	const char	*vm;
	size_t		max_violations;
	bool		any_clock;
	bool		json;
	bool		help;
};

/**
 * struct guest_check - the check of one guest's file
 * @dat: the file
 * @reader: what readers correct it with
 * @has_time_shift: they do
 * @vm: the VM that it is
 * @causality: the result
 * @doubts: readers do not show what was checked, or not all could be
 */
struct guest_check {
	struct trace_dat		dat;
	struct time_shift_reader	reader;
	bool				has_time_shift;
	struct host_vm			*vm;
	struct causality		causality;
	bool				doubts;
};

/* What the CPUs of a buffer or of a file come to together */
struct sums {
	uint64_t	events;
	uint64_t	inside;
	uint64_t	violations;
	uint64_t	outside;
	uint64_t	unprovable;
};

enum verdict {
	FITS,
	VIOLATIONS,
	NOT_PROVABLE,
};

static void print_help(void)
{
	printf("Usage: tsc-offset check [OPTIONS] HOST.dat GUEST.dat...\n"
	       "\n"
	       "Prove that guests' files fit their host's, or that they do not: each event of a guest's\n"
	       "CPU must lie in a span of host time in which the host had that vCPU in guest mode, between\n"
	       "kvm_entry and kvm_exit, to the cycle. Times are taken as trace-cmd report and KernelShark\n"
	       "show them, whoever synchronised the files. All are recorded with -C x86-tsc, the host with\n"
	       "-e kvm:kvm_entry -e kvm:kvm_exit.\n"
	       "\n"
	       "      --vm ID             which VM of the host's file: its VMM's process or one of its\n"
	       "                          vCPUs' threads, or all of these with commas between them\n"
	       "      --max-violations N  list so many for each CPU (default: %d)\n"
	       "      --any-clock         the times are TSC values whatever the files say of the clock\n"
	       "      --json              for programs\n"
	       "  -h, --help\n"
	       "\n"
	       "For each CPU of a guest the table has its events, and how many of them are\n"
	       "  inside        in guest mode, as they must be\n"
	       "  violations    at times at which the vCPU did not run\n"
	       "  outside       before or after all that the host's file tells of the vCPU\n"
	       "  not provable  where the host lost events\n"
	       "and, without violations, by how many cycles all could be moved together and still fit:\n"
	       "the bound of their error.\n"
	       "\n"
	       "Exit status: %d proved, %d failed, %d wrong usage, %d violations, or nothing can be proved\n",
	       MAX_VIOLATIONS, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static void add_cpu(struct sums *sums, const struct causality_cpu *cpu)
{
	sums->events += cpu->events;
	sums->inside += cpu->inside;
	sums->violations += cpu->violations;
	sums->outside += cpu->outside;
	sums->unprovable += cpu->unprovable + cpu->unordered;
}

static struct sums buffer_sums(const struct causality_buffer *buffer)
{
	struct sums sums = { 0 };

	for (size_t i = 0; i < buffer->nr_cpus; i++)
		add_cpu(&sums, &buffer->cpus[i]);
	return sums;
}

static struct sums file_sums(const struct causality *causality)
{
	struct sums sums = { 0 };

	for (size_t i = 0; i < causality->nr_buffers; i++) {
		for (size_t j = 0; j < causality->buffers[i].nr_cpus; j++)
			add_cpu(&sums, &causality->buffers[i].cpus[j]);
	}
	return sums;
}

/* A buffer of which nothing is certain is not proved by another one */
static enum verdict verdict_of(const struct causality *causality)
{
	if (file_sums(causality).violations)
		return VIOLATIONS;
	if (!file_sums(causality).inside)
		return NOT_PROVABLE;
	for (size_t i = 0; i < causality->nr_buffers; i++) {
		struct sums sums = buffer_sums(&causality->buffers[i]);

		if (sums.events && !sums.inside)
			return NOT_PROVABLE;
	}
	return FITS;
}

static bool same_nanoseconds(const struct trace_dat *guest, const struct trace_dat *host)
{
	struct tsc2nsec a, b;
	bool guest_has = tsc2nsec_read(&a, guest);
	bool host_has = tsc2nsec_read(&b, host);

	if (!guest_has || !host_has)
		return guest_has == host_has;
	return a.mult == b.mult && a.shift == b.shift;
}

/* What readers do beside the correction, and what makes a correction doubtful */
static void note_options(struct guest_check *check, const struct trace_dat *host)
{
	uint64_t host_id = trace_dat_trace_id(host);

	if (!same_nanoseconds(&check->dat, host)) {
		message("%s: readers convert its times and those of %s to nanoseconds by different "
			"numbers, or only one of them: what they show does not fit; checked are the "
			"times before that", check->dat.path, host->path);
		check->doubts = true;
	}
	if (check->has_time_shift && host_id && check->reader.host_trace_id != host_id)
		message("%s: its TIME_SHIFT was made for another recording of the host; readers apply it "
			"all the same", check->dat.path);
}

static void note_buffers(struct guest_check *check)
{
	const struct causality *causality = &check->causality;

	for (size_t i = 0; i < causality->nr_buffers; i++) {
		const struct causality_buffer *buffer = &causality->buffers[i];
		const char *name = buffer->buffer->name;

		if (!buffer->checked && trace_dat_buffer_has_data(buffer->buffer)) {
			message("%s: %s%s%sits clock is \"%s\", not x86-tsc: not checked; record with "
				"-C x86-tsc", check->dat.path, *name ? "instance \"" : "", name,
				*name ? "\": " : "", buffer->clock);
			check->doubts = true;
		}
		if (buffer->checked && *name && check->has_time_shift)
			message("%s: readers do not correct the times of instance \"%s\"",
				check->dat.path, name);
	}
}

static bool is_checked(const struct causality *causality)
{
	for (size_t i = 0; i < causality->nr_buffers; i++) {
		if (causality->buffers[i].checked &&
		    trace_dat_buffer_has_data(causality->buffers[i].buffer))
			return true;
	}
	return false;
}

static int check_guest(struct guest_check *check, const struct request *request,
		       struct host_trace *host, const char *path)
{
	struct progress progress;
	struct causality_question question = {
		.host = host, .guest = &check->dat, .reader = &check->reader,
		.any_clock = request->any_clock, .max_listed = request->max_violations,
		.progress = &progress,
	};
	char why[1024];
	int ret;

	ret = trace_dat_open(&check->dat, path);
	if (ret)
		return input_file_fail(&check->dat, ret);
	ret = time_shift_option_read(&check->reader, &check->dat);
	if (ret < 0)
		return input_file_fail(&check->dat, ret);
	check->has_time_shift = ret;
	check->vm = host_trace_choose(host, request->vm, trace_dat_trace_id(&check->dat), why,
				      sizeof(why));
	if (!check->vm) {
		message("%s: %s: %s", path, request->host_path, why);
		return -ENOENT;
	}
	ret = guest_vcpus_match(check->vm, &check->dat);
	if (ret)
		return ret;
	question.vm = check->vm;
	note_options(check, host->dat);
	progress_begin(&progress, path, causality_bytes(host, &check->dat));
	ret = causality_check(&check->causality, &question);
	progress_end(&progress);
	if (ret)
		return input_file_fail(*check->dat.error ? &check->dat : host->dat, ret);
	note_buffers(check);
	if (!is_checked(&check->causality)) {
		if (!check->doubts)
			message("%s: no events in it", path);
		return -ENODATA;
	}
	return 0;
}

static void release_check(struct guest_check *check)
{
	causality_release(&check->causality);
	time_shift_reader_release(&check->reader);
	trace_dat_close(&check->dat);
}

/* "-41000 to +47000": how far all may be moved */
static void print_bound(const struct causality_cpu *cpu)
{
	if (cpu->violations || !cpu->inside) {
		printf("  -\n");
		return;
	}
	printf("  -%" PRIu64 " to ", cpu->earlier);
	if (cpu->later == CAUSALITY_NO_LIMIT)
		printf("?\n");
	else
		printf("+%" PRIu64 "\n", cpu->later);
}

static void print_span(const struct causality_span *span)
{
	if (span->entry)
		printf("%" PRIu64 " to ", span->entry);
	else
		printf("? to ");
	if (span->exit)
		printf("%" PRIu64, span->exit);
	else
		printf("?");
}

static void print_violations(const struct causality_cpu *cpu)
{
	if (!cpu->nr_listed)
		return;
	printf("CPU %u, the first %zu of %" PRIu64 " violations:\n", cpu->cpu, cpu->nr_listed,
	       cpu->violations);
	for (size_t i = 0; i < cpu->nr_listed; i++) {
		const struct causality_violation *violation = &cpu->listed[i];

		printf("  guest %" PRIu64 " shown at %" PRIu64 ": %" PRIu64 " after kvm_exit",
		       violation->guest_tsc, violation->host_tsc,
		       violation->host_tsc - violation->before.exit);
		if (violation->after.entry)
			printf(", %" PRIu64 " before kvm_entry",
			       violation->after.entry - violation->host_tsc);
		printf("; in guest mode ");
		print_span(&violation->before);
		printf(" and ");
		print_span(&violation->after);
		printf("\n");
	}
}

static void print_buffer(const struct causality_buffer *buffer)
{
	if (*buffer->buffer->name)
		printf("instance %s\n", buffer->buffer->name);
	printf("  CPU  vCPU       events       inside   violations      outside not provable"
	       "  may be moved by cycles\n");
	for (size_t i = 0; i < buffer->nr_cpus; i++) {
		const struct causality_cpu *cpu = &buffer->cpus[i];
		char vcpu[16] = "-";

		if (cpu->has_vcpu)
			snprintf(vcpu, sizeof(vcpu), "%u", cpu->vcpu_id);
		printf("%5u %5s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64,
		       cpu->cpu, vcpu, cpu->events, cpu->inside, cpu->violations, cpu->outside,
		       cpu->unprovable + cpu->unordered);
		print_bound(cpu);
	}
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		print_violations(&buffer->cpus[i]);
}

static void print_verdict(const struct guest_check *check)
{
	struct sums sums = file_sums(&check->causality);

	switch (verdict_of(&check->causality)) {
	case FITS:
		printf("%s: fits: %" PRIu64 " of %" PRIu64 " events are in guest mode", check->dat.path,
		       sums.inside, sums.events);
		if (sums.outside)
			printf(", %" PRIu64 " outside of what the host recorded", sums.outside);
		if (sums.unprovable)
			printf(", %" PRIu64 " cannot be proved", sums.unprovable);
		printf("\n");
		break;
	case VIOLATIONS:
		printf("%s: %" PRIu64 " violations\n", check->dat.path, sums.violations);
		break;
	case NOT_PROVABLE:
		printf("%s: nothing can be proved%s\n", check->dat.path, sums.inside ?
		       " of one of its buffers" : "");
		break;
	}
}

static void print_check(const struct guest_check *check, const struct request *request)
{
	const struct causality *causality = &check->causality;

	printf("%s: VM %d of %s, ", check->dat.path, check->vm->id, request->host_path);
	if (!check->has_time_shift)
		printf("without TIME_SHIFT\n");
	else
		printf("TIME_SHIFT with %s\n", check->reader.interpolate ? "interpolation" : "steps");
	for (size_t i = 0; i < causality->nr_buffers; i++) {
		if (causality->buffers[i].nr_cpus)
			print_buffer(&causality->buffers[i]);
	}
	print_verdict(check);
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

/* 0 is what is not known */
static void add_known(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, value ? json_object_new_uint64(value) : NULL);
}

static struct json_object *span_json(const struct causality_span *span)
{
	struct json_object *object = json_object_new_object();

	add_known(object, "entry", span->entry);
	add_known(object, "exit", span->exit);
	return object;
}

static struct json_object *violations_json(const struct causality_cpu *cpu)
{
	struct json_object *violations = json_object_new_array();

	for (size_t i = 0; i < cpu->nr_listed; i++) {
		const struct causality_violation *violation = &cpu->listed[i];
		struct json_object *object = json_object_new_object();

		add_number(object, "guest_tsc", violation->guest_tsc);
		add_number(object, "shown_at", violation->host_tsc);
		json_object_object_add(object, "guest_mode_before", span_json(&violation->before));
		json_object_object_add(object, "guest_mode_after", span_json(&violation->after));
		json_object_array_add(violations, object);
	}
	return violations;
}

static struct json_object *bound_json(const struct causality_cpu *cpu)
{
	struct json_object *bound;

	if (cpu->violations || !cpu->inside)
		return NULL;
	bound = json_object_new_object();
	add_number(bound, "earlier", cpu->earlier);
	json_object_object_add(bound, "later", cpu->later == CAUSALITY_NO_LIMIT ? NULL :
			       json_object_new_uint64(cpu->later));
	return bound;
}

static struct json_object *cpu_json(const struct causality_cpu *cpu)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "cpu", cpu->cpu);
	json_object_object_add(object, "vcpu_id", cpu->has_vcpu ?
			       json_object_new_uint64(cpu->vcpu_id) : NULL);
	json_object_object_add(object, "corrected", json_object_new_boolean(cpu->corrected));
	add_number(object, "events", cpu->events);
	add_number(object, "inside", cpu->inside);
	add_number(object, "violations", cpu->violations);
	add_number(object, "outside", cpu->outside);
	add_number(object, "unprovable", cpu->unprovable);
	add_number(object, "unordered", cpu->unordered);
	json_object_object_add(object, "may_be_moved", bound_json(cpu));
	json_object_object_add(object, "first_violations", violations_json(cpu));
	return object;
}

static struct json_object *buffer_json(const struct causality_buffer *buffer)
{
	struct json_object *object = json_object_new_object();
	struct json_object *cpus = json_object_new_array();

	add_text(object, "instance", buffer->buffer->name);
	add_text(object, "clock", buffer->clock);
	json_object_object_add(object, "checked", json_object_new_boolean(buffer->checked));
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		json_object_array_add(cpus, cpu_json(&buffer->cpus[i]));
	json_object_object_add(object, "cpus", cpus);
	return object;
}

static struct json_object *check_json(const struct guest_check *check)
{
	static const char *const verdicts[] = {
		[FITS] = "fits", [VIOLATIONS] = "violations", [NOT_PROVABLE] = "not provable",
	};
	struct json_object *object = json_object_new_object();
	struct json_object *buffers = json_object_new_array();
	struct sums sums = file_sums(&check->causality);

	add_text(object, "file", check->dat.path);
	json_object_object_add(object, "vm", json_object_new_int(check->vm->id));
	json_object_object_add(object, "time_shift", check->has_time_shift ?
			       json_object_new_string(check->reader.interpolate ? "interpolated" : "steps") :
			       NULL);
	add_text(object, "verdict", verdicts[verdict_of(&check->causality)]);
	add_number(object, "events", sums.events);
	add_number(object, "inside", sums.inside);
	add_number(object, "violations", sums.violations);
	add_number(object, "outside", sums.outside);
	add_number(object, "unprovable", sums.unprovable);
	for (size_t i = 0; i < check->causality.nr_buffers; i++)
		json_object_array_add(buffers, buffer_json(&check->causality.buffers[i]));
	json_object_object_add(object, "buffers", buffers);
	return object;
}

static void print_json(const char *host, struct json_object *guests)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "host", host);
	json_object_object_add(object, "guests", guests);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static enum exit_status check_guests(const struct request *request, struct host_trace *host)
{
	struct json_object *guests = json_object_new_array();
	enum exit_status status = EXIT_DONE;

	for (size_t i = 0; i < request->nr_guests; i++) {
		struct guest_check check = { .dat.fd = -1 };

		if (check_guest(&check, request, host, request->guest_paths[i])) {
			status = EXIT_FAILED;
		} else {
			if (request->json)
				json_object_array_add(guests, check_json(&check));
			else
				print_check(&check, request);
			if (status == EXIT_DONE &&
			    (check.doubts || verdict_of(&check.causality) != FITS))
				status = EXIT_INCOMPLETE;
		}
		release_check(&check);
	}
	if (request->json)
		print_json(request->host_path, guests);
	else
		json_object_put(guests);
	return status;
}

static int open_host(const struct request *request, struct trace_dat *dat, struct host_trace *host)
{
	int ret;

	ret = trace_dat_open(dat, request->host_path);
	if (!ret)
		ret = host_trace_read(host, dat);
	if (ret)
		return input_file_fail(dat, ret);
	if (!host->guest_modes) {
		message("%s: no kvm_entry in it: record the host with -C x86-tsc -e kvm", dat->path);
		return -ENODATA;
	}
	return request->any_clock ? 0 : input_file_check_clock(dat, host->guest_modes);
}

static bool parse_number(const char *text, size_t *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static enum exit_status parse(int argc, char **argv, struct request *request)
{
	enum { VM = 256, MAX, ANY_CLOCK, JSON };
	static const struct option options[] = {
		{ "vm",			required_argument,	NULL,	VM },
		{ "max-violations",	required_argument,	NULL,	MAX },
		{ "any-clock",		no_argument,		NULL,	ANY_CLOCK },
		{ "json",		no_argument,		NULL,	JSON },
		{ "help",		no_argument,		NULL,	'h' },
		{ NULL,			0,			NULL,	0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case VM:
			request->vm = optarg;
			break;
		case MAX:
			if (!parse_number(optarg, &request->max_violations) ||
			    request->max_violations > UINT32_MAX)
				return misuse(argv[0], "--max-violations wants a number, not '%s'",
					      optarg);
			break;
		case ANY_CLOCK:
			request->any_clock = true;
			break;
		case JSON:
			request->json = true;
			break;
		case 'h':
			request->help = true;
			return EXIT_DONE;
		case ':':
			return misuse(argv[0], "an argument is missing to '%s'", argv[optind - 1]);
		default:
			return misuse_option(argv, options);
		}
	}
	if (argc - optind < 2)
		return misuse(argv[0], "check wants HOST.dat and GUEST.dat");
	if (request->vm && argc - optind > 2)
		return misuse(argv[0], "--vm is of one GUEST.dat");
	request->host_path = argv[optind];
	request->guest_paths = argv + optind + 1;
	request->nr_guests = (size_t)(argc - optind - 1);
	return EXIT_DONE;
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { .max_violations = MAX_VIOLATIONS };
	struct trace_dat dat = { .fd = -1 };
	struct host_trace host = { 0 };
	enum exit_status status;

	status = parse(argc, argv, &request);
	if (status == EXIT_DONE && request.help)
		print_help();
	if (status != EXIT_DONE || request.help)
		return status;
	status = open_host(&request, &dat, &host) ? EXIT_FAILED : check_guests(&request, &host);
	host_trace_release(&host);
	trace_dat_close(&dat);
	return status;
}

const struct verb check_verb = {
	.name		= "check",
	.summary	= "prove that a guest's file fits its host's, or that it does not",
	.run		= run,
};
