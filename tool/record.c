// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset record: run trace-cmd record, with exact times in the guests' files.
 *
 * Without guests, this process becomes trace-cmd. With guests, trace-cmd is its child: this process records the changes
 * of the guests' TSC offsets meanwhile, and writes them into the files after trace-cmd has ended. Exit status, signals
 * and terminal stay trace-cmd's own. If this process fails, it prints a message, and trace-cmd still records. Guests of
 * --ssh, which trace-cmd does not know, record from before its start until after its end.
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
#include "host_frequency.h"
#include "message.h"
#include "options.h"
#include "record.h"
#include "record_files.h"
#include "record_names.h"
#include "record_ssh.h"
#include "record_stamp.h"
#include "refusal.h"
#include "trace_cmd_options.h"
#include "tsc_clock.h"
#include "tsc_frequency.h"

/* The most that add_clock() adds */
#define CLOCK_WORDS	3

/* What the command line asks for. @output: the host's file */
struct request {
	const char			*output;
	bool				rewrite;
	struct record_ssh		ssh;
	struct trace_cmd_options	options;
};

static void print_help(void)
{
	printf("Usage: tsc-offset record [OPTIONS] ARGUMENTS\n"
	       "\n"
	       "Run trace-cmd record, and record the TSC offsets of all guests at the same time.\n"
	       "When trace-cmd ends, write the exact history of the offsets into the file of\n"
	       "each guest. For example, for a guest with the vsock address 3:\n"
	       "\n"
	       "  tsc-offset record -e kvm -A guest@3:823 -e sched -- sleep 10\n"
	       "\n"
	       "All arguments go to trace-cmd; see trace-cmd-record(1). Without -C, trace-cmd\n"
	       "also gets -C x86-tsc --tsc2nsec. -A NAME becomes -A NAME@CID:PORT if tsc-offset\n"
	       "vms lists this NAME. For VMs of libvirt, it is the name of the domain. The exit\n"
	       "status is trace-cmd's; if that is 0 but a file of --ssh is missing, it is 3.\n"
	       "At the end, a line for each guest says how many of its sampled events are at\n"
	       "times at which their vCPU was in guest mode. This requires -e kvm on the host.\n"
	       "\n"
	       "A guest without an agent is recorded by its own trace-cmd, through ssh:\n"
	       "\n"
	       "  tsc-offset record --ssh root@guest -e kvm -- sleep 10\n"
	       "\n"
	       "Options, which precede ARGUMENTS:\n"
	       "  --ssh HOST         also record the guest that 'ssh HOST' or 'ssh USER@HOST'\n"
	       "                     reaches, and fetch its file; can be given several times\n"
	       "  --ssh-record ARGS  arguments of trace-cmd record in these guests, as a shell\n"
	       "                     reads them (default: " RECORD_SSH_ARGUMENTS ")\n"
	       "  --rewrite          write host times into the events of the guests' files, as\n"
	       "                     stamp --rewrite does\n"
	       "  -h, --help\n"
	       "\n"
	       "If the offsets cannot be recorded, a message gives the reason, and trace-cmd\n"
	       "records with its own protocol.\n"
	       "\n"
	       "Environment:\n"
	       "  TRACE_CMD       the trace-cmd to run (default: the one in PATH)\n"
	       "  TSC_OFFSET_SSH  the program to run instead of ssh\n");
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
static bool begin_changes(struct host_changes *changes, const char *path, bool with_agents)
{
	char why[REFUSAL_SIZE];
	int ret = host_changes_begin(changes, path);

	if (!ret) {
		findings_print(&changes->findings);
		return true;
	}
	refusal_text(-ret, why);
	if (with_agents)
		message("recording with trace-cmd's own protocol: the changes of TSC offsets cannot be recorded: %s",
			why);
	else
		message("using only the events in the host's file: the changes of TSC offsets cannot be recorded: %s",
			why);
	return false;
}

static void fetch_and_stamp(struct request *request, const struct record_files *files,
			    const struct host_changes *changes)
{
	if (record_files_wrote(files, request->output))
		record_ssh_fetch(&request->ssh);
	else if (request->ssh.nr)
		message("%s was not written: the files of --ssh are not fetched", request->output);
	if (changes || request->ssh.nr)
		record_stamp(files, NULL, &request->ssh, changes, request->rewrite);
}

/* Run trace-cmd as a child, then stamp its files */
static enum exit_status record_guests(const char *path, char **args, struct request *request)
{
	struct host_changes changes;
	struct record_files files;
	sigset_t signals, old;
	bool recorded;
	sighandler_t handlers[NR_HANDLED];
	pid_t child;
	int status;

	handle_signals(handlers);
	/* Until they record, a signal may end this process */
	record_ssh_start(&request->ssh);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
		sigaddset(&signals, forwarded[i]);
	sigprocmask(SIG_BLOCK, &signals, &old);
	recorded = begin_changes(&changes, request->output, request->options.nr_guests);
	record_files_begin(&files, request->output);
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
	fetch_and_stamp(request, &files, recorded ? &changes : NULL);
	record_files_release(&files);
	host_changes_release(&changes);
	if (!status && !record_ssh_is_complete(&request->ssh))
		return EXIT_INCOMPLETE;
	return end_as(status);
}

/*
 * The value of "--name VALUE" or "--name=VALUE". Returns: number of words, 0 if it is another option, -1 without a
 * value
 */
static int take_value(int argc, char **argv, const char *name, const char **value)
{
	size_t length = strlen(name);

	if (strncmp(argv[1], name, length))
		return 0;
	if (argv[1][length] == '=') {
		*value = argv[1] + length + 1;
		return 1;
	}
	if (argv[1][length])
		return 0;
	*value = argc > 2 ? argv[2] : NULL;
	return *value ? 2 : -1;
}

/* Returns: number of words, 0 if none of our options is there, or -1 with @status */
static int read_option(int argc, char **argv, struct request *request, enum exit_status *status)
{
	const char *host;
	int nr;

	/* Later it may belong to the traced command */
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_help();
		*status = EXIT_DONE;
		return -1;
	}
	if (!strcmp(argv[1], "--rewrite")) {
		request->rewrite = true;
		return 1;
	}
	nr = take_value(argc, argv, "--ssh-record", &request->ssh.arguments);
	if (nr < 0)
		*status = misuse("record", "option '--ssh-record' requires a value");
	if (nr)
		return nr;
	nr = take_value(argc, argv, "--ssh", &host);
	if (nr > 0 && !record_ssh_add(&request->ssh, host))
		return nr;
	if (nr)
		*status = misuse("record", "--ssh requires [USER@]HOST");
	return nr ? -1 : 0;
}

/* Our options precede trace-cmd's. Returns: false with @status if there is nothing to record */
static bool read_options(int *argc, char ***argv, struct request *request, enum exit_status *status)
{
	while (*argc > 1) {
		int nr = read_option(*argc, *argv, request, status);

		if (nr < 0)
			return false;
		if (!nr)
			break;
		/* The first word stays: it is trace-cmd's command */
		(*argv)[nr] = (*argv)[0];
		*argv += nr;
		*argc -= nr;
	}
	if (request->ssh.arguments && !request->ssh.nr) {
		*status = misuse("record", "--ssh-record requires --ssh");
		return false;
	}
	return true;
}

/* Does a guest with an agent have the name of one of --ssh? Their files would have the same name. */
static bool is_recorded_twice(const struct request *request, int argc, char **args)
{
	const char *value;
	int word;

	for (unsigned int i = 0; (value = trace_cmd_options_guest(argc, args, i, &word)); i++) {
		_cleanup_(freep) char *name = strndup(value, strcspn(value, "@:"));
		_cleanup_(freep) char *path = name ? record_files_guest(request->output, name) : NULL;

		for (size_t j = 0; path && j < request->ssh.nr; j++) {
			if (!strcmp(path, request->ssh.guests[j].path)) {
				message("--ssh %s and -A %s would both write %s", request->ssh.guests[j].host, value,
					path);
				return true;
			}
		}
	}
	return false;
}

/* Returns: whether the guests of --ssh can be recorded with this command line; @status if not */
static bool check_ssh(struct request *request, int argc, char **args, enum exit_status *status)
{
	if (request->options.clock && !request->options.tsc_clock) {
		*status = misuse("record", "--ssh requires -C " TSC_CLOCK);
		return false;
	}
	*status = EXIT_FAILED;
	return !record_ssh_name(&request->ssh, request->output) && !is_recorded_twice(request, argc, args);
}

/*
 * Without a clock, trace-cmd uses this one too, but only if it finds the process of the guest. With the frequency of
 * the TSC in the files, readers show seconds; trace-cmd would fail where perf does not know it.
 */
static void add_clock(char **args, int nr)
{
	static const char *const words[CLOCK_WORDS] = { "-C", TSC_CLOCK, "--tsc2nsec" };
	struct tsc_frequency frequency;
	int added = host_frequency_read(&frequency) ? CLOCK_WORDS : CLOCK_WORDS - 1;

	memmove(args + added, args, (size_t)nr * sizeof(*args));
	memcpy(args, words, (size_t)added * sizeof(*args));
}

/* @argv: "record", and trace-cmd's arguments */
static enum exit_status record(struct request *request, int argc, char **argv)
{
	_cleanup_(record_names_release) struct record_names names = { 0 };
	const char *name = getenv("TRACE_CMD");
	_cleanup_(freep) char **args = NULL;
	_cleanup_(freep) char *path = NULL;
	enum exit_status status;
	int nr = 0, ret;

	if (!name || !*name)
		name = "trace-cmd";
	path = find_program(name);
	if (!path) {
		message("no program %s%s", name, strchr(name, '/') ? "" : " in PATH");
		return EXIT_FAILED;
	}

	/* Room for the program, the clock, and the NULL */
	args = calloc((size_t)argc + CLOCK_WORDS + 2, sizeof(*args));
	if (!args) {
		message("%m");
		return EXIT_FAILED;
	}
	args[nr++] = (char *)name;
	args[nr++] = argv[0];
	memcpy(args + nr, argv + 1, ((size_t)argc - 1) * sizeof(*args));
	trace_cmd_options_read(&request->options, argc + 1, args);
	request->output = request->options.output ? request->options.output : "trace.dat";
	if (!request->options.nr_guests && !request->ssh.nr) {
		run_program(path, args);
		return EXIT_FAILED;
	}
	if (request->ssh.nr && !check_ssh(request, argc + 1, args, &status))
		return status;

	ret = request->options.nr_guests ? record_names_fill(&names, argc + 1, args) : 0;
	/* trace-cmd may find those that are not found here */
	if (ret)
		message("cannot look up the names of guests: %s", strerror(-ret));
	if (!request->options.clock)
		add_clock(args + nr, argc - 1);
	return record_guests(path, args, request);
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { 0 };
	enum exit_status status;

	if (read_options(&argc, &argv, &request, &status))
		status = record(&request, argc, argv);
	record_ssh_release(&request.ssh);
	return status;
}

const struct verb record_verb = {
	.name		= "record",
	.summary	= "record host and guests with trace-cmd, correct the guests' files",
	.run		= run,
};
