// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * One connection for each guest. A script goes to its standard input, and the end of that input ends the recording.
 * The output is a line when the recording has begun, then the size of the file in a line, then the file. A shell in the
 * guest may print other lines first.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "atomic_file.h"
#include "cleanup.h"
#include "error.h"
#include "file_copy.h"
#include "input_file.h"
#include "message.h"
#include "number.h"
#include "output_file.h"
#include "progress.h"
#include "record_files.h"
#include "record_ssh.h"
#include "trace_dat.h"

#define BEGUN		"tsc-offset: recording"
#define LINE_SIZE	64
#define MS_PER_S	1000
/* Includes the time in which users enter passwords */
#define BEGIN_S		120
/* Includes the time in which trace-cmd writes its file */
#define SILENCE_S	600
/* From the last byte to the end of the program */
#define END_S		10
#define POLL_MS		20

/*
 * For the guest's shell. It continues if the connection is lost: the end of its input ends the recording then as well.
 * The shell has read all of it, up to the last brace, before trace-cmd gets the rest of the input. The output of
 * trace-cmd goes to a file, because a write to a lost connection fails.
 */
static const char script[] =
	"{ trap '' HUP INT PIPE TERM\n"
	"cd \"${TMPDIR:-/var/tmp}\" 2> /dev/null || cd /tmp || exit\n"
	"d=$(mktemp -d \"$PWD/tsc-offset.XXXXXX\") && cd \"$d\" || exit\n"
	"trap 'rm -rf \"$d\"' EXIT\n"
	"trace-cmd record -C x86-tsc %s -o trace.dat sh -c 'echo \"" BEGUN "\" >&3; exec cat > /dev/null' 3>&1 > log 2>&1 || {\n"
	"s=$?; tail -n 3 log | tr '\\n' ' ' >&2; exit $s; }\n"
	"wc -c < trace.dat && cat trace.dat; exit; }\n";

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * MS_PER_S + time.tv_nsec / (1000 * 1000);
}

static void close_end(int *fd)
{
	closep(fd);
	*fd = -1;
}

/**
 * record_ssh_add - add a guest
 * @ssh: the guests
 * @host: [USER@]HOST; must be valid while @ssh is used
 *
 * Returns: 0, -EINVAL if @host is not a name, or -ENOMEM.
 */
int record_ssh_add(struct record_ssh *ssh, const char *host)
{
	/* The program would take it for an option */
	if (*host == '-' || !*host || host[strlen(host) - 1] == '@')
		return -EINVAL;
	if (array_reserve(ssh->guests, ssh->nr, ssh->capacity))
		return -ENOMEM;
	ssh->guests[ssh->nr++] = (struct ssh_guest) { .host = host, .in = -1, .out = -1, .err = -1 };
	return 0;
}

/* The path of a guest's file; NULL without memory */
static char *path_of(const char *host_path, const char *host)
{
	const char *at = strrchr(host, '@');
	_cleanup_(freep) char *name = strdup(at ? at + 1 : host);

	if (!name)
		return NULL;
	for (char *c = name; *c; c++) {
		if (*c == '/' || (unsigned char)*c < ' ' || *c == '\x7f')
			*c = '_';
	}
	return record_files_guest(host_path, name);
}

/* A recording of this name is replaced, as trace-cmd replaces it. Returns: whether another file is in the way */
static bool is_other_file(const char *path)
{
	if (access(path, F_OK) || input_file_is_recording(path))
		return false;
	message("%s: exists, is not a recording and is not replaced", path);
	return true;
}

/**
 * record_ssh_name - find the paths of the guests' files
 * @ssh: the guests
 * @host_path: path of the host's file
 *
 * Returns: 0, or a negative errno after a message.
 */
int record_ssh_name(struct record_ssh *ssh, const char *host_path)
{
	for (size_t i = 0; i < ssh->nr; i++) {
		struct ssh_guest *guest = &ssh->guests[i];

		guest->path = path_of(host_path, guest->host);
		if (!guest->path) {
			message("%m");
			return -ENOMEM;
		}
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(guest->path, ssh->guests[j].path)) {
				message("--ssh %s and --ssh %s would both write %s", ssh->guests[j].host, guest->host,
					guest->path);
				return -EEXIST;
			}
		}
		if (is_other_file(guest->path) || output_file_check(guest->path, true))
			return -EEXIST;
	}
	return 0;
}

/* Keep the last line that is not empty. Returns: false at the end */
static bool take_said(struct ssh_guest *guest)
{
	char text[4096];
	ssize_t length = read(guest->err, text, sizeof(text));

	for (ssize_t i = 0; i < length; i++) {
		if (text[i] == '\n' || text[i] == '\r') {
			guest->said_ended = true;
			continue;
		}
		if (guest->said_ended)
			guest->said_length = 0;
		guest->said_ended = false;
		if (text[i] && guest->said_length < sizeof(guest->said) - 1)
			guest->said[guest->said_length++] = text[i];
		guest->said[guest->said_length] = '\0';
	}
	return length > 0 || (length < 0 && errno == EINTR);
}

/* Wait until there is output, and read what the program says meanwhile. Returns: 0, or -ETIMEDOUT */
static int wait_output(struct ssh_guest *guest, int64_t deadline)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = guest->out, .events = POLLIN },
					{ .fd = guest->err, .events = POLLIN } };
		int64_t left = deadline - now_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (fds[1].revents && !take_said(guest))
			close_end(&guest->err);
		if (fds[0].revents)
			return 0;
	}
}

/* Returns: number of bytes, 0 at the end, or a negative errno */
static ssize_t read_output(struct ssh_guest *guest, void *data, size_t size, int64_t deadline)
{
	int ret = wait_output(guest, deadline);
	ssize_t length = ret ? 0 : read(guest->out, data, size);

	return ret ? ret : length < 0 ? -errno : length;
}

/* Only the beginning of a long line is kept. Returns: 0, -ENODATA at the end, or another negative errno */
static int read_line(struct ssh_guest *guest, char line[LINE_SIZE], int64_t deadline)
{
	size_t length = 0;

	for (;;) {
		char c;
		/* One at a time: what follows is the file's */
		ssize_t ret = read_output(guest, &c, 1, deadline);

		if (ret <= 0)
			return ret ? (int)ret : -ENODATA;
		if (c == '\n')
			break;
		if (length < LINE_SIZE - 1)
			line[length++] = c;
	}
	line[length] = '\0';
	return 0;
}

/* A program that asks for a password turns off the echo of the terminal, and cannot turn it on again */
static void kill_program(pid_t pid)
{
	_cleanup_(closep) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct termios state;
	bool is_known = terminal >= 0 && !tcgetattr(terminal, &state);

	kill(pid, SIGKILL);
	if (is_known && !(state.c_lflag & ECHO)) {
		state.c_lflag |= ECHO;
		tcsetattr(terminal, TCSANOW, &state);
	}
}

/* Returns: the status of the program when it has ended, as from waitpid() */
static int end_connection(struct ssh_guest *guest, bool at_once)
{
	int64_t deadline = now_ms() + (at_once ? 0 : END_S * MS_PER_S);
	bool killed = false;
	int status = 0;
	/* If it never began, nothing is awaited */
	pid_t ended = guest->pid ? 0 : -1;

	close_end(&guest->in);
	close_end(&guest->out);
	while (!ended) {
		struct pollfd fd = { .fd = guest->err, .events = POLLIN };

		/* The last words are read after the end */
		ended = waitpid(guest->pid, &status, WNOHANG);
		if (poll(&fd, 1, ended ? 0 : POLL_MS) > 0 && !take_said(guest))
			close_end(&guest->err);
		if (!ended && !killed && now_ms() >= deadline) {
			kill_program(guest->pid);
			killed = true;
		}
	}
	close_end(&guest->err);
	guest->pid = 0;
	return ended < 0 ? 0 : status;
}

/* The program's own words, else the status with which it ended */
static void say_ended(const struct ssh_guest *guest, int status)
{
	if (*guest->said)
		message("--ssh %s: not recorded: %s", guest->host, guest->said);
	else if (WIFSIGNALED(status))
		message("--ssh %s: not recorded: signal %d ended the connection", guest->host, WTERMSIG(status));
	else
		message("--ssh %s: not recorded: the connection ended with status %d", guest->host,
			WEXITSTATUS(status));
}

/* @ret: the reason, a negative errno: -ENODATA if the connection ended */
static void give_up(struct ssh_guest *guest, int ret)
{
	int status = end_connection(guest, ret == -ETIMEDOUT);

	/* What the program said before, such as a warning, is not the reason for other errors */
	if (ret == -ENODATA)
		say_ended(guest, status);
	else if (ret == -ETIMEDOUT)
		message("--ssh %s: not recorded: no answer", guest->host);
	else if (ret == -EBADMSG)
		message("--ssh %s: not recorded: what came is not a recording", guest->host);
	else
		message("--ssh %s: not recorded: %s", guest->host, strerror(-ret));
}

static void __attribute__((noreturn)) run_program(const char *program, const char *host, const int fds[3])
{
	/* A terminal sends these to all its processes, as timeout(1) does. The file must still come. */
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	execlp(program, program, host, "sh", NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

/* Returns: 0 or a negative errno */
static int connect_guest(struct ssh_guest *guest, const char *program)
{
	int ends[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int ret = 0;

	for (int i = 0; i < 3 && !ret; i++)
		ret = pipe2(ends[i], O_CLOEXEC) ? -errno : 0;
	if (!ret) {
		guest->pid = fork();
		if (!guest->pid)
			run_program(program, guest->host, (int[]) { ends[0][0], ends[1][1], ends[2][1] });
		ret = guest->pid < 0 ? -errno : 0;
	}
	close_end(&ends[0][0]);
	close_end(&ends[1][1]);
	close_end(&ends[2][1]);
	guest->in = ends[0][1];
	guest->out = ends[1][0];
	guest->err = ends[2][0];
	if (ret)
		guest->pid = 0;
	return ret;
}

static int start(struct ssh_guest *guest, const char *arguments)
{
	const char *program = getenv("TSC_OFFSET_SSH");
	int ret = connect_guest(guest, program && *program ? program : "ssh");

	/* If it has ended already, its own words are better than EPIPE */
	if (!ret && dprintf(guest->in, script, arguments) < 0 && errno != EPIPE)
		ret = -errno;
	return ret;
}

static int await_begin(struct ssh_guest *guest)
{
	int64_t deadline = now_ms() + BEGIN_S * MS_PER_S;
	char line[LINE_SIZE];
	int ret;

	do {
		ret = read_line(guest, line, deadline);
	} while (!ret && strcmp(line, BEGUN));
	return ret;
}

/**
 * record_ssh_start - begin the guests' recordings, and wait until they have begun
 * @ssh: the guests, with paths; SIGPIPE must be ignored
 *
 * A guest that cannot be recorded is reported. Its connection is closed.
 */
void record_ssh_start(struct record_ssh *ssh)
{
	const char *arguments = ssh->arguments ? ssh->arguments : RECORD_SSH_ARGUMENTS;

	/* One after the other: each may ask for a password */
	for (size_t i = 0; i < ssh->nr; i++) {
		struct ssh_guest *guest = &ssh->guests[i];
		int ret = start(guest, arguments);

		if (!ret && isatty(STDERR_FILENO))
			message("--ssh %s: waiting until it records", guest->host);
		if (!ret)
			ret = await_begin(guest);
		if (ret)
			give_up(guest, ret);
	}
}

/* Returns: 0, -ENODATA if the connection ended before, or another negative errno */
static int receive_bytes(struct ssh_guest *guest, int fd, uint64_t size)
{
	struct progress progress;
	char data[1 << 16];
	int ret = 0;

	progress_begin(&progress, guest->host, size);
	for (uint64_t done = 0; done < size && !ret;) {
		uint64_t left = size - done;
		ssize_t length = read_output(guest, data, left < sizeof(data) ? left : sizeof(data),
					     now_ms() + SILENCE_S * MS_PER_S);

		ret = length > 0 ? file_write(fd, data, (size_t)length, done) : length ? (int)length : -ENODATA;
		done += length > 0 ? (uint64_t)length : 0;
		progress_at(&progress, done);
	}
	progress_end(&progress);
	return ret;
}

/* Returns: 0 if it is a trace.dat, or a negative errno with the reason in @error */
static int check_received(const char *path, struct error *error)
{
	struct trace_dat dat;
	int ret = trace_dat_open(&dat, path, error);

	trace_dat_close(&dat);
	/* The name is temporary */
	error->path = NULL;
	return ret;
}

static int receive(struct ssh_guest *guest, struct atomic_file *file)
{
	char line[LINE_SIZE];
	uint64_t size;
	int ret = read_line(guest, line, now_ms() + SILENCE_S * MS_PER_S);

	if (!ret && !number_parse(line, &size))
		ret = -EBADMSG;
	if (!ret)
		ret = atomic_file_open(file, guest->path);
	return ret ? ret : receive_bytes(guest, file->fd, size);
}

/* After all bytes have come */
static void keep_received(struct ssh_guest *guest, struct atomic_file *file)
{
	char line[2 * ERROR_TEXT_SIZE];
	struct error error = { 0 };
	int ret;

	if (check_received(file->temporary, &error)) {
		message("--ssh %s: not recorded: %s", guest->host, error_line(&error, line, sizeof(line)));
		return;
	}
	if (is_other_file(guest->path))
		return;
	ret = atomic_file_rename(file, output_file_mode());
	if (ret)
		output_file_fail(guest->path, ret);
	else
		output_file_say_unsynced(guest->path, -atomic_file_sync_directory(file));
	guest->is_here = !ret;
}

static void fetch(struct ssh_guest *guest)
{
	struct atomic_file file = { .fd = -1 };
	int ret = receive(guest, &file);
	int status;

	if (ret) {
		give_up(guest, ret);
	} else {
		status = end_connection(guest, false);
		if (status)
			say_ended(guest, status);
		else
			keep_received(guest, &file);
	}
	atomic_file_close(&file);
}

/**
 * record_ssh_fetch - end the guests' recordings, and get their files
 * @ssh: the guests, started
 *
 * One that does not come is reported.
 */
void record_ssh_fetch(struct record_ssh *ssh)
{
	for (size_t i = 0; i < ssh->nr; i++)
		close_end(&ssh->guests[i].in);
	for (size_t i = 0; i < ssh->nr; i++) {
		if (ssh->guests[i].pid)
			fetch(&ssh->guests[i]);
	}
}

/**
 * record_ssh_has - is a file one of those that came?
 * @ssh: the guests
 * @path: path of the file
 *
 * Returns: true if so.
 */
bool record_ssh_has(const struct record_ssh *ssh, const char *path)
{
	for (size_t i = 0; i < ssh->nr; i++) {
		if (ssh->guests[i].is_here && output_file_same(ssh->guests[i].path, path))
			return true;
	}
	return false;
}

/**
 * record_ssh_is_complete - have the files of all guests come?
 * @ssh: the guests
 *
 * Returns: true if so.
 */
bool record_ssh_is_complete(const struct record_ssh *ssh)
{
	for (size_t i = 0; i < ssh->nr; i++) {
		if (!ssh->guests[i].is_here)
			return false;
	}
	return true;
}

/**
 * record_ssh_release - end connections that are left, and free the guests
 * @ssh: the guests, or all zeros
 */
void record_ssh_release(struct record_ssh *ssh)
{
	for (size_t i = 0; i < ssh->nr; i++) {
		struct ssh_guest *guest = &ssh->guests[i];

		if (guest->pid)
			end_connection(guest, false);
		close_end(&guest->in);
		close_end(&guest->out);
		close_end(&guest->err);
		free(guest->path);
	}
	free(ssh->guests);
	*ssh = (struct record_ssh) { 0 };
}
