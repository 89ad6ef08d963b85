// SPDX-License-Identifier: GPL-2.0
/*
 * tsc-offset record: trace-cmd record with the time-synchronisation hook in place.
 *
 * This process becomes trace-cmd, so that exit status, signals and terminal are trace-cmd's own.
 * Whatever is wrong with the hook is said once and costs the hook only, never the recording.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "message.h"
#include "plugin_file.h"
#include "preload.h"
#include "record.h"

/* What the hook needs of trace-cmd, and how the names of its library begin */
#define HOOK_SYMBOL	"tracecmd_tsync_proto_register"
#define HOOK_PREFIX	"tracecmd_"

static void print_help(void)
{
	printf("Usage: tsc-offset record ARGUMENTS\n"
	       "\n"
	       "trace-cmd record, with a hook: a guest's file (-A) gets the exact history of its\n"
	       "TSC offsets instead of two samples of it. All arguments are trace-cmd's and go to\n"
	       "it unchanged, see trace-cmd-record(1). So is the exit status.\n"
	       "\n"
	       "  -h, --help         as the first argument\n"
	       "\n"
	       "Where the hook cannot be used, a line on standard error says why, and the\n"
	       "recording is made with the protocol that trace-cmd has.\n"
	       "\n"
	       "Environment:\n"
	       "  TRACE_CMD          the trace-cmd to run (default: the one in PATH)\n"
	       "  TSC_OFFSET_PLUGIN  the shared object with the hook (default: the build tree's\n"
	       "                     if run from one, else the installed one)\n");
}

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* As execvp() would find it, but before: its file has to be looked at. To be freed. */
static char *find_program(const char *name)
{
	const char *dirs = getenv("PATH");
	const char *dir, *end;
	char *path;

	if (strchr(name, '/'))
		return is_program(name) ? strdup(name) : NULL;

	/* execvp()'s own choice without a PATH */
	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (dir = dirs;; dir = end + 1) {
		end = strchrnul(dir, ':');
		/* An empty entry is the current directory */
		if (asprintf(&path, "%.*s%s%s", (int)(end - dir), dir, end == dir ? "./" : "/",
			     name) < 0)
			return NULL;
		if (is_program(path))
			return path;
		free(path);
		if (!*end)
			return NULL;
	}
}

static void say_stock(const char *subject, const char *why)
{
	message("recording with trace-cmd's own protocol: %s: %s", subject, why);
}

static void put_hook_in_place(const char *trace_cmd)
{
	const char *why = preload_obstacle(trace_cmd, HOOK_SYMBOL, HOOK_PREFIX);
	_cleanup_(freep) char *plugin = NULL;
	int ret;

	if (why) {
		say_stock(trace_cmd, why);
		return;
	}
	plugin = plugin_file_find(&why);
	if (!plugin) {
		say_stock("no plugin", why);
		return;
	}
	ret = preload_add(plugin);
	if (ret)
		say_stock("LD_PRELOAD", strerror(-ret));
}

static enum exit_status run(int argc, char **argv)
{
	const char *name = getenv("TRACE_CMD");
	_cleanup_(freep) char **args = NULL;
	_cleanup_(freep) char *path = NULL;

	/* Only in the first place: further on it may belong to the traced command */
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_help();
		return EXIT_DONE;
	}

	if (!name || !*name)
		name = "trace-cmd";
	path = find_program(name);
	if (!path) {
		message("no program %s%s", name, strchr(name, '/') ? "" : " in PATH");
		return EXIT_FAILED;
	}

	/* argv[0] is "record" and stays: trace-cmd has it as its command */
	args = calloc((size_t)argc + 2, sizeof(*args));
	if (!args) {
		message("%m");
		return EXIT_FAILED;
	}
	args[0] = (char *)name;
	memcpy(args + 1, argv, (size_t)argc * sizeof(*args));

	put_hook_in_place(path);

	/* execvp() and not execv(): it runs scripts without an interpreter line, too */
	execvp(path, args);
	message("cannot run %s: %m", path);
	return EXIT_FAILED;
}

const struct verb record_verb = {
	.name		= "record",
	.summary	= "trace-cmd record with the exact history of the guests' offsets",
	.run		= run,
};
