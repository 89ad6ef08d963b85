// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset record: trace-cmd record with the time-synchronisation hook in place.
 *
 * Without guests this process becomes trace-cmd. With guests trace-cmd is its child, so that it can prove the result
 * when that has ended; exit status, signals and terminal are trace-cmd's own all the same. Whatever is wrong with the
 * hook or with the proof is said and costs these only, never the recording.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "message.h"
#include "plugin_file.h"
#include "preload.h"
#include "record.h"
#include "record_proof.h"
#include "trace_cmd_options.h"

/* What the hook needs of trace-cmd, and how the names of its library begin */
#define HOOK_SYMBOL	"tracecmd_tsync_proto_register"
#define HOOK_PREFIX	"tracecmd_"

static void print_help(void)
{
	printf("Usage: tsc-offset record ARGUMENTS\n"
	       "\n"
	       "Run trace-cmd record with a hook: a guest's file (-A) gets the exact history of\n"
	       "its TSC offsets instead of two samples of it. All arguments are trace-cmd's and\n"
	       "go to it unchanged, see trace-cmd-record(1). So is the exit status.\n"
	       "When the recording has ended, a line for each guest says how many of its sampled\n"
	       "events lie at times at which the host had its vCPUs in guest mode. This requires\n"
	       "-e kvm on the host.\n"
	       "\n"
	       "  -h, --help         as the first argument\n"
	       "\n"
	       "Where the hook cannot be used, a line on standard error says why, and the\n"
	       "recording is made with trace-cmd's own protocol.\n"
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

/* Those that end trace-cmd, or say something to it. Of a terminal's it has its own. */
static const int forwarded[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };

static void run_program(const char *path, char **args)
{
	/* execvp() and not execv(): it runs scripts without an interpreter line, too */
	execvp(path, args);
	message("cannot run %s: %m", path);
}

/* Returns: the status of the child when it has ended, as waitpid() has it */
static int wait_for(pid_t child, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	for (;;) {
		pid_t ended = waitpid(child, &status, WNOHANG);

		if (ended == child || (ended < 0 && errno != EINTR))
			return ended == child ? status : W_EXITCODE(EXIT_FAILED, 0);
		if (sigwaitinfo(signals, &info) > 0 && info.si_signo != SIGCHLD && info.si_code != SI_KERNEL)
			kill(child, info.si_signo);
	}
}

/* End as the child did */
static enum exit_status end_as(int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return EXIT_FAILED;
}

/* trace-cmd as a child, and then the proof of what it wrote */
static enum exit_status record_guests(const char *path, char **args, const char *output)
{
	sigset_t signals, old;
	struct timespec begin;
	sighandler_t old_chld;
	pid_t child;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
		sigaddset(&signals, forwarded[i]);
	sigprocmask(SIG_BLOCK, &signals, &old);
	clock_gettime(CLOCK_REALTIME, &begin);
	/* Ignored, it would hide how the child ends */
	old_chld = signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (child <= 0) {
		/* Without a child the recording is still made */
		signal(SIGCHLD, old_chld);
		sigprocmask(SIG_SETMASK, &old, NULL);
		run_program(path, args);
		if (!child)
			_exit(EXIT_FAILED);
		return EXIT_FAILED;
	}
	status = wait_for(child, &signals);
	/* One that came as trace-cmd ended was for it */
	while (sigtimedwait(&signals, NULL, &(struct timespec) { 0 }) > 0)
		;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (!status)
		record_proof_say(output ? output : "trace.dat", &begin);
	return end_as(status);
}

static enum exit_status run(int argc, char **argv)
{
	const char *name = getenv("TRACE_CMD");
	struct trace_cmd_options options;
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
	trace_cmd_options_read(&options, argc + 1, args);
	if (options.nr_guests)
		return record_guests(path, args, options.output);
	run_program(path, args);
	return EXIT_FAILED;
}

const struct verb record_verb = {
	.name		= "record",
	.summary	= "trace-cmd record with the exact history of the guests' offsets",
	.run		= run,
};
