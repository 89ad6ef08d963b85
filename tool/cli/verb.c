// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "error.h"
#include "findings.h"
#include "input_file.h"
#include "verb.h"

/**
 * verb_status - with which status does a verb end?
 * @ret: 0 if it is done, anything else if it failed
 * @findings: what was found
 *
 * Returns: the status.
 */
enum exit_status verb_status(int ret, const struct findings *findings)
{
	if (ret)
		return EXIT_FAILED;
	return findings->nr_doubts ? EXIT_INCOMPLETE : EXIT_DONE;
}

/**
 * verb_end - print what was found, and why the verb failed
 * @ret: 0 if it is done, anything else if it failed
 * @error: then why, without a code if that was said before
 * @findings: what was found; released
 *
 * Returns: the status with which it ends.
 */
enum exit_status verb_end(int ret, const struct error *error, struct findings *findings)
{
	enum exit_status status = verb_status(ret, findings);

	findings_print(findings);
	if (ret && error->code)
		input_file_fail(error);
	findings_release(findings);
	return status;
}
