// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "any.h"
#include "cleanup.h"
#include "default_files.h"
#include "guest_stamp.h"
#include "initial_estimate.h"
#include "sanitize.h"
#include "shell_word.h"
#include "stamp_trial.h"

/* Do all events of the proof fit? */
static bool fits(const struct fit_tally *proof)
{
	return proof->inside && !fit_tally_against(proof) && proof->outside <= proof->inside;
}

/*
 * Doubts that do not matter to check: about estimates, whose bounds the proof has, about the host, and in a rewritten
 * file about a TSC that jumped backward
 */
static bool is_acceptable(const struct finding *finding, bool rewrite)
{
	return !finding->doubt || finding->kind == FINDING_OFFSET || finding->kind == FINDING_HOST_CLOCK ||
	       finding->kind == FINDING_HOST_EVENTS || (rewrite && finding->kind == FINDING_BACKWARD);
}

/* Opens the host's file anew, because stamp adds what it estimates to a host's histories */
static bool would_fit(const struct stamp_trial_request *request, bool rewrite)
{
	/* It has a name, so that estimates are permitted and a copy is made; nothing is written */
	const struct guest_stamp_options options = {
		.guest_path = request->guest_path, .out = request->guest_path, .vm = request->vm,
		.any_clock = request->any_clock, .may_estimate = true, .max_error = ESTIMATE_LIMIT_DEFAULT,
		.rewrite = rewrite,
	};
	_cleanup_(host_recording_close) struct host_recording host;
	struct error error = { 0 };
	struct guest_stamp stamp;
	bool fit;

	if (host_recording_open(&host, request->host_path, NULL, &error) || host_recording_read_times(&host))
		return false;
	fit = !guest_stamp_prepare(&stamp, &options, &host) && !stamp.is_done && fits(&stamp.proof) &&
	      !any_of(i, stamp.findings.nr, !is_acceptable(&stamp.findings.list[i], rewrite));
	guest_stamp_release(&stamp);
	return fit;
}

/* stamp converts a file of version 6 first, unless it rewrites it: a trial must not write files */
static bool is_version_6(const char *path)
{
	struct error error = { 0 };
	struct trace_dat dat;
	bool is_it;

	is_it = !trace_dat_open(&dat, path, &error) && dat.version == 6;
	trace_dat_close(&dat);
	return is_it;
}

static char *command(const struct stamp_trial_request *request, bool rewrite)
{
	_cleanup_(freep) char *host = shell_word(request->host_path);
	_cleanup_(freep) char *guest = shell_word(request->guest_path);
	_cleanup_(freep) char *vm = shell_word(request->vm ? request->vm : "");
	char *text;

	if (!host || !guest || !vm ||
	    asprintf(&text, "tsc-offset stamp %s%s%s%s%s%s %s", rewrite ? "--rewrite " : "",
		     request->vm ? "--vm " : "", request->vm ? vm : "", request->vm ? " " : "",
		     request->any_clock ? "--any-clock " : "", host, guest) < 0)
		return NULL;
	return text;
}

/* The copy of a copy is no answer, and a name that is not text does not survive a terminal */
static bool can_be_named(const char *path)
{
	_cleanup_(freep) char *text = sanitized(path);
	const char *synced = strstr(path, SYNCED_INFIX ".");
	struct stat stat_of;

	return text && !strcmp(text, path) && !synced && !stat(path, &stat_of) && S_ISREG(stat_of.st_mode);
}

/**
 * stamp_trial_command - find the command that makes a guest's file fit its host's
 * @request: the files
 *
 * Reads both files, without a message.
 *
 * Returns: the command, to be freed; NULL if stamp does not help, or without memory.
 */
char *stamp_trial_command(const struct stamp_trial_request *request)
{
	if (!can_be_named(request->host_path) || !can_be_named(request->guest_path))
		return NULL;
	if (!is_version_6(request->guest_path) && would_fit(request, false))
		return command(request, false);
	return would_fit(request, true) ? command(request, true) : NULL;
}
