// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "error.h"
#include "findings.h"
#include "input_file.h"
#include "verb.h"

/**
 * verb_status - get the exit status of a verb
 * @ret: 0 if it succeeded, another value if it failed
 * @findings: its findings
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
 * verb_end - print findings and the reason of a failure
 * @ret: 0 if it succeeded, another value if it failed
 * @error: the reason of a failure, without a code if it was printed before
 * @findings: its findings; released
 *
 * Returns: the exit status.
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
