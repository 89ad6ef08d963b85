/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Compares a guest's file with its host's: which VM it is, or which VMs in sequence; which vCPU each of its CPUs is;
 * and which part of a vCPU's history applies to which events. Evidence decides (fit.h): the guest's events, a sample in
 * large files, must lie at times at which the host had their vCPUs in guest mode.
 */
#ifndef TSC_OFFSET_GUEST_FIT_H
#define TSC_OFFSET_GUEST_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "findings.h"
#include "fit.h"
#include "guest_sample.h"
#include "guest_vcpus.h"

struct host;
struct host_vcpus;
struct host_vm;
struct merged_times;
struct trace_dat;
struct trace_dat_buffer;

/**
 * struct guest_fit_input - the input
 * @host: the host's file
 * @vcpus: its vCPUs, with their initial offsets as far as known
 * @vm: the VM of the guest by the user or by another source, NULL without
 * @insist: the user named @vm
 * @dat: the guest's file, open
 * @buffer: the buffer to fit
 * @since: host TSC, in cycles, before which the guest recorded nothing
 * @shown: fit the times at which readers show the events; NULL to fit the guest's own
 * @of_another: the fit of another buffer of the file found VM and ratio: do not search for them
 * @scaling: the ratio of vCPUs for which the host reports none; NULL for 1
 */
struct guest_fit_input {
	const struct host			*host;
	const struct host_vcpus			*vcpus;
	const struct host_vm			*vm;
	bool					insist;
	struct trace_dat			*dat;
	const struct trace_dat_buffer		*buffer;
	uint64_t				since;
	const struct merged_times		*shown;
	bool					of_another;
	const struct tsc_mapping		*scaling;
};

/**
 * struct guest_fit - the result
 * @vm: the guest's VM, the last of several; NULL without
 * @name: its name, such as "VM 527 after VM 291"; owned
 * @vcpus: the guest's CPUs
 * @sample: the events that were used, with the times of the file
 * @tally: how these events fit
 * @rivals: other VMs also fit, or nothing decides between several VMs: none is chosen
 * @corrected: the times are the host's already: they fit unchanged
 * @scaling: the ratio that the fit found; @scaling.ratio is 0 without
 * @max_error: error bound of times in host cycles, if the fit found the ratio or an offset
 * @findings: uncertainties; owned
 * @apart: if shown times were fitted: CPUs that are shown outside of the host's recording although other CPUs
 *	contradict it. Otherwise, these are in @findings; owned
 * @fit: the fit; owned
 * @estimated: histories of vCPUs whose offset the fit estimated; owned
 */
struct guest_fit {
	const struct host_vm	*vm;
	char			*name;
	struct guest_vcpus	vcpus;
	struct guest_sample	sample;
	struct fit_tally	tally;
	bool			rivals;
	bool			corrected;
	struct tsc_mapping	scaling;
	uint64_t		max_error;
	struct findings		findings;
	struct findings		apart;
	struct fit		fit;
	struct vcpu_history	*estimated;
};

int guest_fit_find(struct guest_fit *fit, const struct guest_fit_input *input);
void guest_fit_doubt(const struct guest_fit *fit, const char *path, bool estimate, struct findings *findings);
void guest_fit_release(struct guest_fit *fit);

#endif /* TSC_OFFSET_GUEST_FIT_H */
