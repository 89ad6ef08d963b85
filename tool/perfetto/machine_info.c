// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "machine_info.h"
#include "trace_dat.h"

/*
 * If Perfetto does not know the release, it decodes thread states as those of a kernel before 4.14. Such a kernel
 * cannot record what this project needs.
 */
#define RELEASE_UNKNOWN	"5.0.?"

static void take_word(char *word, const char *from, size_t size)
{
	snprintf(word, MACHINE_INFO_SIZE, "%.*s", (int)(size < MACHINE_INFO_SIZE ? size : MACHINE_INFO_SIZE - 1), from);
}

/* trace-cmd writes "SYSNAME NODENAME RELEASE MACHINE"; a node's name can have blanks */
static bool take_uname(struct machine_info *info, char *node, const char *text)
{
	const char *first = strchr(text, ' '), *last = strrchr(text, ' '), *release;

	if (!first || last <= first)
		return false;
	for (release = last - 1; release > first && *release != ' '; release--)
		;
	if (release == first)
		return false;
	take_word(info->sysname, text, (size_t)(first - text));
	take_word(node, first + 1, (size_t)(release - first - 1));
	take_word(info->release, release + 1, (size_t)(last - release - 1));
	take_word(info->machine, last + 1, strlen(last + 1));
	return true;
}

/**
 * machine_info_read - read the machine of a file
 * @info: result
 * @dat: the open file
 * @guest_name: for a guest: its name in the host's file, NULL without; NULL for a host
 */
void machine_info_read(struct machine_info *info, const struct trace_dat *dat, const char *guest_name)
{
	const struct trace_dat_option *option = trace_dat_option(dat, TRACE_DAT_UNAME);
	const char *file = strrchr(dat->path, '/');
	char node[MACHINE_INFO_SIZE] = "", text[4 * MACHINE_INFO_SIZE];

	*info = (struct machine_info) { .name = "" };
	snprintf(text, sizeof(text), "%.*s", option ? (int)option->size : 0, option ? (const char *)option->data : "");
	if (!take_uname(info, node, text)) {
		take_word(info->sysname, "Linux", strlen("Linux"));
		take_word(info->release, RELEASE_UNKNOWN, strlen(RELEASE_UNKNOWN));
	}
	file = file ? file + 1 : dat->path;
	if (guest_name && *guest_name)
		snprintf(info->name, sizeof(info->name), "%s", guest_name);
	else if (*node && strcmp(node, "(none)"))
		snprintf(info->name, sizeof(info->name), "%s (%.128s)", node, file);
	else
		snprintf(info->name, sizeof(info->name), "%.255s", file);
}
