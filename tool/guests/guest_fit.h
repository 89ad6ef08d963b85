/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's file compared with its host's: which VM it is of, or which VMs in sequence, which vCPU each of its CPUs is,
 * and which part of a vCPU's history holds for which of its events. Evidence decides (fit.h): the guest's events, some
 * of them for a large file, have to lie at times at which the host had their vCPUs in guest mode.
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
 * struct guest_fit_input - what is to be found out
 * @host: the host's file
 * @vcpus: its vCPUs, with what is known of their initial offsets
 * @vm: the VM that the guest is said to be, NULL if nothing says it
 * @insist: it is the user who says so
 * @dat: the guest's file, open
 * @buffer: the buffer that counts
 * @since: host TSC, in cycles, before which the guest recorded nothing
 * @shown: where readers show the guest's events, if these times are to fit; NULL if the guest's own are
 * @of_another: a fit of another buffer of the file has shown which VM it is and how its TSC is scaled: neither is looked
 *	for
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
 * struct guest_fit - what was found
 * @vm: the VM that the guest is, the last of several; NULL if there is none
 * @name: what it is called, as "VM 527 after VM 291"; owned
 * @vcpus: the guest's CPUs
 * @sample: the events that it was found with; their times are those of the file
 * @tally: how many of these fit
 * @rivals: other VMs fit as well, or nothing shows which of several it is: no choice is made
 * @corrected: the times are the host's already: they fit as they are
 * @scaling: the ratio that was found where nothing said it; @scaling.ratio is 0 without
 * @max_error: how far times may be wrong because the ratio or an offset was found by the events, in host cycles
 * @findings: what is not certain; owned
 * @apart: if the times that readers show were fitted: CPUs that these show outside of the host's recording, though
 *	others speak against it; else these are in @findings; owned
 * @fit: how it was found
 * @estimated: histories of vCPUs whose offset was found by events; owned
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
