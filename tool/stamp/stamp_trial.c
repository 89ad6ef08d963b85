// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdio.h>

#include "any.h"
#include "cleanup.h"
#include "guest_stamp.h"
#include "initial_estimate.h"
#include "shell_word.h"
#include "stamp_trial.h"

/* Do all events of the proof fit? */
static bool fits(const struct fit_tally *proof)
{
	return proof->inside && !fit_tally_against(proof) && proof->outside <= proof->inside;
}

/* @ambiguous: result: a TSC jumped backward, so that only rewritten times are all right */
static bool would_fit(struct stamp_trial *trial, const struct stamp_trial_request *request, bool rewrite,
		      bool *ambiguous)
{
	/* It has a name, so that estimates are permitted and a copy is made; nothing is written */
	const struct guest_stamp_options options = {
		.guest_path = request->guest_path, .out = request->guest_path, .vm = request->vm,
		.any_clock = request->any_clock, .may_estimate = true, .max_error = ESTIMATE_LIMIT_DEFAULT,
		.rewrite = rewrite,
	};
	struct guest_stamp stamp;
	bool fit;

	trial->error = (struct error) { 0 };
	fit = !guest_stamp_prepare(&stamp, &options, &trial->host) && !stamp.is_done && fits(&stamp.proof);
	*ambiguous = any_of(i, stamp.findings.nr, stamp.findings.list[i].kind == FINDING_BACKWARD);
	guest_stamp_release(&stamp);
	return fit;
}

static bool open_host(struct stamp_trial *trial, const char *path)
{
	if (!trial->is_open) {
		trial->is_open = true;
		trial->usable = !host_recording_open(&trial->host, path, NULL, &trial->error) &&
				!host_recording_read_times(&trial->host);
	}
	return trial->usable;
}

/* stamp converts a file of version 6 first, unless it rewrites it: a trial must not write files */
static bool is_version_6(struct stamp_trial *trial, const char *path)
{
	struct trace_dat dat;
	bool is_it;

	trial->error = (struct error) { 0 };
	is_it = !trace_dat_open(&dat, path, &trial->error) && dat.version == 6;
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

/**
 * stamp_trial_command - find the command that makes a guest's file fit its host's
 * @trial: the host's file; all zeros before the first call, to be released in any case
 * @request: the files
 *
 * Reads both files, without a message.
 *
 * Returns: the command, to be freed; NULL if stamp does not help, or without memory.
 */
char *stamp_trial_command(struct stamp_trial *trial, const struct stamp_trial_request *request)
{
	bool plain, ambiguous;

	if (!open_host(trial, request->host_path))
		return NULL;
	plain = !is_version_6(trial, request->guest_path) && would_fit(trial, request, false, &ambiguous);
	if (plain && !ambiguous)
		return command(request, false);
	if (would_fit(trial, request, true, &ambiguous))
		return command(request, true);
	return plain ? command(request, false) : NULL;
}

/**
 * stamp_trial_release - close the host's file
 * @trial: the file, also if all zeros
 */
void stamp_trial_release(struct stamp_trial *trial)
{
	if (trial->is_open)
		host_recording_close(&trial->host);
}
