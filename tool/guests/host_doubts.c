// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>

#include "guest_fit.h"
#include "host_choice.h"
#include "host_doubts.h"
#include "host_trace.h"
#include "host_vcpus.h"
#include "message.h"
#include "trace_dat.h"

/**
 * host_doubts_say - print what makes a host's file doubtful
 * @host: the host's file, read
 * @vcpus: its vCPUs, NULL or all zeros if they were not read
 *
 * Returns: how many messages that were.
 */
size_t host_doubts_say(const struct host_trace *host, const struct host_vcpus *vcpus)
{
	const struct host_clock *clock = &host->clock;
	size_t nr = 0;

	for (size_t i = 1; i < clock->nr_epochs; i++, nr++)
		message("%s: the host's own TSC went back, from %" PRIu64 " to %" PRIu64
			": did the host sleep? Readers show later events among earlier ones",
			host->dat->path, clock->epochs[i - 1].last, clock->epochs[i].first);
	if (vcpus && host_vcpus_lack_exits(vcpus)) {
		message("%s: kvm_exit is missing after %" PRIu64 " of %" PRIu64
			" kvm_entry: was it recorded with a filter? Nothing between such entries can be proved",
			host->dat->path, vcpus->missing_exits, vcpus->nr_entries);
		nr++;
	}
	return nr;
}

/**
 * host_doubts_say_shown_twice - print that readers show some of a host's times twice
 * @host_path: the host's file
 */
void host_doubts_say_shown_twice(const char *host_path)
{
	message("%s: readers show some of its times twice: the place of a guest's events among them is unknown", host_path);
}

/**
 * host_doubts_which_vm - print that nothing decides which VM a guest is, with the candidates
 * @host: the host's file, read
 * @fit: what was found
 * @guest_path: the guest's file
 */
void host_doubts_which_vm(const struct host_trace *host, const struct guest_fit *fit, const char *guest_path)
{
	char list[1024] = "";

	host_trace_list(host, list, sizeof(list));
	message("%s: %s%s%s; there are %zu VMs in %s, choose one with --vm%s", guest_path,
		fit->tally.inside ? "VM " : "cannot determine its VM", fit->tally.inside ? fit->vm->name : "",
		fit->tally.inside ? " and others fit equally" : "", host->nr_vms, host->dat->path, list);
}
