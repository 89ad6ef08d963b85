// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cleanup.h"
#include "convert_v6.h"
#include "findings.h"
#include "guest_file.h"
#include "guest_fit.h"
#include "guest_link.h"
#include "guest_mode_check.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "initial_estimate.h"
#include "initial_offsets.h"
#include "initial_snapshot.h"
#include "input_file.h"
#include "merged_times.h"
#include "message.h"
#include "options.h"
#include "output_file.h"
#include "progress.h"
#include "proof.h"
#include "sanitize.h"
#include "stamp.h"
#include "sync_points.h"
#include "temporary_file.h"
#include "time_shift_compose.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"
#include "tsc2nsec.h"
#include "tsc_clock.h"
#include "tsc_frequency.h"
#include "tsc_ratio.h"
#include "vm_boots.h"

/* Values of --check */
enum { CHECK_SAMPLE, CHECK_FULL };

/* What the command line asks for */
struct request {
	const char		*host_path;
	const char		*guest_path;
	const char		*out;
	const char		*vm;
	const char		*buffer;
	struct initial_offsets	initial;
	const char		*initial_from;
	struct estimate_limit	max_error;
	bool			estimate;
	bool			in_place;
	bool			link;
	bool			dry_run;
	bool			any_clock;
	unsigned int		check;		/* how many events: CHECK_SAMPLE or CHECK_FULL */
	uint64_t		boot;		/* number of the boot that was recorded, 0 if the user does not say */
	uint64_t		since;		/* host TSC before which nothing was recorded */
};

/* Everything that belongs to one run */
struct stamp {
	struct request		*request;
	struct error		error;
	struct trace_dat	host_dat;
	struct trace_dat	guest_dat;
	struct host		host;
	struct host_times	host_times;
	struct host_vcpus	host_vcpus;
	struct guest_buffer	guest;
	const struct host_vm	*named;		/* the VM that is said to be the guest, NULL without */
	struct guest_fit	fit;
	struct sync_points	points;
	struct fit_tally	proof;
	struct initial_offsets	*initial;	/* of each VM of the host; owned */
	struct trace_dat_edit	host_edit;
	struct trace_dat_edit	guest_edit;
	uint64_t		host_trace_id;
	uint64_t		guest_trace_id;
	char			*out;		/* owned */
	char			*host_out;	/* owned */
	char			*converted;	/* a version 7 of the guest's file, removed at the end; owned */
	struct findings		findings;
};

static void print_help(void)
{
	printf("Usage: tsc-offset stamp [OPTIONS] HOST.dat GUEST.dat\n"
	       "\n"
	       "Give a guest's file the history of its TSC offsets that the host's file holds,\n"
	       "so that trace-cmd report -i HOST.dat -i GUEST.synced.dat and KernelShark show\n"
	       "both on one timeline. GUEST.dat is not changed. No agent is needed. The guest's\n"
	       "events decide which VM and which vCPUs the file is of, and prove the result.\n"
	       "Both files are recorded with -C x86-tsc, the host's with\n"
	       "-e kvm:kvm_write_tsc_offset, better with kvm:kvm_entry and kvm:kvm_exit as well.\n"
	       "\n"
	       "  -o, --output FILE     write FILE instead of GUEST.synced.dat\n"
	       "  -i, --in-place        add it to GUEST.dat itself (version 7 only)\n"
	       "  -n, --dry-run         print what would be written, and write nothing\n"
	       "      --vm ID           the VM of the host's file, if the events do not decide\n"
	       "                        it: its name as show lists it, a thread of one of its\n"
	       "                        vCPUs, or all of these with commas; on the host itself,\n"
	       "                        while it runs, also its VMM's process\n"
	       "      --initial VCPU=OFFSET[,...]\n"
	       "                        offsets before the first change, in cycles\n"
	       "      --initial-from FILE\n"
	       "                        the same, from what show --json printed on the host\n"
	       "      --estimate        estimate unknown offsets: those with which the guest's\n"
	       "                        events lie at times at which its vCPUs ran; the host's\n"
	       "                        file needs kvm_entry and kvm_exit\n"
	       "      --max-error ERROR refuse estimates that may be wrong by more: 1ms (the\n"
	       "                        default), 50us, or cycles without a unit\n"
	       "      --since HOST_TSC  the guest recorded nothing before this host TSC: earlier\n"
	       "                        offsets are not considered\n"
	       "      --boot N          the same from the VM's boot N on, as show numbers boots\n"
	       "      --check sample|full\n"
	       "                        prove the result with a sample of the guest's events\n"
	       "                        (the default), or with every event, which takes longer\n"
	       "                        for large files\n"
	       "      --buffer NAME     the instance of the guest's file that readers are to\n"
	       "                        correct; it becomes the file's only buffer\n"
	       "      --link            write HOST.linked.dat as well, a copy that names its\n"
	       "                        guest, for KernelShark's plots of both and for the\n"
	       "                        guest's symbols in trace-cmd report\n"
	       "      --any-clock       take the times for TSC values, whatever clock is named\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but a part is in doubt\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static int open_guest(struct stamp *stamp)
{
	struct request *request = stamp->request;
	int ret;

	ret = trace_dat_open(&stamp->guest_dat, request->guest_path, &stamp->error);
	if (ret || stamp->guest_dat.version == 7)
		return ret;
	if (request->in_place)
		return trace_dat_refuse(&stamp->guest_dat, -ENOTSUP,
					"--in-place requires a file of version 7, this is version 6; without --in-place a copy of version 7 is written");
	ret = convert_v6(request->guest_path, stamp->out, &stamp->converted);
	if (ret)
		return ret;
	trace_dat_close(&stamp->guest_dat);
	ret = trace_dat_open(&stamp->guest_dat, stamp->converted, &stamp->error);
	if (!ret && stamp->guest_dat.version != 7)
		ret = trace_dat_refuse(&stamp->guest_dat, -EIO, "trace-cmd convert left it at version %d",
				       stamp->guest_dat.version);
	/* The user does not know the copy */
	stamp->guest_dat.path = stamp->error.path = request->guest_path;
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
 * Readers correct the top buffer and no other. An instance that is to be corrected takes its place.
 *
 * Returns: the buffer that counts, or NULL with the reason in the error.
 */
static const struct trace_dat_buffer *choose_buffer(struct stamp *stamp)
{
	struct trace_dat *dat = &stamp->guest_dat;
	const struct trace_dat_buffer *chosen = NULL;

	if (stamp->request->buffer) {
		chosen = trace_dat_buffer_by_name(dat, stamp->request->buffer);
		if (!chosen)
			refuse_buffer(dat, stamp->request->buffer);
		return chosen;
	}
	/* The top buffer if it has anything, else the only one that has */
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &dat->buffers[i];

		if (!trace_dat_buffer_has_data(buffer))
			continue;
		if (!*buffer->name || !chosen)
			chosen = buffer;
	}
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		if (&dat->buffers[i] == chosen || !trace_dat_buffer_has_data(&dat->buffers[i]))
			continue;
		findings_doubt(&stamp->findings, FINDING_READERS,
			       "%s: readers will not correct the times of instance \"%s\"; --buffer %s writes a file of it alone",
			       dat->path, dat->buffers[i].name, dat->buffers[i].name);
	}
	if (!chosen)
		trace_dat_refuse(dat, -ENODATA, "no events in it");
	return chosen;
}

static int check_clocks(struct stamp *stamp, const struct trace_dat_buffer *buffer)
{
	const struct trace_dat_buffer *host_buffer =
		stamp->host.offsets ? stamp->host.offsets : stamp->host.guest_modes;
	int ret;

	ret = input_file_check_clock(&stamp->guest_dat, buffer);
	if (!ret && host_buffer)
		ret = input_file_check_clock(&stamp->host_dat, host_buffer);
	return ret;
}

static int read_both(struct stamp *stamp)
{
	const struct trace_dat_buffer *buffer;
	int ret;

	ret = trace_dat_open(&stamp->host_dat, stamp->request->host_path, &stamp->error);
	if (!ret)
		ret = host_file_read(&stamp->host, &stamp->host_dat);
	if (!ret)
		ret = host_times_read(&stamp->host_times, &stamp->host);
	if (!ret)
		ret = open_guest(stamp);
	if (ret)
		return ret;
	buffer = choose_buffer(stamp);
	if (!buffer)
		return stamp->error.code;
	ret = guest_buffer_read(&stamp->guest, &stamp->guest_dat, buffer);
	if (!ret)
		ret = host_named_vm(&stamp->host, stamp->request->vm, stamp->guest.trace_id, &stamp->named,
				    &stamp->error);
	return ret || stamp->request->any_clock ? ret : check_clocks(stamp, buffer);
}

/* Readers refuse a file with a damaged TIME_SHIFT, also if a later one is not */
static int retire_damaged_shifts(struct stamp *stamp)
{
	struct trace_dat *dat = &stamp->guest_dat;
	int ret = 0;

	for (size_t i = 0; i < dat->nr_options && !ret; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		struct time_shift_reader reader;

		if (option->id != TRACE_DAT_TIME_SHIFT)
			continue;
		ret = time_shift_decode(&reader, option->data, option->size);
		time_shift_reader_release(&reader);
		if (ret != -EBADMSG) {
			/* Others are none to readers */
			ret = ret == -ENODATA ? 0 : ret;
			continue;
		}
		if (stamp->request->in_place)
			return trace_dat_fail(dat, -EBADMSG, option->offset,
					      "its TIME_SHIFT is damaged: readers refuse the file; use -o to write a copy without it");
		ret = trace_dat_edit_retire(&stamp->guest_edit, option->offset);
	}
	return ret;
}

static int add_time_shift(struct stamp *stamp)
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
 * Corrected times are the host's: they become nanoseconds by the host's numbers, or not at all. A reader
 * forgets its earlier numbers when it finds a multiplier of 0, and that times are in ns when it reads the
 * clock's name after that.
 */
static int add_tsc2nsec(struct stamp *stamp)
{
	static const char clock[] = "[" TSC_CLOCK "]";
	struct tsc2nsec host, guest;
	bool host_has = tsc2nsec_read(&host, &stamp->host_dat);
	bool guest_has = tsc2nsec_read(&guest, &stamp->guest_dat);
	int ret;

	if (!memcmp(&host, &guest, sizeof(host)) || (!host_has && !guest_has))
		return 0;
	ret = trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_TSC2NSEC, &host, sizeof(host));
	if (!ret && !host_has)
		ret = trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_TRACECLOCK, clock,
					 sizeof(clock));
	return ret;
}

/* Make readers add to the guest's times what they add to the host's */
static int add_offset(struct stamp *stamp)
{
	uint64_t wanted = stamp->host_times.shown.added;
	int64_t added;
	char text[32];
	int ret = shown_times_read_added(&added, &stamp->guest_dat);

	if (ret || (uint64_t)added == wanted)
		return ret;
	snprintf(text, sizeof(text), "%" PRId64, (int64_t)(wanted - (uint64_t)added));
	return trace_dat_edit_add(&stamp->guest_edit, TRACE_DAT_OFFSET, text, strlen(text) + 1);
}

/* Does anything say by how much the guest's TSC is scaled? */
static bool knows_scaling(const struct stamp *stamp)
{
	for (size_t i = 0; i < stamp->fit.vcpus.nr; i++) {
		if (vcpu_history_scaled(&stamp->fit.vcpus.cpus[i].history))
			return true;
	}
	return false;
}

/*
 * Kernels without our patches do not report that they scale a guest's TSC. Frequencies of both that differ by
 * more than a thousandth do.
 */
static void doubt_scaling(struct stamp *stamp)
{
	struct tsc2nsec host, guest;
	unsigned __int128 a, b;

	if (!tsc2nsec_read(&host, &stamp->host_dat) || !tsc2nsec_read(&guest, &stamp->guest_dat) ||
	    host.shift > 32 || guest.shift > 32 || knows_scaling(stamp))
		return;
	a = (unsigned __int128)host.mult << guest.shift;
	b = (unsigned __int128)guest.mult << host.shift;
	if ((a > b ? a - b : b - a) <= a / 1000)
		return;
	findings_doubt(&stamp->findings, FINDING_SCALING,
		       "the guest's TSC runs at another frequency than the host's, and the host's events do not report its scaling: times will drift; use --initial-from");
}

static int new_trace_id(uint64_t *id)
{
	do {
		if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
			return -EIO;
	} while (!*id);
	return 0;
}

static int ensure_trace_id(const struct trace_dat *dat, struct trace_dat_edit *edit, uint64_t *id)
{
	int ret;

	*id = trace_dat_trace_id(dat);
	if (*id)
		return 0;
	ret = new_trace_id(id);
	return ret ? ret : trace_dat_edit_add(edit, TRACE_DAT_TRACEID, id, sizeof(*id));
}

/* The instance's option BUFFER again, with the top buffer's name: none */
static int promote_buffer(struct stamp *stamp)
{
	struct trace_dat *dat = &stamp->guest_dat;
	const struct trace_dat_buffer *buffer = stamp->guest.buffer;
	const struct trace_dat_option *option = &dat->options[buffer->option];
	size_t name = sizeof(uint64_t), length = strlen(buffer->name);
	const char *clock = buffer->clock;
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	int ret = 0;

	if (!*buffer->name)
		return 0;
	if (stamp->request->in_place)
		return trace_dat_refuse(dat, -ENOTSUP,
					"instance \"%s\" cannot take the top buffer's place in the file itself, only in a copy (-o)",
					buffer->name);
	/* See trace_clock_is_tsc() for why the old name of the clock may be wrong */
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

static int link_host(struct stamp *stamp)
{
	int ret;

	if (stamp->host_dat.version != 7)
		return trace_dat_refuse(&stamp->host_dat, -ENOTSUP,
					"--link needs a file of version 7 (trace-cmd convert --file-version 7)");
	ret = ensure_trace_id(&stamp->host_dat, &stamp->host_edit, &stamp->host_trace_id);
	if (!ret)
		ret = ensure_trace_id(&stamp->guest_dat, &stamp->guest_edit, &stamp->guest_trace_id);
	if (!ret)
		ret = guest_link(&stamp->host_edit, &stamp->host_dat, stamp->fit.vm, &stamp->fit.vcpus,
				 stamp->request->guest_path, stamp->guest_trace_id);
	return ret;
}

static bool has_vcpu(const struct host_vm *vm, uint32_t vcpu_id)
{
	return vm_history_find(&vm->history, vcpu_id) < vm->history.nr_vcpus;
}

/* The VM that is said to be the guest, or all of them */
static bool is_candidate(const struct stamp *stamp, size_t vm)
{
	return !stamp->named || stamp->named == &stamp->host.vms[vm];
}

/* Each of the offsets that the user gives is of a vCPU that there is, seen by the host or not */
static int check_initial(struct stamp *stamp)
{
	const struct initial_offsets *initial = &stamp->request->initial;

	for (size_t i = 0; i < initial->nr; i++) {
		uint32_t vcpu_id = initial->offsets[i].vcpu_id;
		bool found = vcpu_id < stamp->guest_dat.nr_cpus;

		for (size_t vm = 0; vm < stamp->host.nr_vms && !found; vm++)
			found = is_candidate(stamp, vm) && has_vcpu(&stamp->host.vms[vm], vcpu_id);
		if (!found)
			return error_set(&stamp->error, -ENOENT, NULL, "--initial: there is no vCPU %u%s%s", vcpu_id,
					 stamp->named ? " in VM " : "", stamp->named ? stamp->named->name : "");
	}
	return 0;
}

/* vCPUs that the host did not see and of which something is known all the same */
static int add_vcpus(struct host_vm *vm, const struct initial_offsets *initial)
{
	for (size_t i = 0; i < initial->nr; i++) {
		if (!vm_history_vcpu(&vm->history, initial->offsets[i].vcpu_id))
			return -ENOMEM;
	}
	return 0;
}

/* What is known of initial offsets, of the VMs that the guest may be */
static int set_initial(struct stamp *stamp)
{
	struct request *request = stamp->request;
	bool found = !request->initial_from;
	int ret = check_initial(stamp);

	stamp->initial = calloc(stamp->host.nr_vms + 1, sizeof(*stamp->initial));
	if (!stamp->initial)
		return -ENOMEM;
	for (size_t vm = 0; vm < stamp->host.nr_vms && !ret; vm++) {
		struct initial_offsets *offsets = &stamp->initial[vm];

		if (!is_candidate(stamp, vm))
			continue;
		for (size_t i = 0; i < request->initial.nr && !ret; i++)
			ret = initial_offsets_add(offsets, &request->initial.offsets[i]);
		if (!ret && request->initial_from)
			ret = initial_offsets_read(offsets, request->initial_from, &stamp->host, &stamp->host.vms[vm],
						   &found, &stamp->findings);
		if (!ret)
			ret = add_vcpus(&stamp->host.vms[vm], offsets);
	}
	if (!ret && !found)
		ret = error_set(&stamp->error, -ENOENT, request->initial_from, "%s%s is not in it",
				stamp->named ? "VM " : "no VM of the host's file",
				stamp->named ? stamp->named->name : "");
	return ret;
}

/* The time from which on the guest can have recorded anything */
static int find_since(struct stamp *stamp, uint64_t *since)
{
	const struct host *host = &stamp->host;
	const struct host_vm *vm = stamp->named ? stamp->named : host->nr_vms == 1 ? &host->vms[0] : NULL;
	struct vm_boots boots;
	int ret;

	*since = stamp->request->since;
	if (!stamp->request->boot)
		return 0;
	if (!vm)
		return error_set(&stamp->error, -EINVAL, NULL,
				 "--boot requires --vm where the host's file has several VMs");
	ret = vm_boots_find(&boots, &vm->history);
	if (!ret && stamp->request->boot > boots.nr)
		ret = trace_dat_refuse(&stamp->host_dat, -ENOENT,
				       "VM %s has no boot %" PRIu64 "; 'tsc-offset show' lists %zu boot%s", vm->name,
				       stamp->request->boot, boots.nr, boots.nr == 1 ? "" : "s");
	else if (!ret)
		*since = boots.boots[stamp->request->boot - 1].host_tsc;
	vm_boots_release(&boots);
	return ret;
}

static int find_fit(struct stamp *stamp)
{
	struct guest_fit_input input = {
		.host = &stamp->host, .vcpus = &stamp->host_vcpus, .vm = stamp->named, .insist = stamp->request->vm,
		.dat = &stamp->guest_dat, .buffer = stamp->guest.buffer,
	};
	int ret = find_since(stamp, &input.since);

	if (ret)
		return ret;
	host_vcpus_set_initial(&stamp->host_vcpus, stamp->initial);
	guest_fit_release(&stamp->fit);
	return guest_fit_find(&stamp->fit, &input);
}

/* Use the offsets that the events show as initial offsets, and fit again */
static int estimate(struct stamp *stamp)
{
	size_t vm = stamp->fit.vm ? (size_t)(stamp->fit.vm - stamp->host.vms) : 0;
	int ret;

	if (!stamp->host.guest_modes)
		return trace_dat_refuse(&stamp->host_dat, -ENODATA, "an estimate needs kvm:kvm_entry and kvm:kvm_exit");
	if (!stamp->fit.vm)
		return 0;
	ret = initial_offsets_estimate(&stamp->initial[vm], &stamp->host_dat, &stamp->fit.vcpus, &stamp->guest_dat,
				       stamp->request->any_clock, &stamp->request->max_error, &stamp->findings);
	return ret ? ret : find_fit(stamp);
}

/* Is it certain enough what the guest's file is of? */
static int accept_fit(struct stamp *stamp)
{
	const struct guest_fit *fit = &stamp->fit;

	if (fit->rivals) {
		findings_note(&stamp->findings, FINDING_VM,
			      "try each with 'stamp --vm VM -o FILE', then run check on the results");
		return host_refuse_vms(&stamp->host, fit, stamp->guest_dat.path);
	}
	if (fit->corrected)
		return trace_dat_refuse(&stamp->guest_dat, -EALREADY,
					"its times are the host's already: they fit better as they are than with its offsets; stamp the file as it was recorded, or merge this one as it is");
	return 0;
}

static int prove_by_all(struct stamp *stamp, const struct merged_times *times)
{
	struct progress progress;
	struct guest_mode_check_input input = {
		.guest = &stamp->guest_dat, .vcpus = &stamp->fit.vcpus, .begin = stamp->host_vcpus.begin,
		.end = stamp->host_vcpus.end, .file = times, .any_clock = true, .only = stamp->guest.buffer,
		.progress = &progress,
	};
	struct guest_mode_check result;
	int ret;

	progress_begin(&progress, stamp->guest_dat.path, guest_mode_check_bytes(&stamp->guest_dat, input.only));
	ret = guest_mode_check(&result, &input);
	progress_end(&progress);
	if (!ret)
		proof_of_all(&stamp->proof, &result);
	guest_mode_check_release(&result);
	return ret;
}

/* Events at the times at which readers will show them */
static int prove(struct stamp *stamp)
{
	/* All is in the host's time here, whatever readers show of that */
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
	if (stamp->request->check == CHECK_FULL && stamp->host.guest_modes)
		ret = prove_by_all(stamp, &times);
	else
		proof_make(&stamp->proof, &stamp->fit, &stamp->host_vcpus, &times);
	time_shift_reader_release(&reader);
	return ret;
}

/* What the events of the proof are called */
static const char *proved_events(const struct stamp *stamp)
{
	return stamp->request->check == CHECK_FULL ? "events" : "sampled events";
}

/* Readers show the host at other times than its own: carry the guest's corrections to those */
static int compose(struct stamp *stamp)
{
	int ret;

	if (!stamp->host_times.bends)
		return 0;
	ret = time_shift_compose(&stamp->points.shift, &stamp->host_times.to_shown);
	return ret ? trace_dat_refuse(&stamp->guest_dat, ret, "cannot apply the corrections of %s to it: %s",
				      stamp->host_dat.path, strerror(-ret)) : 0;
}

static int prepare(struct stamp *stamp)
{
	int ret = set_initial(stamp);

	if (!ret)
		ret = host_vcpus_read(&stamp->host_vcpus, &stamp->host);
	if (!ret)
		ret = find_fit(stamp);
	if (!ret)
		ret = accept_fit(stamp);
	if (!ret && stamp->request->estimate) {
		ret = estimate(stamp);
		if (!ret)
			ret = accept_fit(stamp);
	}
	if (!ret)
		ret = sync_points_build(&stamp->points, &stamp->host, &stamp->fit.vcpus, &stamp->guest);
	if (!ret)
		ret = prove(stamp);
	if (!ret)
		ret = compose(stamp);
	if (ret)
		return ret;
	doubt_scaling(stamp);
	stamp->host_trace_id = trace_dat_trace_id(&stamp->host_dat);
	ret = promote_buffer(stamp);
	if (!ret && stamp->request->link)
		ret = link_host(stamp);
	if (!ret)
		ret = add_time_shift(stamp);
	if (!ret)
		ret = add_tsc2nsec(stamp);
	if (!ret)
		ret = add_offset(stamp);
	return ret;
}

/* Doubts: a fact that the events contradict, and what only the events show */
static void doubt_fit(struct stamp *stamp)
{
	const struct guest_fit *fit = &stamp->fit;
	const char *path = stamp->guest_dat.path;

	if (guest_link_denies(&stamp->host_dat, fit->vm, stamp->guest.trace_id))
		findings_doubt(&stamp->findings, FINDING_VM,
			       "%s: %s says that VM %s is another recording's guest; the result is right only if this guest was recorded more than once meanwhile",
			       path, stamp->host_dat.path, fit->vm->name);
	if (fit->scaling.ratio) {
		char ratio[TSC_RATIO_SIZE];

		findings_doubt(&stamp->findings, FINDING_SCALING,
			       "%s: its TSC runs at %s times the host's, which the host's events do not report: found by the guest's events, times may be wrong by %" PRIu64 " cycles; use --initial-from for the exact ratio",
			       path, tsc_ratio_text(&fit->scaling, ratio), fit->max_error);
	} else if (fit->max_error && !stamp->request->estimate) {
		findings_doubt(&stamp->findings, FINDING_OFFSET,
			       "%s: the offsets of the VM that it was before were not recorded: found by the guest's events, wrong by at most %" PRIu64 " cycles",
			       path, fit->max_error);
	}
	findings_move(&stamp->findings, &stamp->fit.findings);
	findings_move(&stamp->findings, &stamp->points.findings);
}

/* Why events may not fit */
static void doubt_proof(struct stamp *stamp)
{
	const struct fit_tally *proof = &stamp->proof;
	const char *path = stamp->guest_dat.path;

	if (proof->impossible)
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: %" PRIu64 " %s have times that the TSC of their vCPU never had on this host%s: were they recorded before the VM was restored or booted here, or by another VM?",
			       path, proof->impossible, proved_events(stamp),
			       stamp->request->boot ? " since that boot" : stamp->request->since ? " since that time" : "");
	if (proof->violations)
		findings_doubt(&stamp->findings, FINDING_PROOF,
			       "%s: %" PRIu64 " of %" PRIu64 " %s are at times at which their vCPU did not run: is its TSC scaled (--initial-from), is it another VM (--vm), did it migrate to another host, or are changes of its offset missing?",
			       path, proof->violations, fit_tally_events(proof), proved_events(stamp));
	/* say_what() prints that nothing is proved */
	stamp->findings.nr_doubts += stamp->host.guest_modes && !proof->inside;
}

static void doubt(struct stamp *stamp)
{
	host_findings_add(&stamp->findings, &stamp->host, &stamp->host_vcpus);
	if (stamp->host_times.ambiguous)
		host_doubt_shown_twice(&stamp->findings, &stamp->host);
	doubt_fit(stamp);
	doubt_proof(stamp);
}

static void say_what(const struct stamp *stamp)
{
	_cleanup_(freep) char *out = sanitized(stamp->request->in_place ? stamp->request->guest_path : stamp->out);
	_cleanup_(freep) char *host_out = sanitized(stamp->host_out ? stamp->host_out : "");
	struct tsc_frequency frequency;
	char words[PROOF_WORDS_SIZE];

	if (!tsc2nsec_frequency(&frequency, &stamp->host_dat))
		tsc2nsec_frequency(&frequency, &stamp->guest_dat);
	printf("%s: %s, %zu vCPU%s, %zu change%s; %s%s%s\n", out ? out : "?", stamp->fit.name, stamp->points.nr_vcpus,
	       stamp->points.nr_vcpus == 1 ? "" : "s", stamp->points.nr_changes, stamp->points.nr_changes == 1 ? "" : "s",
	       stamp->host.guest_modes ?
		       proof_words(&stamp->proof, proved_events(stamp), stamp->fit.max_error, &frequency, words) :
		       "not proved, the host's file has no kvm_entry",
	       stamp->request->dry_run ? " (not written)" : "", stamp->findings.nr_doubts ? "; a part is in doubt" : "");
	if (stamp->host_out)
		printf("%s: knows its guest%s\n", host_out ? host_out : "?",
		       stamp->request->dry_run ? " (not written)" : "");
}

static int write_copy(struct trace_dat *dat, const struct trace_dat_edit *edit, const char *out)
{
	int unsynced, ret = trace_dat_edit_copy(dat, edit, out, &unsynced);

	if (!ret)
		output_file_say_unsynced(out, unsynced);
	return ret;
}

static int write_both(struct stamp *stamp)
{
	int ret;

	/* The host's copy first: alone it does no harm */
	if (stamp->host_out) {
		ret = write_copy(&stamp->host_dat, &stamp->host_edit, stamp->host_out);
		if (ret)
			return ret;
	}
	if (stamp->request->in_place) {
		ret = trace_dat_edit_in_place(&stamp->guest_dat, &stamp->guest_edit);
		return ret;
	}
	return write_copy(&stamp->guest_dat, &stamp->guest_edit, stamp->out);
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

/* @over_recording: an earlier result has this name, unless the user found another one */
static int check_output(const struct request *request, const char *path, bool over_recording)
{
	if (output_file_same(path, request->host_path)) {
		message("%s: is the host's recording and is not replaced", path);
		return -EEXIST;
	}
	if (output_file_same(path, request->guest_path)) {
		message("%s: is the guest's recording and is not replaced; --in-place adds to it", path);
		return -EEXIST;
	}
	return output_file_check(path, over_recording);
}

/* Before anything is read: what would be lost is not worth waiting for */
static int check_outputs(const struct stamp *stamp)
{
	const struct request *request = stamp->request;
	int ret = 0;

	if (!request->in_place)
		ret = check_output(request, stamp->out, !request->out);
	if (!ret && stamp->host_out)
		ret = check_output(request, stamp->host_out, true);
	if (!ret && !request->in_place && stamp->host_out &&
	    output_file_same(stamp->out, stamp->host_out)) {
		message("%s: --output and --link would both write it", stamp->out);
		ret = -EEXIST;
	}
	return ret;
}

static enum exit_status stamp_files(struct request *request)
{
	struct stamp stamp = {
		.request = request, .host_dat.fd = -1, .guest_dat.fd = -1,
		.out = request->out ? strdup(request->out) : with_infix(request->guest_path, ".synced"),
		.host_out = request->link ? with_infix(request->host_path, ".linked") : NULL,
	};
	int ret = stamp.out && (stamp.host_out || !request->link) ? 0 : -ENOMEM;
	enum exit_status status;

	if (!ret)
		ret = input_file_check_other(request->host_path, request->guest_path, &stamp.error);
	if (!ret)
		ret = check_outputs(&stamp);
	if (!ret)
		ret = read_both(&stamp);
	if (!ret)
		ret = prepare(&stamp);
	if (!ret)
		doubt(&stamp);
	if (!ret && !request->dry_run)
		ret = write_both(&stamp);
	/* Of what failed as well */
	findings_move(&stamp.findings, &stamp.points.findings);
	findings_print(&stamp.findings);
	if (!ret) {
		say_what(&stamp);
		stamp.findings.nr_doubts += !request->dry_run &&
					    !output_file_reported(request->in_place ? request->guest_path : stamp.out);
	} else if (stamp.error.code) {
		input_file_fail(&stamp.error);
	} else if (ret == -ENOMEM) {
		message("out of memory");
	}
	status = ret ? EXIT_FAILED : stamp.findings.nr_doubts ? EXIT_INCOMPLETE : EXIT_DONE;
	findings_release(&stamp.findings);
	trace_dat_edit_release(&stamp.host_edit);
	trace_dat_edit_release(&stamp.guest_edit);
	sync_points_release(&stamp.points);
	guest_fit_release(&stamp.fit);
	guest_buffer_release(&stamp.guest);
	for (size_t i = 0; stamp.initial && i < stamp.host.nr_vms; i++)
		initial_offsets_release(&stamp.initial[i]);
	free(stamp.initial);
	host_vcpus_release(&stamp.host_vcpus);
	host_times_release(&stamp.host_times);
	host_release(&stamp.host);
	trace_dat_close(&stamp.guest_dat);
	trace_dat_close(&stamp.host_dat);
	if (stamp.converted) {
		unlink(stamp.converted);
		temporary_file_forget(stamp.converted);
	}
	free(stamp.converted);
	free(stamp.out);
	free(stamp.host_out);
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
			{ "vm", .string = &request->vm },
			{ "initial", .parse = parse_initial, .value = &request->initial,
			  .wants = "VCPU=OFFSET[,VCPU=OFFSET...], each vCPU once" },
			{ "initial-from", .string = &request->initial_from },
			{ "estimate", .flag = &request->estimate },
			{ "max-error", .parse = estimate_limit_parse, .value = &request->max_error,
			  .wants = ESTIMATE_LIMIT_WANTS, .requires = "estimate" },
			{ "since", .number = &request->since, .min = 1, .wants = "a host TSC in cycles" },
			{ "boot", .number = &request->boot, .min = 1, .wants = "a number as show lists it",
			  .excludes = "since" },
			{ "check", .word = &request->check, .wants = "'sample' or 'full'",
			  .words = { [CHECK_SAMPLE] = "sample", [CHECK_FULL] = "full" } },
			{ "buffer", .string = &request->buffer },
			{ "link", .flag = &request->link },
			{ "any-clock", .flag = &request->any_clock },
			{ "help", 'h', .print = print_help },
		},
	};

	if (!options_read(&options, &argc, &argv, status))
		return false;
	request->host_path = argv[0];
	request->guest_path = argv[1];
	return true;
}

static enum exit_status run_stamp(int argc, char **argv)
{
	struct request request = { .max_error = ESTIMATE_LIMIT_DEFAULT };
	enum exit_status status;

	if (parse(argc, argv, &request, &status))
		status = stamp_files(&request);
	initial_offsets_release(&request.initial);
	return status;
}

const struct verb stamp_verb = {
	.name		= "stamp",
	.summary	= "synchronise a guest's file that was recorded without an agent",
	.run		= run_stamp,
};
