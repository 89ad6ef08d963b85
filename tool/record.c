// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset record: run trace-cmd record, with exact times in the guests' files.
 *
 * Without guests, this process becomes trace-cmd. With guests, trace-cmd is its child: this process records the changes
 * of the guests' TSC offsets meanwhile, and writes them into the files after trace-cmd has ended. Exit status, signals
 * and terminal stay trace-cmd's own. If this process fails, it prints a message, and trace-cmd still records.
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
#include "host_changes.h"
#include "message.h"
#include "record.h"
#include "record_files.h"
#include "record_names.h"
#include "record_stamp.h"
#include "refusal.h"
#include "trace_cmd_options.h"

static void print_help(void)
{
	printf("Usage: tsc-offset record [--rewrite] ARGUMENTS\n"
	       "\n"
	       "Run trace-cmd record, and record the TSC offsets of all guests at the same time.\n"
	       "When trace-cmd ends, write the exact history of the offsets into the file of\n"
	       "each guest. For example, for a guest with the vsock address 3:\n"
	       "\n"
	       "  tsc-offset record -C x86-tsc --tsc2nsec -e kvm -A guest@3:823 -e sched \\\n"
	       "          -- sleep 10\n"
	       "\n"
	       "All arguments go to trace-cmd unchanged, see trace-cmd-record(1). The exception\n"
	       "is -A NAME, which becomes -A NAME@CID:PORT if tsc-offset vms lists the NAME. For\n"
	       "VMs of libvirt, this is the name of the domain. The exit status is trace-cmd's.\n"
	       "At the end, a line for each guest says how many of its sampled events are at\n"
	       "times at which their vCPU was in guest mode. This requires -e kvm on the host.\n"
	       "\n"
	       "  --rewrite   write host times into the events of the guests' files, as\n"
	       "              stamp --rewrite does; must be the first argument\n"
	       "  -h, --help  must be the first argument\n"
	       "\n"
	       "If the offsets cannot be recorded, a message gives the reason, and trace-cmd\n"
	       "records with its own protocol.\n"
	       "\n"
	       "Environment:\n"
	       "  TRACE_CMD  the trace-cmd to run (default: the one in PATH)\n");
}

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* As execvp() would find it, but before anything is recorded. To be freed. */
static char *find_program(const char *name)
{
	const char *dirs = getenv("PATH");
	const char *dir, *end;
	char *path;

	if (strchr(name, '/'))
		return is_program(name) ? strdup(name) : NULL;

	/* The default of execvp() without PATH */
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

/* Signals that end trace-cmd or that it handles. From a terminal it gets them itself. */
static const int forwarded[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };

/*
 * If SIGCHLD were ignored, the child's exit status would be lost. The others would end this process before it has
 * written all files. trace-cmd gets the original dispositions.
 */
static const struct {
	int		number;
	sighandler_t	handler;
} handled[] = { { SIGCHLD, SIG_DFL }, { SIGPIPE, SIG_IGN }, { SIGXFSZ, SIG_IGN } };

#define NR_HANDLED	(sizeof(handled) / sizeof(*handled))

static void handle_signals(sighandler_t old[NR_HANDLED])
{
	for (size_t i = 0; i < NR_HANDLED; i++)
		old[i] = signal(handled[i].number, handled[i].handler);
}

static void restore_signals(const sighandler_t old[NR_HANDLED])
{
	for (size_t i = 0; i < NR_HANDLED; i++)
		signal(handled[i].number, old[i]);
}

static void run_program(const char *path, char **args)
{
	/* execvp() instead of execv(): it also runs scripts without an interpreter line */
	execvp(path, args);
	message("cannot run %s: %m", path);
}

/* Returns: the status of the child when it has ended, as from waitpid() */
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

/* End like the child */
static enum exit_status end_as(int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return EXIT_FAILED;
}

/* Whatever fails, trace-cmd still records. Returns: true if this process records as well. */
static bool begin_changes(struct host_changes *changes, const char *path)
{
	char why[REFUSAL_SIZE];
	int ret = host_changes_begin(changes, path);

	if (!ret) {
		findings_print(&changes->findings);
		return true;
	}
	message("recording with trace-cmd's own protocol: the changes of TSC offsets cannot be recorded: %s",
		refusal_text(-ret, why));
	return false;
}

/* Run trace-cmd as a child, then stamp its files */
static enum exit_status record_guests(const char *path, char **args, const char *output, bool rewrite)
{
	struct host_changes changes;
	struct record_files files;
	sigset_t signals, old;
	bool recorded;
	sighandler_t handlers[NR_HANDLED];
	pid_t child;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
		sigaddset(&signals, forwarded[i]);
	sigprocmask(SIG_BLOCK, &signals, &old);
	handle_signals(handlers);
	recorded = begin_changes(&changes, output);
	record_files_begin(&files, output);
	child = fork();
	if (child > 0)
		status = wait_for(child, &signals);
	/* Without a child the recording is still made */
	if (child)
		host_changes_end(&changes);
	if (child <= 0) {
		restore_signals(handlers);
		sigprocmask(SIG_SETMASK, &old, NULL);
		run_program(path, args);
		_exit(EXIT_FAILED);
	}
	/* A signal that came as trace-cmd ended was meant for it */
	while (sigtimedwait(&signals, NULL, &(struct timespec) { 0 }) > 0)
		;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (recorded)
		record_stamp(&files, NULL, &changes, rewrite);
	record_files_release(&files);
	host_changes_release(&changes);
	return end_as(status);
}

static enum exit_status run(int argc, char **argv)
{
	const char *name = getenv("TRACE_CMD");
	struct trace_cmd_options options;
	_cleanup_(record_names_release) struct record_names names = { 0 };
	_cleanup_(freep) char **args = NULL;
	_cleanup_(freep) char *path = NULL;
	bool rewrite;

	/* Only as the first word: later it may belong to the traced command */
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_help();
		return EXIT_DONE;
	}

	rewrite = argc > 1 && !strcmp(argv[1], "--rewrite");
	if (rewrite) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	if (!name || !*name)
		name = "trace-cmd";
	path = find_program(name);
	if (!path) {
		message("no program %s%s", name, strchr(name, '/') ? "" : " in PATH");
		return EXIT_FAILED;
	}

	/* argv[0] is "record" and stays: it is trace-cmd's command */
	args = calloc((size_t)argc + 2, sizeof(*args));
	if (!args) {
		message("%m");
		return EXIT_FAILED;
	}
	args[0] = (char *)name;
	memcpy(args + 1, argv, (size_t)argc * sizeof(*args));

	trace_cmd_options_read(&options, argc + 1, args);
	if (options.nr_guests) {
		int ret = record_names_fill(&names, argc + 1, args);

		/* trace-cmd may find those that are not found here */
		if (ret)
			message("cannot look up the names of guests: %s", strerror(-ret));
		return record_guests(path, args, options.output ? options.output : "trace.dat", rewrite);
	}
	run_program(path, args);
	return EXIT_FAILED;
}

const struct verb record_verb = {
	.name		= "record",
	.summary	= "record host and guests with trace-cmd, correct the guests' files",
	.run		= run,
};
