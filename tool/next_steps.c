// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "default_files.h"
#include "error.h"
#include "input_file.h"
#include "next_steps.h"
#include "rewritten_mark.h"
#include "shell_word.h"
#include "trace_dat.h"

/* Names of other recordings are examples of what is there, not a list */
#define MAX_NAMES 6

static void print_name(const char *name)
{
	_cleanup_(freep) char *word = shell_word(name);

	fputs(word ? word : "?", stdout);
}

static void print_step(const char *what, const char *command)
{
	printf("  %-32s %s", what, command);
}

/* One that cannot be read is not to be synchronised either */
static bool lacks_times(const char *path)
{
	struct error error = { 0 };
	uint64_t host_trace_id;
	struct trace_dat dat;
	bool lacks;

	lacks = !trace_dat_open(&dat, path, &error) && !trace_dat_option(&dat, TRACE_DAT_TIME_SHIFT) &&
		!rewritten_mark_read(&dat, &host_trace_id);
	trace_dat_close(&dat);
	return lacks;
}

/* Returns: whether there is a guest's file that is not synchronised yet */
static bool print_stamp(const struct default_files *files)
{
	bool any = false;

	for (size_t i = 1; i < files->nr; i++) {
		if (!lacks_times(files->paths[i]))
			continue;
		if (!any) {
			print_step("Synchronise guests' files:", "tsc-offset stamp ");
			print_name(files->paths[0]);
		}
		putchar(' ');
		print_name(files->paths[i]);
		any = true;
	}
	if (any)
		putchar('\n');
	return any;
}

static void print_report(const struct default_files *files)
{
	print_step("Print them on one timeline:", "trace-cmd report");
	for (size_t i = 0; i < files->nr; i++) {
		fputs(" -i ", stdout);
		print_name(files->paths[i]);
	}
	putchar('\n');
}

static void print_for_host_and_guests(const struct default_files *files)
{
	printf("Next steps for ");
	for (size_t i = 0; i < files->nr; i++) {
		fputs(!i ? "" : i + 1 < files->nr ? ", " : " and ", stdout);
		print_name(files->paths[i]);
	}
	printf(" in this directory:\n");
	print_step("Print the TSC offsets:", "tsc-offset show ");
	print_name(files->paths[0]);
	putchar('\n');
	if (files->nr > 1) {
		bool lacks = print_stamp(files);

		print_step("Check whether times fit:", "tsc-offset check\n");
		print_step("Write a trace for Perfetto:", "tsc-offset export --perfetto trace.pftrace\n");
		if (!lacks)
			print_report(files);
	}
	print_step("Print where the time went:", "tsc-offset explain\n");
}

/* Returns: whether there is one */
static bool print_recordings(void)
{
	_cleanup_(globfree) glob_t found = { 0 };
	size_t nr = 0;

	if (glob("*.dat", 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc && nr <= MAX_NAMES; i++) {
		if (!input_file_is_recording(found.gl_pathv[i]))
			continue;
		fputs(!nr ? "Recordings in this directory: " : ", ", stdout);
		if (nr++ < MAX_NAMES)
			print_name(found.gl_pathv[i]);
		else
			fputs("...", stdout);
	}
	if (nr)
		putchar('\n');
	return nr;
}

static void print_without_host(void)
{
	if (print_recordings()) {
		print_step("Print the TSC offsets:", "tsc-offset show HOST.dat\n");
		print_step("Synchronise guests' files:", "tsc-offset stamp HOST.dat GUEST.dat...\n");
		print_step("Check whether times fit:", "tsc-offset check HOST.dat GUEST.dat\n");
		return;
	}
	printf("No recordings in this directory. Next steps on a KVM host, as root:\n");
	print_step("List the running VMs:", "tsc-offset vms\n");
	print_step("Print their TSC offsets:", "tsc-offset show\n");
	print_step("Record one with an agent in it:",
		   "tsc-offset record -e kvm -A NAME -e sched\n");
	print_step("Record one through ssh:", "tsc-offset record --ssh root@HOST -e kvm\n");
}

/**
 * next_steps_print - print commands for the recordings that the current directory has
 */
void next_steps_print(void)
{
	_cleanup_(default_files_release) struct default_files files = { 0 };
	struct error error = { 0 };

	if (default_files_find(&files, &error))
		input_file_fail(&error);
	else if (files.nr)
		print_for_host_and_guests(&files);
	else
		print_without_host();
}
