// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "findings.h"
#include "guest_file.h"
#include "guest_link.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "input_file.h"
#include "message.h"
#include "proof.h"
#include "record_proof.h"
#include "tsc2nsec.h"
#include "tsc_frequency.h"

/* The host's file, opened for the proof of all guests */
struct recording {
	struct error		error;
	struct trace_dat	dat;
	struct host		host;
	struct host_times	times;
	struct host_vcpus	vcpus;
};

static bool is_newer(const char *path, const struct timespec *begin)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	/* A file system may count in whole seconds */
	return st.st_mtim.tv_sec >= begin->tv_sec;
}

/* As trace-cmd names the files of guests: "HOST-*.dat" of "HOST.dat" */
static char *guest_pattern(const char *host_path)
{
	const char *dot = strrchr(host_path, '.');
	size_t length = dot && dot != host_path ? (size_t)(dot - host_path) : strlen(host_path);
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	for (size_t i = 0; host_path[i]; i++) {
		if (i == length)
			fputs("-*", file);
		if (strchr("*?[\\", host_path[i]))
			fputc('\\', file);
		fputc(host_path[i], file);
	}
	if (!host_path[length])
		fputs("-*", file);
	return fclose(file) ? NULL : text;
}

static int open_host(struct recording *recording, const char *path)
{
	int ret = trace_dat_open(&recording->dat, path, &recording->error);

	if (!ret)
		ret = host_file_read(&recording->host, &recording->dat);
	if (!ret)
		ret = host_times_read(&recording->times, &recording->host);
	return ret ? input_file_fail(&recording->error) : 0;
}

/* CPUs that fit no vCPU: nothing proves their times */
static void say_unknown(const struct recording *recording, const struct guest_file *guest)
{
	const struct guest_vcpus *vcpus = &guest->fit.vcpus;

	for (size_t cpu = 0; cpu < vcpus->nr; cpu++) {
		if (!vcpus->cpus[cpu].has_events || vcpus->cpus[cpu].known)
			continue;
		message("%s: CPU %zu fits none of the vCPUs of %s", guest->dat.path, cpu, recording->dat.path);
	}
}

static void say_guest(const struct recording *recording, struct guest_file *guest)
{
	struct tsc_frequency frequency;
	struct fit_tally tally;
	char words[PROOF_WORDS_SIZE];

	if (!guest->fit.sample.nr_cpus) {
		message("%s: not proved: its clock is not x86-tsc (-C x86-tsc)", guest->dat.path);
		return;
	}
	if (!tsc2nsec_frequency(&frequency, &recording->dat))
		tsc2nsec_frequency(&frequency, &guest->dat);
	proof_make(&tally, &guest->fit, &recording->vcpus, &guest->times);
	findings_print(&guest->fit.findings);
	say_unknown(recording, guest);
	message("%s: %s, %zu vCPU%s; %s", guest->dat.path, guest->fit.vm ? guest->fit.name : "no VM",
		guest->fit.vcpus.nr, guest->fit.vcpus.nr == 1 ? "" : "s",
		proof_words(&tally, "sampled events", guest->fit.max_error, &frequency, words));
	if (fit_tally_against(&tally) || (!tally.inside && fit_tally_events(&tally)))
		message("%s: its times are wrong; tsc-offset check lists where, and tsc-offset stamp makes them from the host's events",
			guest->dat.path);
}

/* Returns: true if the file is that of a guest of the recording, or damaged */
static bool prove_guest(struct recording *recording, const char *path)
{
	struct guest_file guest;
	bool is_guest = true;
	int ret;

	recording->error = (struct error) { 0 };
	ret = guest_file_open(&guest, path, &recording->host, &recording->times, NULL);
	if (!ret) {
		/* Another recording, whose file's name begins with that of this one, may have been made meanwhile */
		is_guest = guest_link_knows(&recording->dat, trace_dat_trace_id(&guest.dat));
		if (is_guest)
			ret = guest_file_find_vm(&guest, &recording->host, &recording->vcpus, false, false);
		if (is_guest && !ret)
			say_guest(recording, &guest);
	}
	if (ret)
		input_file_fail(&recording->error);
	guest_file_close(&guest);
	return is_guest;
}

static size_t nr_guests(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_options; i++)
		nr += dat->options[i].id == TRACE_DAT_GUEST;
	return nr;
}

static void say_host(const struct recording *recording, const struct host_vcpus *vcpus)
{
	struct findings findings = { 0 };

	host_findings_add(&findings, &recording->host, vcpus);
	findings_print(&findings);
	findings_release(&findings);
}

static void prove_guests(struct recording *recording, const glob_t *files, const struct timespec *begin)
{
	size_t all = nr_guests(&recording->dat), found = 0;

	if (!recording->host.guest_modes) {
		message("%s: it does not prove the guests' times: no kvm:kvm_entry in it (-e kvm)", recording->dat.path);
		return;
	}
	if (recording->times.ambiguous) {
		say_host(recording, NULL);
		host_refuse_shown_twice(&recording->host);
		input_file_fail(&recording->error);
		return;
	}
	for (size_t i = 0; i < files->gl_pathc; i++)
		found += is_newer(files->gl_pathv[i], begin) && prove_guest(recording, files->gl_pathv[i]);
	if (found < all)
		message("%s: no file was found of %zu of its %zu guests: not proved", recording->dat.path, all - found,
			all);
	say_host(recording, &recording->vcpus);
}

/**
 * record_proof_say - say whether the guests' files of a recording fit the host's
 * @host_path: the file of the host
 * @begin: when the recording began: what is older is not of it
 *
 * Whatever fails is said, and changes nothing: the recording is made.
 */
void record_proof_say(const char *host_path, const struct timespec *begin)
{
	_cleanup_(freep) char *pattern = guest_pattern(host_path);
	struct recording recording = { .dat.fd = -1 };
	glob_t files = { 0 };
	int ret;

	if (!is_newer(host_path, begin) || !pattern)
		return;
	ret = glob(pattern, 0, NULL, &files);
	if ((!ret || ret == GLOB_NOMATCH) && !open_host(&recording, host_path))
		prove_guests(&recording, &files, begin);
	host_vcpus_release(&recording.vcpus);
	host_times_release(&recording.times);
	host_release(&recording.host);
	trace_dat_close(&recording.dat);
	globfree(&files);
}
