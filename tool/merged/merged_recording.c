// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "any.h"
#include "findings.h"
#include "host_findings.h"
#include "input_file.h"
#include "merged_recording.h"
#include "number.h"
#include "show_report.h"
#include "tsc2nsec.h"

static int open_host(struct merged_recording *recording)
{
	const struct merged_request *request = recording->request;
	struct host_recording *host = &recording->host;
	int ret = host_recording_open(host, request->host_path, NULL, &recording->error);

	if (ret)
		return ret;
	host_findings_add(recording->findings, &host->host, NULL);
	if (!host->host.guest_modes)
		findings_doubt(recording->findings, FINDING_HOST_EVENTS,
			       "%s: no kvm_entry in it: it is unknown when its VMs were in guest mode; record the host with -C x86-tsc -e kvm",
			       request->host_path);
	return host_recording_place(host, request->any_clock);
}

static size_t nr_jumps(const struct guest_file *guest)
{
	size_t jumps = 0;

	for (size_t i = 0; guest->vm && i < guest->vm->history.nr_vcpus; i++)
		jumps += show_report_jumps(&guest->vm->history.vcpus[i]);
	return jumps;
}

/* Readers treat an instance as a separate file, whose times they do not correct */
static bool has_instance(const struct guest_file *guest)
{
	return any_of(i, guest->dat.nr_buffers,
		      *guest->dat.buffers[i].name && trace_dat_buffer_has_data(&guest->dat.buffers[i]));
}

/* Readers do not or cannot show the guest's time on the host: the host's history may have it */
static int place_guest(struct merged_recording *recording, struct guest_file *guest)
{
	const struct merged_request *request = recording->request;
	int ret;

	if (guest->rewritten || (guest->shown.has_shift && !nr_jumps(guest) && !has_instance(guest)))
		return 0;
	ret = guest_file_place(guest, &recording->host.host, &recording->host.vcpus, request->vm, request->any_clock,
			       recording->findings);
	if (!ret && guest->placed && !guest->shown.has_shift)
		findings_note(recording->findings, FINDING_READERS,
			      "%s: not synchronised: its times are computed from the host's history of offsets",
			      guest->dat.path);
	return ret;
}

static void note_guest(struct merged_recording *recording, const struct guest_file *guest)
{
	const struct host_recording *host = &recording->host;

	if (!guest->shown.has_shift && !guest->rewritten && !guest->placed)
		findings_doubt(recording->findings, FINDING_READERS,
			       "%s: its times are the guest's own and readers do not correct them: synchronise it with 'tsc-offset stamp'",
			       guest->dat.path);
	if (guest->shown.has_shift && !guest->placed && has_instance(guest))
		findings_doubt(recording->findings, FINDING_READERS,
			       "%s: the times of its instances are the guest's own and readers do not correct them: synchronise it with 'tsc-offset stamp --rewrite'",
			       guest->dat.path);
	if (!guest_file_is_of(guest, &host->host))
		findings_doubt(recording->findings, FINDING_READERS,
			       "%s: its %s made for another recording of the host", guest->dat.path,
			       guest->rewritten ? "times were" : "TIME_SHIFT was");
	if (!shown_times_same_unit(&guest->shown, &host->times.shown))
		findings_doubt(recording->findings, FINDING_READERS,
			       "%s: readers convert its times and those of %s to nanoseconds by different factors, or only those of one file; all are converted by the host's factor here",
			       guest->dat.path, host->dat.path);
}

static int open_guests(struct merged_recording *recording)
{
	const struct merged_request *request = recording->request;
	struct host_recording *host = &recording->host;
	int ret = 0;

	recording->guests = calloc(request->nr_guests + 1, sizeof(*recording->guests));
	if (!recording->guests)
		return error_set(&recording->error, -ENOMEM, NULL, "no memory for %zu files", request->nr_guests);
	for (size_t i = 0; i < request->nr_guests && !ret; i++) {
		struct guest_file *guest = &recording->guests[recording->nr_guests++];

		ret = guest_file_open(guest, request->guest_paths[i], &host->host, &host->times, request->vm);
		if (!ret)
			ret = guest_file_find_vm(guest, &host->host, &host->vcpus, request->vm, request->any_clock);
		if (!ret)
			ret = place_guest(recording, guest);
		if (!ret)
			note_guest(recording, guest);
	}
	return ret;
}

/**
 * merged_recording_open - open a host's file and its guests' files, and find the host times of the guests' events
 * @recording: result; must be closed in any case
 * @request: the files; must be valid while @recording is used
 * @findings: receives doubts about the result; must be valid while @recording is used
 *
 * Returns: 0, also if some events have no place, which becomes a finding; or a negative errno with the reason in
 * @recording->error.
 */
int merged_recording_open(struct merged_recording *recording, const struct merged_request *request,
			  struct findings *findings)
{
	int ret;

	*recording = (struct merged_recording) { .request = request, .findings = findings, .host.dat.fd = -1 };
	ret = input_file_check_guests(request->host_path, request->guest_paths, request->nr_guests, &recording->error);
	if (!ret)
		ret = open_host(recording);
	if (!ret)
		ret = open_guests(recording);
	/* Without guests' files, nothing else may have requested them */
	return ret ? ret : host_recording_vcpus(&recording->host);
}

/**
 * merged_recording_parse_khz - parse the frequency of a host's TSC, for a verb_option
 * @khz: result, a uint64_t
 * @text: the user's text
 *
 * Returns: 0, or -EINVAL if it is not a valid frequency of a TSC.
 */
int merged_recording_parse_khz(void *khz, const char *text)
{
	struct tsc_frequency frequency;

	return number_parse(text, khz) && tsc_frequency_of_khz(&frequency, *(uint64_t *)khz) ? 0 : -EINVAL;
}

/**
 * merged_recording_frequency - get the frequency of the host's TSC
 * @recording: the open recording
 * @tsc_khz: frequency from the user, 0 without
 * @frequency: result; unknown without any source
 *
 * Returns: true if it is known.
 */
bool merged_recording_frequency(const struct merged_recording *recording, uint64_t tsc_khz,
				struct tsc_frequency *frequency)
{
	if (tsc_khz)
		return tsc_frequency_of_khz(frequency, tsc_khz);
	return tsc2nsec_frequency(frequency, &recording->host.dat);
}

static uint64_t bytes_of_file(const struct trace_dat *dat)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++)
			bytes += dat->buffers[i].cpus[j].size;
	}
	return bytes;
}

/**
 * merged_recording_bytes - get the amount of data
 * @recording: the open recording
 *
 * Returns: bytes of all events, the total for a progress.
 */
uint64_t merged_recording_bytes(const struct merged_recording *recording)
{
	uint64_t bytes = bytes_of_file(&recording->host.dat);

	for (size_t i = 0; i < recording->nr_guests; i++)
		bytes += bytes_of_file(&recording->guests[i].dat);
	return bytes;
}

static void review_guest(const struct merged_recording *recording, const struct guest_file *guest)
{
	const struct host_vm *vm = guest->vm;
	size_t gaps = 0, jumps = guest->placed || guest->rewritten ? 0 : nr_jumps(guest);

	for (size_t i = 0; vm && i < vm->history.nr_vcpus; i++)
		gaps += show_report_gaps(&vm->history.vcpus[i]);
	if (gaps)
		findings_doubt(recording->findings, FINDING_HISTORY,
			       "VM %s: changes of its TSC offsets may be missing, in %zu %s: guest times after them may be wrong; tsc-offset show says where",
			       vm->name, gaps, gaps == 1 ? "place" : "places");
	if (jumps)
		findings_doubt(recording->findings, FINDING_BACKWARD,
			       "VM %s: its TSC moved backward %zu time%s: some guest times are ambiguous and shown in the wrong place; tsc-offset show says which",
			       vm->name, jumps, jumps == 1 ? "" : "s");
}

/**
 * merged_recording_review - add findings about times without a correction
 * @recording: the open recording
 */
void merged_recording_review(const struct merged_recording *recording)
{
	for (size_t i = 0; i < recording->nr_guests; i++)
		review_guest(recording, &recording->guests[i]);
}

/**
 * merged_recording_close - free the recording
 * @recording: the recording, also after a failed open
 */
void merged_recording_close(struct merged_recording *recording)
{
	for (size_t i = 0; i < recording->nr_guests; i++)
		guest_file_close(&recording->guests[i]);
	free(recording->guests);
	host_recording_close(&recording->host);
	*recording = (struct merged_recording) { .host.dat.fd = -1 };
}
