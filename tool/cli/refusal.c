// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "refusal.h"

#define LOCKDOWN	"/sys/kernel/security/lockdown"

/*
 * The kernel's file has all levels, "none [integrity] confidentiality", with the active one in brackets. "integrity"
 * locks debugfs, "confidentiality" also tracefs.
 */
static bool is_locked_down(char *level, size_t size)
{
	_cleanup_(fclosep) FILE *file = fopen(LOCKDOWN, "re");
	char line[128], *begin;

	if (!file || !fgets(line, sizeof(line), file))
		return false;
	begin = strchr(line, '[');
	if (!begin)
		return false;
	begin++;
	begin[strcspn(begin, "]\n")] = '\0';
	snprintf(level, size, "%s", begin);
	return strcmp(begin, "none");
}

/**
 * refusal_text - describe an error, and its cause if known
 * @error: an errno
 * @text: room for REFUSAL_SIZE bytes
 *
 * Returns: @text
 */
const char *refusal_text(int error, char *text)
{
	bool refused = error == EACCES || error == EPERM;
	char level[32];

	if (refused && geteuid())
		snprintf(text, REFUSAL_SIZE, "%s (this needs root)", strerror(error));
	else if (refused && is_locked_down(level, sizeof(level)))
		snprintf(text, REFUSAL_SIZE, "%s (the kernel is locked down: %s; see kernel_lockdown(7))",
			 strerror(error), level);
	else
		snprintf(text, REFUSAL_SIZE, "%s", strerror(error));
	return text;
}
