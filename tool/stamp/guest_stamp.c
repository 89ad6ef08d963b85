// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "any.h"
#include "cleanup.h"
#include "convert_v6.h"
#include "copy_mark.h"
#include "guest_link.h"
#include "guest_mode_check.h"
#include "guest_rewrite.h"
#include "guest_stamp.h"
#include "host_choice.h"
#include "host_findings.h"
#include "inexact_times.h"
#include "initial_snapshot.h"
#include "input_file.h"
#include "output_file.h"
#include "progress.h"
#include "quiet_time.h"
#include "rewritten_mark.h"
#include "temporary_file.h"
#include "time_shift_compose.h"
#include "tsc2nsec.h"
#include "tsc_clock.h"
#include "tsc_frequency.h"
#include "vm_boots.h"

/* Is the guest's file itself modified? Otherwise a copy is written, which may also replace it. */
static bool is_in_place(const struct guest_stamp *stamp)
{
	return !stamp->options->out && !stamp->converted;
}

/* A rewritten file has no guest times that could be stamped */
static int check_unrewritten(struct guest_stamp *stamp)
{
	uint64_t host_trace_id, this_host = trace_dat_trace_id(&stamp->host->dat);

	if (!rewritten_mark_read(&stamp->dat, &host_trace_id))
		return 0;
	if (host_trace_id != this_host)
		return trace_dat_refuse(&stamp->dat, -EALREADY,
					"rewritten by 'stamp --rewrite' for another recording of the host: stamp the original file instead");
	stamp->is_done = true;
	return 0;
}

static int open_guest(struct guest_stamp *stamp)
{
	const struct guest_stamp_options *options = stamp->options;
	int ret;

	ret = trace_dat_open(&stamp->dat, options->guest_path, stamp->host->error);
	if (!ret)
		ret = check_unrewritten(stamp);
	if (ret || stamp->dat.version == 7 || options->rewrite)
		return ret;
	if (!options->out && !options->convert)
		return trace_dat_refuse(&stamp->dat, -ENOTSUP,
					"--in-place requires a file of version 7, this is version 6; without --in-place a copy of version 7 is written");
	ret = convert_v6(options->guest_path, options->out ? options->out : options->guest_path, &stamp->converted);
	if (ret)
		return ret;
	trace_dat_close(&stamp->dat);
	ret = trace_dat_open(&stamp->dat, stamp->converted, stamp->host->error);
	if (!ret && stamp->dat.version != 7)
		ret = trace_dat_refuse(&stamp->dat, -EIO, "trace-cmd convert left it at version %d",
				       stamp->dat.version);
	/* The user does not know the copy */
	stamp->dat.path = stamp->host->error->path = options->guest_path;
	return ret;
}

static void refuse_buffer(struct trace_dat *dat, const char *wanted)
{
	char list[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < dat->nr_buffers && used < sizeof(list); i++) {
		if (*dat->buffers[i].name)
			used += snprintf(list + used, sizeof(list) - used, ", \"%s\"", dat->buffers[i].name);
	}
	trace_dat_refuse(dat, -ENOENT, "no buffer \"%s\" in it; there %s the top buffer%s", wanted,
			 used ? "are" : "is only", list);
}

/*
 * Readers correct only the top buffer. An instance to be corrected replaces it.
 *
 * Returns: the buffer to correct, or NULL with the reason in the error.
 */
static const struct trace_dat_buffer *choose_buffer(struct guest_stamp *stamp)
{
	struct trace_dat *dat = &stamp->dat;
	const struct trace_dat_buffer *chosen = NULL;

	if (stamp->options->buffer) {
		chosen = trace_dat_buffer_by_name(dat, stamp->options->buffer);
		if (!chosen)
			refuse_buffer(dat, stamp->options->buffer);
		return chosen;
	}
	/* The top buffer if it has data, else the only one with data */
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &dat->buffers[i];

		if (!trace_dat_buffer_has_data(buffer))
			continue;
		if (!*buffer->name || !chosen)
			chosen = buffer;
	}
	for (size_t i = 0; i < dat->nr_buffers && !stamp->options->rewrite && !stamp->is_done; i++) {
		if (&dat->buffers[i] == chosen || !trace_dat_buffer_has_data(&dat->buffers[i]))
			continue;
		findings_doubt(&stamp->findings, FINDING_READERS,
			       "%s: readers will not correct the times of instance \"%s\"; use --rewrite, or --buffer %s for a file of it alone",
			       dat->path, dat->buffers[i].name, dat->buffers[i].name);
	}
	if (!chosen)
		trace_dat_refuse(dat, -ENODATA, "no events in it");
	return chosen;
}

static int check_clocks(struct guest_stamp *stamp, const struct trace_dat_buffer *buffer)
{
	const struct trace_dat_buffer *host_buffer =
		stamp->host->host.offsets ? stamp->host->host.offsets : stamp->host->host.guest_modes;
	int ret;

	ret = input_file_check_clock(&stamp->dat, buffer);
	if (!ret && host_buffer)
		ret = input_file_check_clock(&stamp->host->dat, host_buffer);
	return ret;
}

static int read_guest(struct guest_stamp *stamp)
{
	const struct trace_dat_buffer *buffer;
	int ret;

	ret = open_guest(stamp);
	if (ret || stamp->is_done)
		return ret;
	buffer = choose_buffer(stamp);
	if (!buffer)
		return stamp->host->error->code;
	ret = guest_buffer_read(&stamp->guest, &stamp->dat, buffer);
	if (!ret)
		ret = host_named_vm(&stamp->host->host, stamp->options->vm, stamp->guest.trace_id, &stamp->named,
				    stamp->host->error);
	return ret || stamp->options->any_clock ? ret : check_clocks(stamp, buffer);
}

/* Readers refuse a file with a damaged TIME_SHIFT, even if a later one is intact */
static int retire_damaged_shifts(struct guest_stamp *stamp)
{
	struct trace_dat *dat = &stamp->dat;
	int ret = 0;

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		struct time_shift_reader reader;

		if (option->id != TRACE_DAT_TIME_SHIFT)
			continue;
		ret = time_shift_decode(&reader, option->data, option->size);
		time_shift_reader_release(&reader);
		if (ret != -EBADMSG) {
			/* Readers ignore other options of this kind */
			ret = ret == -ENODATA ? 0 : ret;
			continue;
		}
		if (is_in_place(stamp))
			return trace_dat_fail(dat, -EBADMSG, option->offset,
					      "its TIME_SHIFT is damaged: readers refuse the file; use -o to write a copy without it");
		ret = trace_dat_edit_retire(&stamp->guest_edit, option->offset);
	}
	return ret;
}

static int add_time_shift(struct guest_stamp *stamp)
{
	_cleanup_(freep) void *option = NULL;
	size_t size;
	int ret = retire_damaged_shifts(stamp);

	if (ret)
		return ret;
	ret = time_shift_encode(&stamp->points.shift, stamp->host_trace_id, &option, &size);
	return ret ? ret : trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_TIME_SHIFT, option, size);
}

/*
 * Corrected times are the host's: they are converted into nanoseconds by the host's factors, or not at all. A
 * multiplier of 0 makes a reader forget its earlier factors, and the clock's name after it makes the reader forget that
 * times are in ns.
 */
static int add_tsc2nsec(struct guest_stamp *stamp)
{
	static const char clock[] = "[" TSC_CLOCK "]";
	struct tsc2nsec host, guest;
	bool host_has = tsc2nsec_read(&host, &stamp->host->dat);
	bool guest_has = tsc2nsec_read(&guest, &stamp->dat);
	int ret;

	if (!memcmp(&host, &guest, sizeof(host)) || (!host_has && !guest_has))
		return 0;
	ret = trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_TSC2NSEC, &host, sizeof(host));
	if (!ret && !host_has)
		ret = trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_TRACECLOCK, clock,
					 sizeof(clock));
	return ret;
}

/* Make readers add the same constants to the guest's times as to the host's */
static int add_offset(struct guest_stamp *stamp)
{
	uint64_t wanted = stamp->host->times.shown.added;
	int64_t added;
	char text[32];
	int ret = shown_times_read_added(&added, &stamp->dat);

	if (ret || (uint64_t)added == wanted)
		return ret;
	snprintf(text, sizeof(text), "%" PRId64, (int64_t)(wanted - (uint64_t)added));
	return trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_OFFSET, text, strlen(text) + 1);
}

/* Does any source have the ratio of the guest's TSC? */
static bool knows_scaling(const struct guest_stamp *stamp)
{
	return any_of(i, stamp->fit.vcpus.nr, vcpu_history_scaled(&stamp->fit.vcpus.cpus[i].history));
}

/*
 * KVM scales all vCPUs of a VM: if one seems not to be scaled, its ratio is unknown, for example because it was not
 * marked
 */
static void doubt_unscaled(struct guest_stamp *stamp)
{
	for (size_t i = 0; i < stamp->fit.vcpus.nr && knows_scaling(stamp); i++) {
		const struct guest_vcpu *vcpu = &stamp->fit.vcpus.cpus[i];

		if (!vcpu->has_events || vcpu_history_scaled(&vcpu->history))
			continue;
		findings_doubt(&stamp->findings, FINDING_SCALING,
			       "vCPU %" PRIu32 ": its scaling is unknown, but other vCPUs are scaled: its times may be wrong; use --initial-from",
			       vcpu->vcpu_id);
		return;
	}
}

/*
 * Kernels without our patches do not report that they scale a guest's TSC. Frequencies of host and guest that differ by
 * more than a thousandth show it.
 */
static void doubt_scaling(struct guest_stamp *stamp)
{
	struct tsc2nsec host, guest;
	unsigned __int128 a, b;

	if (!tsc2nsec_read(&host, &stamp->host->dat) || !tsc2nsec_read(&guest, &stamp->dat) ||
	    host.shift > 32 || guest.shift > 32 || knows_scaling(stamp))
		return;
	a = (unsigned __int128)host.mult << guest.shift;
	b = (unsigned __int128)guest.mult << host.shift;
	if ((a > b ? a - b : b - a) <= a / 1000)
		return;
	findings_doubt(&stamp->findings, FINDING_SCALING,
		       "the guest's TSC runs at another frequency than the host's, and the host's events do not report its scaling: times will drift; use --initial-from");
}

/* The instance's option BUFFER again, with the top buffer's name: none */
static int promote_buffer(struct guest_stamp *stamp)
{
	struct trace_dat *dat = &stamp->dat;
	const struct trace_dat_buffer *buffer = stamp->guest.buffer;
	const struct trace_dat_option *option = &dat->options[buffer->option];
	size_t name = sizeof(uint64_t), length = strlen(buffer->name);
	const char *clock = buffer->clock;
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	int ret = 0;

	if (!*buffer->name)
		return 0;
	if (is_in_place(stamp))
		return trace_dat_refuse(dat, -ENOTSUP,
					"instance \"%s\" cannot take the top buffer's place in the file itself, only in a copy (-o)",
					buffer->name);
	/* See trace_clock_is_tsc() for why the clock's old name may be wrong */
	data = malloc(option->size + sizeof(TSC_CLOCK));
	if (!data)
		return -ENOMEM;
	memcpy(data, option->data, name);
	data[name] = '\0';
	memcpy(data + name + 1, TSC_CLOCK, sizeof(TSC_CLOCK));
	size = name + 1 + sizeof(TSC_CLOCK);
	memcpy(data + size, option->data + name + length + 1 + strlen(clock) + 1,
	       option->size - name - length - strlen(clock) - 2);
	size += option->size - name - length - strlen(clock) - 2;
	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		if (dat->options[i].id == TRACE_DAT_BUFFER)
			ret = trace_dat_edit_retire(&stamp->guest_edit, dat->options[i].offset);
	}
	return ret ? ret : trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_BUFFER, data, size);
}

static bool has_vcpu(const struct host_vm *vm, uint32_t vcpu_id)
{
	return vm_history_find(&vm->history, vcpu_id) < vm->history.nr_vcpus;
}

/* The VM that is named as the guest, or all VMs */
static bool is_candidate(const struct guest_stamp *stamp, size_t vm)
{
	return !stamp->named || stamp->named == &stamp->host->host.vms[vm];
}

/* Each of the user's values must belong to an existing vCPU, whether the host saw it or not */
static int check_initial(struct guest_stamp *stamp)
{
	const struct initial_offsets *initial = &stamp->options->initial;

	for (size_t i = 0; i < initial->nr; i++) {
		uint32_t vcpu_id = initial->offsets[i].vcpu_id;
		bool found = vcpu_id < stamp->dat.nr_cpus;

		for (size_t vm = 0; vm < stamp->host->host.nr_vms && !found; vm++)
			found = is_candidate(stamp, vm) && has_vcpu(&stamp->host->host.vms[vm], vcpu_id);
		if (!found)
			return error_set(stamp->host->error, -ENOENT, NULL, "--initial: there is no vCPU %u%s%s",
					 vcpu_id,
					 stamp->named ? " in VM " : "", stamp->named ? stamp->named->name : "");
	}
	return 0;
}

/* vCPUs that the host did not see, but that have known values */
static int add_vcpus(struct host_vm *vm, const struct initial_offsets *initial)
{
	for (size_t i = 0; i < initial->nr; i++) {
		if (!vm_history_vcpu(&vm->history, initial->offsets[i].vcpu_id))
			return -ENOMEM;
	}
	return 0;
}

/* Known initial offsets of the VMs that the guest may be */
static int set_initial(struct guest_stamp *stamp)
{
	const struct guest_stamp_options *options = stamp->options;
	bool found = !options->initial_from;
	int ret = check_initial(stamp);

	stamp->initial = calloc(stamp->host->host.nr_vms + 1, sizeof(*stamp->initial));
	if (!stamp->initial)
		return -ENOMEM;
	for (size_t vm = 0; vm < stamp->host->host.nr_vms && !ret; vm++) {
		struct initial_offsets *values = &stamp->initial[vm];

		if (!is_candidate(stamp, vm))
			continue;
		for (size_t i = 0; i < options->initial.nr && !ret; i++)
			ret = initial_offsets_add(values, &options->initial.offsets[i]);
		if (!ret && options->initial_from)
			ret = initial_offsets_read(values, options->initial_from, &stamp->host->host,
						   &stamp->host->host.vms[vm],
						  &found, &stamp->findings);
		if (!ret)
			ret = add_vcpus(&stamp->host->host.vms[vm], values);
	}
	if (!ret && !found)
		ret = error_set(stamp->host->error, -ENOENT, options->initial_from, "%s%s is not in it",
				stamp->named ? "VM " : "no VM of the host's file",
				stamp->named ? stamp->named->name : "");
	return ret;
}

/* The time from which on the guest can have recorded events */
static int find_since(struct guest_stamp *stamp, uint64_t *since)
{
	const struct host *host = &stamp->host->host;
	const struct host_vm *vm = stamp->named ? stamp->named : host->nr_vms == 1 ? &host->vms[0] : NULL;
	struct vm_boots boots;
	int ret;

	*since = stamp->options->since;
	if (!stamp->options->boot)
		return 0;
	if (!vm)
		return error_set(stamp->host->error, -EINVAL, NULL,
				 "--boot requires --vm where the host's file has several VMs");
	ret = vm_boots_find(&boots, &vm->history);
	if (!ret && stamp->options->boot > boots.nr)
		ret = trace_dat_refuse(&stamp->host->dat, -ENOENT,
				       "VM %s has no boot %" PRIu64 "; 'tsc-offset show' lists %zu boot%s", vm->name,
				       stamp->options->boot, boots.nr, boots.nr == 1 ? "" : "s");
	else if (!ret)
		*since = boots.boots[stamp->options->boot - 1].host_tsc;
	vm_boots_release(&boots);
	return ret;
}

static int make_fit_input(struct guest_stamp *stamp, struct guest_fit_input *input)
{
	*input = (struct guest_fit_input) {
		.host = &stamp->host->host, .vcpus = &stamp->host->vcpus, .vm = stamp->named,
		.insist = stamp->options->vm, .dat = &stamp->dat, .buffer = stamp->guest.buffer,
	};
	return find_since(stamp, &input->since);
}

static int find_fit(struct guest_stamp *stamp)
{
	struct guest_fit_input input;
	int ret = make_fit_input(stamp, &input);

	if (ret)
		return ret;
	host_vcpus_set_initial(&stamp->host->vcpus, stamp->initial);
	guest_fit_release(&stamp->fit);
	return guest_fit_find(&stamp->fit, &input);
}

/* Use the offsets that the events show as initial offsets, and fit again */
static int estimate(struct guest_stamp *stamp)
{
	size_t vm = stamp->fit.vm ? (size_t)(stamp->fit.vm - stamp->host->host.vms) : 0;
	int ret;

	if (!stamp->host->host.guest_modes)
		return trace_dat_refuse(&stamp->host->dat, -ENODATA, "an estimate requires kvm:kvm_entry and kvm:kvm_exit");
	if (!stamp->fit.vm)
		return 0;
	ret = initial_offsets_estimate(&stamp->initial[vm], &stamp->host->dat, &stamp->fit.vcpus, &stamp->dat,
				      stamp->options->any_clock, &stamp->options->max_error, &stamp->findings);
	return ret ? ret : find_fit(stamp);
}

/* The user did not ask for an estimate, but nothing else can give the offsets */
static bool needs_estimate(struct guest_stamp *stamp)
{
	size_t nr = initial_offsets_lacking(&stamp->fit.vcpus);

	if (!stamp->options->may_estimate || !stamp->host->host.guest_modes || !stamp->fit.vm || !nr)
		return false;
	findings_doubt(&stamp->findings, FINDING_OFFSET,
		       "%s: the offset of %zu of its CPUs was not recorded, as it did not change while the host was recorded: estimated by the guest's events; use --initial-from or --initial for exact offsets",
		       stamp->dat.path, nr);
	return true;
}

/* Is the guest's VM certain enough? */
static int accept_fit(struct guest_stamp *stamp)
{
	const struct guest_fit *fit = &stamp->fit;

	if (fit->rivals) {
		findings_note(&stamp->findings, FINDING_VM,
			      "try each with 'stamp --vm VM -o FILE', then run check on the results");
		return host_refuse_vms(&stamp->host->host, fit, stamp->dat.path);
	}
	if (fit->corrected)
		return trace_dat_refuse(&stamp->dat, -EALREADY,
					"its times are the host's already: they fit better as they are than with its offsets; stamp the file as it was recorded, or merge this one as it is");
	return 0;
}

/* Estimate what the user wants estimated, or what nothing else can give: then all events have to fit */
static int estimate_unknown(struct guest_stamp *stamp)
{
	bool asked = stamp->options->estimate;
	uint64_t against;
	int ret;

	if (!asked && !needs_estimate(stamp))
		return 0;
	ret = estimate(stamp);
	against = fit_tally_against(&stamp->fit.tally);
	if (!ret && !asked && against)
		ret = trace_dat_refuse(&stamp->dat, -ENODATA, "the estimate does not fit %" PRIu64 " of its events",
				       against);
	return ret ? ret : accept_fit(stamp);
}

static int prove_by_all(struct guest_stamp *stamp, const struct merged_times *times)
{
	struct progress progress;
	struct guest_mode_check_input input = {
		.guest = &stamp->dat, .vcpus = &stamp->fit.vcpus, .begin = stamp->host->vcpus.begin,
		.end = stamp->host->vcpus.end, .file = times, .any_clock = true, .only = stamp->guest.buffer,
		.progress = &progress,
	};
	struct guest_mode_check result;
	int ret;

	progress_begin(&progress, stamp->dat.path, guest_mode_check_bytes(&stamp->dat, input.only));
	ret = guest_mode_check(&result, &input);
	progress_end(&progress);
	if (!ret)
		proof_of_all(&stamp->proof, &result);
	guest_mode_check_release(&result);
	return ret;
}

/* Each event gets its host time, and all events are the proof */
static int prepare_rewrite(struct guest_stamp *stamp)
{
	struct guest_fit_input input;
	int ret = make_fit_input(stamp, &input);

	if (!ret)
		ret = guest_timelines_make(&stamp->timelines, &input, &stamp->fit, stamp->options->any_clock,
					   &stamp->findings);
	if (ret)
		return ret;
	guest_timelines_doubt_jumps(&stamp->timelines, &stamp->host->dat, &stamp->findings);
	stamp->proof = stamp->timelines.tally;
	stamp->points.nr_changes = stamp->timelines.nr_changes;
	return 0;
}

/* Events at the times at which readers will show them */
static int prove(struct guest_stamp *stamp)
{
	/* All times here are the host's, whatever readers show */
	static const struct host_times host;
	_cleanup_(freep) void *option = NULL;
	struct time_shift_reader reader;
	const struct merged_times times = { .guest = &reader, .host = &host };
	size_t size;
	int ret;

	ret = time_shift_encode(&stamp->points.shift, stamp->host_trace_id, &option, &size);
	if (!ret)
		ret = time_shift_decode(&reader, option, size);
	if (ret)
		return ret;
	if (stamp->options->check_all && stamp->host->host.guest_modes)
		ret = prove_by_all(stamp, &times);
	else
		proof_make(&stamp->proof, &stamp->fit, &stamp->host->vcpus, &times);
	time_shift_reader_release(&reader);
	return ret ?: host_vcpus_error(&stamp->host->vcpus, &stamp->host->host);
}

/* The name of the proof's events */
static const char *proved_events(const struct guest_stamp *stamp)
{
	return stamp->options->check_all || stamp->options->rewrite ? "events" : "sampled events";
}

/* Readers show the host at other times than its own: map the guest's corrections to those */
static int compose(struct guest_stamp *stamp)
{
	int ret;

	if (!stamp->host->times.bends)
		return 0;
	ret = time_shift_compose(&stamp->points.shift, &stamp->host->times.to_shown);
	return ret ? trace_dat_refuse(&stamp->dat, ret, "cannot apply the corrections of %s to it: %s",
				      stamp->host->dat.path, strerror(-ret)) : 0;
}

/* Doubts: contradictions by events, and values that only events show */
static void doubt_fit(struct guest_stamp *stamp)
{
	const struct guest_fit *fit = &stamp->fit;
	const char *path = stamp->dat.path;

	if (guest_link_denies(&stamp->host->dat, fit->vm, stamp->guest.trace_id))
		findings_doubt(&stamp->findings, FINDING_VM,
			       "%s: %s says that VM %s is another recording's guest; the result is right only if this guest was recorded more than once meanwhile",
			       path, stamp->host->dat.path, fit->vm->name);
	guest_fit_doubt(fit, path, stamp->options->estimate, &stamp->findings);
	findings_move(&stamp->findings, &stamp->fit.findings);
	findings_move(&stamp->findings, &stamp->points.findings);
}

/* Why events may not fit */
static void doubt_proof(struct guest_stamp *stamp)
{
	const struct fit_tally *proof = &stamp->proof;
	const char *path = stamp->dat.path;

	if (proof->impossible)
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: %" PRIu64 " %s have times that the TSC of their vCPU never had on this host%s: were they recorded before the VM was restored or booted here, or by another VM?",
			       path, proof->impossible, proved_events(stamp),
			       stamp->options->boot ? " since that boot" :
			       stamp->options->since ? " since that time" : "");
	if (proof->violations)
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: %" PRIu64 " of %" PRIu64 " %s are at times at which their vCPU did not run: is its TSC scaled (--initial-from), is it another VM (--vm), did it migrate to another host, or are changes of its offset missing?",
			       path, proof->violations, fit_tally_events(proof), proved_events(stamp));
	if (proof->doubtful)
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: " QUIET_TIME_DOUBT, path, proof->doubtful, proved_events(stamp));
	/* A few events fit by chance, or are on one side of a change */
	if (!stamp->host->host.reports_changes && !stamp->host->host.marks.nr && proof->inside &&
	    proof->inside <= fit_tally_events(proof) / 2)
		findings_doubt(&stamp->findings, FINDING_HISTORY,
			       "%s: changes of offsets were not recorded, and only %" PRIu64 " of %" PRIu64 " %s are in guest mode with the initial offsets: record the host with -e kvm",
			       stamp->host->dat.path, proof->inside, fit_tally_events(proof), proved_events(stamp));
	/* say_what() prints that nothing is proved */
	stamp->findings.nr_doubts += stamp->host->host.guest_modes && !proof->inside;
}

static int add_mark(struct guest_stamp *stamp)
{
	_cleanup_(inexact_times_release) struct inexact_times inexact;
	struct trace_dat *dat = &stamp->dat;
	int ret = guest_timelines_inexact(&stamp->timelines, &inexact);

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		if (dat->options[i].id == TRACE_DAT_TIME_SHIFT)
			ret = trace_dat_edit_retire(&stamp->guest_edit, dat->options[i].offset);
	}
	if (!ret)
		ret = inexact_times_add(&stamp->guest_edit, &inexact);
	return ret ? ret : rewritten_mark_add(&stamp->guest_edit, dat, stamp->host_trace_id);
}

/* How readers get the host's times: from the file's pages, or by an option */
static int prepare_times(struct guest_stamp *stamp)
{
	int ret;

	ret = sync_points_build(&stamp->points, &stamp->host->host, &stamp->fit.vcpus, &stamp->guest,
				stamp->options->rewrite);
	if (!ret && stamp->options->rewrite)
		return prepare_rewrite(stamp);
	if (!ret)
		ret = prove(stamp);
	return ret ? ret : compose(stamp);
}

/* The mark of a rewritten file is a claim that its events must prove */
static int prove_rewritten(struct guest_stamp *stamp)
{
	static const struct time_shift_reader as_it_is;
	const struct merged_times times = { .guest = &as_it_is, .host = &stamp->host->times };
	struct guest_fit_input input = { .shown = &times };
	const struct fit_tally *tally = &stamp->fit.tally;
	int ret = host_recording_vcpus(stamp->host);

	if (!ret)
		ret = make_fit_input(stamp, &input);
	input.shown = &times;
	input.buffer = choose_buffer(stamp);
	if (!ret && !input.buffer)
		ret = stamp->host->error->code;
	if (!ret)
		ret = guest_fit_find(&stamp->fit, &input);
	if (!ret && (!tally->inside || fit_tally_against(tally)))
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: %" PRIu64 " of %" PRIu64 " sampled events are in guest mode at the times in the file: are they right? 'tsc-offset check' shows the others",
			       stamp->dat.path, tally->inside, fit_tally_events(tally));
	return ret;
}

static int prepare(struct guest_stamp *stamp)
{
	int ret = read_guest(stamp);

	if (ret)
		return ret;
	if (stamp->is_done)
		return prove_rewritten(stamp);
	ret = set_initial(stamp);
	if (!ret)
		ret = host_recording_vcpus(stamp->host);
	if (!ret)
		ret = find_fit(stamp);
	if (!ret)
		ret = accept_fit(stamp);
	if (!ret)
		ret = estimate_unknown(stamp);
	if (!ret)
		ret = prepare_times(stamp);
	if (ret)
		return ret;
	doubt_unscaled(stamp);
	doubt_scaling(stamp);
	stamp->host_trace_id = trace_dat_trace_id(&stamp->host->dat);
	ret = stamp->options->rewrite ? 0 : promote_buffer(stamp);
	if (!ret && stamp->options->linked_as) {
		stamp->host_trace_id = stamp->options->linked_as;
		ret = guest_link_trace_id(&stamp->guest_edit, &stamp->dat, &stamp->guest_trace_id);
	}
	/* What takes the original's place is all that there is of the recording */
	if (!ret && stamp->options->out)
		ret = copy_mark_add(&stamp->guest_edit, &stamp->dat);
	if (!ret)
		ret = stamp->options->rewrite ? add_mark(stamp) : add_time_shift(stamp);
	if (!ret)
		ret = add_tsc2nsec(stamp);
	if (!ret)
		ret = add_offset(stamp);
	return ret;
}

static void doubt(struct guest_stamp *stamp)
{
	host_findings_add(&stamp->findings, &stamp->host->host, &stamp->host->vcpus);
	if (stamp->host->times.ambiguous)
		host_doubt_shown_twice(&stamp->findings, &stamp->host->host);
	doubt_fit(stamp);
	doubt_proof(stamp);
}

/**
 * guest_stamp_prepare - prepare the changes of a guest's file, and prove the result
 * @stamp: result; must be released in any case
 * @options: the options; must be valid while @stamp is used
 * @host: the open host's file; must be valid too
 *
 * Writes nothing. @stamp->findings has the doubts, also after a failure.
 *
 * Returns: 0, or a negative errno, with the reason in @host->error if there is more than the findings.
 */
int guest_stamp_prepare(struct guest_stamp *stamp, const struct guest_stamp_options *options,
			struct host_recording *host)
{
	int ret;

	*stamp = (struct guest_stamp) { .options = options, .host = host, .dat.fd = -1 };
	ret = prepare(stamp);
	if (!ret && !stamp->is_done)
		doubt(stamp);
	findings_move(&stamp->findings, &stamp->points.findings);
	return ret;
}

/**
 * guest_stamp_write - write the prepared changes
 * @stamp: the prepared changes
 *
 * Returns: 0, or a negative errno; then all files are unchanged.
 */
int guest_stamp_write(struct guest_stamp *stamp)
{
	const struct guest_stamp_options *options = stamp->options;
	const char *out = options->out ? options->out : options->guest_path;
	int unsynced, ret;

	if (stamp->is_done)
		return 0;
	if (!options->rewrite && is_in_place(stamp))
		return trace_dat_edit_in_place(&stamp->dat, &stamp->guest_edit);
	if (options->rewrite)
		ret = guest_rewrite(&stamp->timelines, &stamp->host->times, &stamp->guest_edit, out, &unsynced);
	else
		ret = trace_dat_edit_copy(&stamp->dat, &stamp->guest_edit, out, &unsynced);
	if (!ret)
		output_file_say_unsynced(out, unsynced);
	return ret;
}

/**
 * guest_stamp_words - describe the result in one line
 * @stamp: the prepared changes
 * @words: GUEST_STAMP_WORDS_SIZE bytes
 *
 * Returns: @words.
 */
const char *guest_stamp_words(const struct guest_stamp *stamp, char *words)
{
	const struct sync_points *points = &stamp->points;
	struct tsc_frequency frequency;
	char proof[PROOF_WORDS_SIZE];

	if (!tsc2nsec_frequency(&frequency, &stamp->host->dat))
		tsc2nsec_frequency(&frequency, &stamp->dat);
	snprintf(words, GUEST_STAMP_WORDS_SIZE, "%s, %zu vCPU%s, %zu change%s; %s", stamp->fit.name, points->nr_vcpus,
		 points->nr_vcpus == 1 ? "" : "s", points->nr_changes, points->nr_changes == 1 ? "" : "s",
		 stamp->host->host.guest_modes ?
			 proof_words(&stamp->proof, proved_events(stamp), stamp->fit.max_error, &frequency, proof) :
			 "not proved, the host's file has no kvm_entry");
	return words;
}

/**
 * guest_stamp_release - free the changes
 * @stamp: the changes, also after a failure
 */
void guest_stamp_release(struct guest_stamp *stamp)
{
	findings_release(&stamp->findings);
	guest_timelines_release(&stamp->timelines);
	trace_dat_edit_release(&stamp->guest_edit);
	sync_points_release(&stamp->points);
	guest_fit_release(&stamp->fit);
	guest_buffer_release(&stamp->guest);
	for (size_t i = 0; stamp->initial && i < stamp->host->host.nr_vms; i++)
		initial_offsets_release(&stamp->initial[i]);
	free(stamp->initial);
	trace_dat_close(&stamp->dat);
	if (stamp->converted) {
		unlink(stamp->converted);
		temporary_file_forget(stamp->converted);
	}
	free(stamp->converted);
}
