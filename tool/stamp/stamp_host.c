// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "host_file.h"
#include "stamp_host.h"

/**
 * stamp_host_open - read a host's file
 * @host: result; to be closed in any case
 * @path: the file
 * @changes: the events that record took itself, NULL without
 * @error: gets the reasons of failures from now on
 *
 * Returns: 0, or a negative errno with the reason in @error.
 */
int stamp_host_open(struct stamp_host *host, const char *path, const struct host_changes *changes, struct error *error)
{
	int ret;

	*host = (struct stamp_host) { .error = error };
	ret = trace_dat_open(&host->dat, path, error);
	if (!ret)
		ret = host_file_read(&host->host, &host->dat, changes);
	if (!ret)
		ret = host_times_read(&host->times, &host->host);
	return ret;
}

/**
 * stamp_host_vcpus - read when the vCPUs were in guest mode, unless that is done
 * @host: open; VMs that the user names are named by now
 *
 * Returns: 0, or a negative errno with the reason in @host->error.
 */
int stamp_host_vcpus(struct stamp_host *host)
{
	int ret = host->has_vcpus ? 0 : host_vcpus_read(&host->vcpus, &host->host);

	host->has_vcpus = !ret;
	return ret;
}

/**
 * stamp_host_close - free all that was read
 * @host: open, or failed to
 */
void stamp_host_close(struct stamp_host *host)
{
	host_vcpus_release(&host->vcpus);
	host_times_release(&host->times);
	host_release(&host->host);
	trace_dat_close(&host->dat);
}
