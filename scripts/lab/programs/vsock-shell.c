// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * vsock-shell: run commands in a guest from its host, over vsock.
 *
 *	vsock-shell --serve PORT				in the guest
 *	vsock-shell [--stdin] [--wait SECONDS] [--timeout SECONDS] CID PORT COMMAND...
 *							on the host
 *	vsock-shell --pipe COMMAND				anywhere, without vsock
 *
 * One COMMAND word is shell text; several words are a command and its arguments. stdout and stderr stay separate and
 * the exit status is the command's (128 + N for signal N, 255 without an answer). When a client disconnects, its
 * command is ended. With --stdin the command reads the client's standard input. --wait tries again until the guest
 * answers; after --timeout the client ends with SIGALRM. --pipe runs COMMAND locally, and writes the frames for a host
 * to stdout: for machines without vsock.
 *
 * Protocol: the command up to a NUL; if its first byte is 1, its standard input up to the end; and frames in return,
 * with a stream number (1 stdout, 2 stderr, 0 the exit status), a length, and that many bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define COMMAND_MAX	65536
#define NO_ANSWER	255
#define WITH_INPUT	'\1'

struct frame {
	uint32_t stream;
	uint32_t len;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "vsock-shell: %s: %s\n", what, strerror(errno));
	exit(NO_ANSWER);
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= n;
	}
	return 0;
}

static int read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		p += n;
		len -= n;
	}
	return 0;
}

static int send_frame(int sock, uint32_t stream, const void *data, uint32_t len)
{
	struct frame frame = { stream, len };
	int ret = write_all(sock, &frame, sizeof(frame));

	return ret ? ret : write_all(sock, data, len);
}

/* Pass on the available output of one pipe. Returns 0 at its end. */
static ssize_t forward(int from, int sock, uint32_t stream)
{
	char data[16384];
	ssize_t len = read(from, data, sizeof(data));

	if (len > 0 && send_frame(sock, stream, data, len))
		return 0;
	return len;
}

/* Pass on some of the standard input; returns 0 at its end. */
static int forward_input(int sock, int to)
{
	char data[16384];
	ssize_t len = read(sock, data, sizeof(data));

	if (len > 0 && !write_all(to, data, len))
		return 1;
	close(to);
	return 0;
}

/* @input: the part of its standard input that has been read already */
static void serve_command(int sock, const char *command, const char *input, size_t input_len)
{
	int has_input = *command == WITH_INPUT;
	struct pollfd fds[4];
	int in[2], out[2], err[2];
	uint32_t code;
	int status;
	pid_t pid;

	if ((has_input && pipe2(in, O_CLOEXEC)) || pipe(out) || pipe(err))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		setsid();
		if (has_input)
			dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		for (int fd = 3; fd <= err[1]; fd++)
			close(fd);
		execl("/bin/sh", "sh", "-c", command + has_input, NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	if (has_input) {
		close(in[0]);
		write_all(in[1], input, input_len);
	}

	/*
	 * The command's own end counts, not the pipes': its background processes may keep them open.
	 */
	fds[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = sock, .events = POLLIN | (has_input ? 0 : POLLRDHUP) };
	for (;;) {
		int moved = 0;

		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			die("poll");
		for (uint32_t i = 0; i < 2; i++) {
			if (!fds[i].revents)
				continue;
			if (forward(fds[i].fd, sock, i + 1) > 0)
				moved = 1;
			else
				fds[i].fd = -1;
		}
		if (has_input && fds[3].revents & POLLIN) {
			moved = 1;
			if (!forward_input(sock, in[1]))
				fds[3].events = 0;
		} else if (fds[3].revents) {
			kill(-pid, SIGTERM);
			fds[3].fd = -1;
		}
		if (fds[2].revents && !moved)
			break;
	}
	waitpid(pid, &status, 0);
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	send_frame(sock, 0, &code, sizeof(code));
}

static int serve(unsigned int port)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port,
	};
	int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (void *)&addr, sizeof(addr)) || listen(listener, 16))
		die("listen");
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		static char command[COMMAND_MAX];
		int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		size_t len = 0;
		ssize_t n;

		if (sock < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept");
		}
		if (fork()) {
			close(sock);
			continue;
		}
		signal(SIGCHLD, SIG_DFL);
		/* A write to a disconnected client must not end this process before the command's end. */
		signal(SIGPIPE, SIG_IGN);
		while ((n = read(sock, command + len, sizeof(command) - len)) > 0) {
			const char *end = memchr(command + len, '\0', n);

			len += n;
			if (end) {
				signal(SIGPIPE, SIG_DFL);
				serve_command(sock, command, end + 1, command + len - end - 1);
				break;
			}
		}
		_exit(0);
	}
}

static int connect_guest(unsigned int cid, unsigned int port, double seconds)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int sock = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (sock < 0)
			die("socket");
		if (!connect(sock, (void *)&addr, sizeof(addr)))
			return sock;
		close(sock);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 >= seconds)
			die("connect");
		nanosleep(&pause, NULL);
	}
}

/* One word is shell text; several are quoted one by one. */
static size_t build_command(char *command, int argc, char **argv)
{
	size_t len = 0;

	if (argc == 1) {
		len = strlen(argv[0]);
		if (len < COMMAND_MAX)
			memcpy(command, argv[0], len);
	}
	for (int i = 0; i < argc && argc > 1; i++) {
		/* worst case: each character becomes four, plus quotes and a space */
		if (len + 4 * strlen(argv[i]) + 4 >= COMMAND_MAX) {
			len = COMMAND_MAX;
			break;
		}
		command[len++] = '\'';
		for (const char *c = argv[i]; *c; c++) {
			if (*c == '\'') {
				memcpy(command + len, "'\\'", 3);
				len += 3;
			}
			command[len++] = *c;
		}
		command[len++] = '\'';
		command[len++] = ' ';
	}
	if (len >= COMMAND_MAX) {
		errno = E2BIG;
		die("command");
	}
	command[len++] = '\0';
	return len;
}

/* Runs in a separate process, up to the end of the input */
static void send_input(int sock)
{
	static char data[COMMAND_MAX];
	ssize_t len;

	if (fork())
		return;
	while ((len = read(0, data, sizeof(data))) > 0 && !write_all(sock, data, len))
		;
	shutdown(sock, SHUT_WR);
	_exit(0);
}

static int client(int argc, char **argv, double wait, int with_input)
{
	static char command[COMMAND_MAX];
	size_t len = build_command(command, argc - 2, argv + 2);
	int sock = connect_guest(atoi(argv[0]), atoi(argv[1]), wait);
	struct frame frame;

	if ((with_input && write_all(sock, (char[]) { WITH_INPUT }, 1)) || write_all(sock, command, len))
		die("send");
	if (with_input)
		send_input(sock);
	while (!read_all(sock, &frame, sizeof(frame))) {
		static char data[COMMAND_MAX];

		if (frame.len > sizeof(data) || read_all(sock, data, frame.len))
			break;
		if (!frame.stream) {
			uint32_t code;

			memcpy(&code, data, sizeof(code));
			return code;
		}
		if (write_all(frame.stream == 2 ? 2 : 1, data, frame.len))
			return 1;
	}
	fprintf(stderr, "vsock-shell: the guest went away\n");
	return NO_ANSWER;
}

int main(int argc, char **argv)
{
	int with_input = argc > 1 && !strcmp(argv[1], "--stdin");
	double wait = 0;

	argc -= with_input;
	argv += with_input;
	if (argc == 3 && !strcmp(argv[1], "--serve"))
		return serve(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "--pipe")) {
		serve_command(1, argv[2], "", 0);
		return 0;
	}
	for (; argc > 3 && !strncmp(argv[1], "--", 2); argc -= 2, argv += 2) {
		if (!strcmp(argv[1], "--wait"))
			wait = atof(argv[2]);
		else if (!strcmp(argv[1], "--timeout"))
			alarm(atoi(argv[2]));
		else
			break;
	}
	if (argc < 4 || argv[1][0] == '-') {
		fprintf(stderr, "usage: vsock-shell --serve PORT\n"
				"       vsock-shell [--stdin] [--wait SECONDS] [--timeout SECONDS] CID PORT COMMAND...\n"
				"       vsock-shell --pipe COMMAND\n");
		return 2;
	}
	return client(argc - 1, argv + 1, wait, with_input);
}
