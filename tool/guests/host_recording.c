// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "host_file.h"
#include "host_findings.h"
#include "host_recording.h"
#include "input_file.h"

/**
 * host_recording_open - read a host's file
 * @host: result; must be closed in any case
 * @path: the file
 * @changes: the events that record captured, NULL without
 * @error: receives the reasons of failures from now on
 *
 * Returns: 0, or a negative errno with the reason in @error.
 */
int host_recording_open(struct host_recording *host, const char *path, const struct host_changes *changes,
			struct error *error)
{
	int ret;

	*host = (struct host_recording) { .error = error };
	ret = trace_dat_open(&host->dat, path, error);
	if (!ret)
		ret = host_file_read(&host->host, &host->dat, changes);
	return ret;
}

/**
 * host_recording_read_times - find how readers show its times
 * @host: the open file
 *
 * Returns: 0, or a negative errno with the reason in @host->error.
 */
int host_recording_read_times(struct host_recording *host)
{
	return host_times_read(&host->times, &host->host);
}

/**
 * host_recording_place - read its times, and check that guests' events can be placed among them
 * @host: the open file
 * @any_clock: treat times as TSC values, whatever clock the file names
 *
 * Returns: 0, also if the file does not show guest mode, or a negative errno with the reason in @host->error.
 */
int host_recording_place(struct host_recording *host, bool any_clock)
{
	int ret = host_recording_read_times(host);

	if (ret)
		return ret;
	if (host->times.ambiguous)
		return host_refuse_shown_twice(&host->host);
	return any_clock || !host->host.guest_modes ? 0 : input_file_check_clock(&host->dat, host->host.guest_modes);
}

/**
 * host_recording_vcpus - read when the vCPUs were in guest mode, unless already done
 * @host: the open file; VMs that the user names must have their names
 *
 * Returns: 0, or a negative errno with the reason in @host->error.
 */
int host_recording_vcpus(struct host_recording *host)
{
	return host->vcpus.vcpus ? 0 : host_vcpus_read(&host->vcpus, &host->host);
}

/**
 * host_recording_close - free a host's file
 * @host: the file, also after a failed open
 */
void host_recording_close(struct host_recording *host)
{
	host_vcpus_release(&host->vcpus);
	host_times_release(&host->times);
	host_release(&host->host);
	trace_dat_close(&host->dat);
}
