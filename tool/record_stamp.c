// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "findings.h"
#include "guest_link.h"
#include "guest_option.h"
#include "guest_stamp.h"
#include "host_changes.h"
#include "host_recording.h"
#include "input_file.h"
#include "message.h"
#include "output_file.h"
#include "record_files.h"
#include "record_ssh.h"
#include "record_stamp.h"
#include "trace_dat_edit.h"

/*
 * Does a file belong to a guest of this recording? Another recording with a longer name may have been made meanwhile.
 */
static bool is_guest(const struct host_recording *host, const char *path)
{
	struct error error = { 0 };
	struct trace_dat dat;
	bool known;

	/* One that cannot be read is reported when it is to be stamped */
	known = trace_dat_open(&dat, path, &error) || guest_option_knows(&host->dat, trace_dat_trace_id(&dat));
	trace_dat_close(&dat);
	return known;
}

static void say_failed(struct error *error, const char *path, int ret)
{
	char line[2 * ERROR_TEXT_SIZE];

	/* Without a reason, a conversion failed, which printed a message */
	if (ret == -ENOMEM)
		error_keep(error, ret, path);
	if (error->code)
		message("%s; %s is left as trace-cmd wrote it", error_line(error, line, sizeof(line)), path);
	else
		message("%s: left as trace-cmd wrote it", path);
}

/**
 * struct link - the links from the host's file to its guests
 * @edit: changes of the host's file
 * @trace_id: its TRACEID, which it gets for guests that trace-cmd does not know; 0 without one
 */
struct link {
	struct trace_dat_edit	edit;
	uint64_t		trace_id;
};

/*
 * The host's file lacks guests that trace-cmd does not know. If trace-cmd did not find a guest's process, the file has
 * an option that makes trace-cmd report fail.
 */
static void link_guest(struct link *link, const struct guest_stamp *stamp)
{
	const struct trace_dat *host = &stamp->host->dat;
	bool is_new = stamp->options->linked_as;
	uint64_t trace_id = is_new ? stamp->guest_trace_id : trace_dat_trace_id(&stamp->dat);
	int ret;

	if (host->version != 7 || !trace_id || !(is_new || guest_link_lacks_vcpus(host, trace_id)))
		return;
	ret = guest_link(&link->edit, host, stamp->fit.vm, &stamp->fit.vcpus, stamp->options->guest_path, trace_id);
	if (ret)
		message("%s: cannot add the vCPUs of %s: %s", host->path, stamp->options->guest_path, strerror(-ret));
}

/* @options: those that differ between guests */
static void stamp_guest(struct host_recording *host, const struct guest_stamp_options *options, struct link *link)
{
	const char *path = options->guest_path;
	char words[GUEST_STAMP_WORDS_SIZE];
	struct guest_stamp stamp;
	int ret;

	*host->error = (struct error) { 0 };
	ret = guest_stamp_prepare(&stamp, options, host);
	if (!ret)
		ret = guest_stamp_write(&stamp);
	/* Notes about a file are for users of stamp: after a recording only doubts matter */
	findings_drop_notes(&stamp.findings);
	findings_print(&stamp.findings);
	if (!ret)
		message("%s: %s%s", path, guest_stamp_words(&stamp, words),
			stamp.findings.nr_doubts ? "; a part is in doubt" : "");
	else
		say_failed(host->error, path, ret);
	if (!ret)
		link_guest(link, &stamp);
	guest_stamp_release(&stamp);
}

static size_t nr_guests(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_options; i++)
		nr += dat->options[i].id == TRACE_DAT_GUEST;
	return nr;
}

static bool is_one_of(char *const *paths, const char *path)
{
	for (; paths && *paths; paths++) {
		if (output_file_same(*paths, path))
			return true;
	}
	return false;
}

/*
 * trace-cmd does not know guests of --ssh. Returns: by which TRACEID they know the host's file; 0 if it cannot name
 * them
 */
static uint64_t begin_links(struct link *link, const struct host_recording *host)
{
	int ret;

	if (link->trace_id || host->dat.version != 7)
		return link->trace_id;
	ret = guest_link_trace_id(&link->edit, &host->dat, &link->trace_id);
	if (ret) {
		message("%s: cannot name its guests: %s", host->dat.path, strerror(-ret));
		link->trace_id = 0;
	}
	return link->trace_id;
}

/* @changes: without them, the host's file has to have the changes for guests of --ssh. Other files have trace-cmd's. */
static void stamp_guests(struct host_recording *host, const struct record_files *files, const glob_t *guests,
			 char *const *but, const struct record_ssh *ssh, const struct host_changes *changes,
			 bool rewrite)
{
	size_t all = changes ? nr_guests(&host->dat) : 0, found = 0;
	struct link link = { 0 };

	for (size_t i = 0; i < guests->gl_pathc; i++) {
		const char *path = guests->gl_pathv[i];
		bool is_new = ssh && record_ssh_has(ssh, path);
		const struct guest_stamp_options options = {
			.guest_path = path, .convert = true, .rewrite = rewrite, .max_error = ESTIMATE_LIMIT_DEFAULT,
			.linked_as = is_new ? begin_links(&link, host) : 0, .may_estimate = !changes,
		};

		if (!is_new && (!changes || !record_files_wrote(files, path) || !is_guest(host, path)))
			continue;
		found += !is_new;
		if (!is_one_of(but, path))
			stamp_guest(host, &options, &link);
	}
	if (found < all)
		message("%s: %zu of its %zu guests have no file", host->dat.path, all - found, all);
	if (link.edit.size && trace_dat_edit_in_place(&host->dat, &link.edit))
		input_file_fail(host->error);
	trace_dat_edit_release(&link.edit);
}

/**
 * record_stamp - write the history of their offsets into the guests' files of a recording, and report how they fit
 * @files: of the recording
 * @but: guests' files that are left as they are, and a NULL; NULL for none
 * @ssh: guests that trace-cmd does not know, NULL without
 * @changes: what was recorded during trace-cmd's recording; NULL if nothing was: only files of @ssh are written then
 * @rewrite: the events themselves are to have host times
 *
 * A failure is reported, and leaves the file unchanged.
 */
void record_stamp(const struct record_files *files, char *const *but, const struct record_ssh *ssh,
		  const struct host_changes *changes, bool rewrite)
{
	_cleanup_(globfree) glob_t guests = { 0 };
	struct host_recording host = { .dat.fd = -1 };
	struct error error = { 0 };
	int ret = files->error;

	if (!ret && !record_files_wrote(files, files->host_path))
		return;
	if (!ret)
		ret = record_files_guests(files, &guests);
	if (ret) {
		message("%s: cannot look for the files of its guests, which are left as trace-cmd wrote them: %s",
			files->host_path, strerror(-ret));
		return;
	}
	if (host_recording_open(&host, files->host_path, changes, &error) || host_recording_read_times(&host))
		input_file_fail(&error);
	else
		stamp_guests(&host, files, &guests, but, ssh, changes, rewrite);
	host_recording_close(&host);
}
