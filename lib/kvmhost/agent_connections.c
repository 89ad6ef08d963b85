// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent_connections.h"
#include "cleanup.h"
#include "vm_process.h"

/* Guests tested at the same time: fewer than the limit of open files of a process */
#define MAX_BATCH	256

/* The answer of a VMM with a UNIX socket if the guest accepted the connection; a port follows */
#define TAKEN		"OK "

enum step { CONNECTING, ASKED, LEAVING, DONE };

/**
 * struct attempt - a connection to an agent
 * @question: the guest, and the result
 * @step: its progress
 * @said: first bytes of a VMM's answer
 * @nr_said: number of these bytes
 */
struct attempt {
	struct agent_question	*question;
	enum step		step;
	char			said[sizeof(TAKEN) - 1];
	size_t			nr_said;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int connect_address(struct agent_question *question, unsigned int port)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_cid = question->cid, .svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* The kernel has no vsock */
	if (fd < 0)
		return -1;
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)) || errno == EINPROGRESS)
		return fd;
	/* A kernel without vhost-vsock cannot reach guests */
	question->answer = errno == ENODEV ? AGENT_UNKNOWN : AGENT_SILENT;
	close(fd);
	return -1;
}

/* Does this process listen at the other end? The path may lead anywhere. */
static bool is_of_process(int fd, pid_t pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == pid;
}

/* The path may be too long for an address, and the process may have another root: connect by a descriptor */
static int connect_path(int fd, const struct agent_question *question)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int place = -1;

	if (vm_process_path(&path, question->pid, question->socket))
		return -1;
	place = open(path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int connect_socket(const struct agent_question *question, unsigned int port)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char request[32];
	int size = snprintf(request, sizeof(request), "CONNECT %u\n", port);

	if (fd < 0)
		return -1;
	if (!connect_path(fd, question) && is_of_process(fd, question->pid) &&
	    send(fd, request, (size_t)size, MSG_NOSIGNAL) == size)
		return fd;
	close(fd);
	return -1;
}

static void end(struct attempt *attempt, struct pollfd *fd)
{
	close(fd->fd);
	fd->fd = -1;
	attempt->step = DONE;
}

static void begin(struct attempt *attempt, struct pollfd *fd, struct agent_question *question, unsigned int port)
{
	*attempt = (struct attempt) { .question = question, .step = question->socket ? ASKED : CONNECTING };
	question->answer = AGENT_UNKNOWN;
	fd->fd = question->socket ? connect_socket(question, port) : connect_address(question, port);
	fd->events = question->socket ? POLLIN : POLLOUT;
	if (fd->fd < 0)
		attempt->step = DONE;
	else
		question->answer = AGENT_SILENT;
}

/*
 * The agent serves one connection at a time and refuses others meanwhile. Ours ends when the agent has closed it too,
 * so that a recording that begins afterwards is served.
 */
static void leave(struct attempt *attempt, struct pollfd *fd)
{
	attempt->question->answer = AGENT_ANSWERS;
	attempt->step = LEAVING;
	fd->events = POLLIN;
	if (shutdown(fd->fd, SHUT_WR))
		end(attempt, fd);
}

static void go_on_connecting(struct attempt *attempt, struct pollfd *fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
		end(attempt, fd);
	else
		leave(attempt, fd);
}

static void go_on_asked(struct attempt *attempt, struct pollfd *fd)
{
	ssize_t got = recv(fd->fd, attempt->said + attempt->nr_said, sizeof(attempt->said) - attempt->nr_said, 0);

	if (got < 0 && errno == EAGAIN)
		return;
	attempt->nr_said += got > 0 ? (size_t)got : 0;
	if (got > 0 && attempt->nr_said < sizeof(attempt->said))
		return;
	if (got > 0 && !memcmp(attempt->said, TAKEN, sizeof(attempt->said)))
		leave(attempt, fd);
	else
		end(attempt, fd);
}

static void go_on_leaving(struct attempt *attempt, struct pollfd *fd)
{
	char dropped[256];
	ssize_t got = recv(fd->fd, dropped, sizeof(dropped), 0);

	if (!got || (got < 0 && errno != EAGAIN))
		end(attempt, fd);
}

static void go_on(struct attempt *attempt, struct pollfd *fd)
{
	if (attempt->step == CONNECTING)
		go_on_connecting(attempt, fd);
	else if (attempt->step == ASKED)
		go_on_asked(attempt, fd);
	else
		go_on_leaving(attempt, fd);
}

static size_t nr_open(const struct attempt *attempts, size_t nr)
{
	size_t open = 0;

	for (size_t i = 0; i < nr; i++)
		open += attempts[i].step != DONE;
	return open;
}

static void ask(struct attempt *attempts, struct pollfd *fds, size_t nr, int64_t deadline)
{
	while (nr_open(attempts, nr)) {
		int64_t left = deadline - now_ms();

		if (left <= 0 || (poll(fds, nr, (int)left) < 0 && errno != EINTR))
			break;
		for (size_t i = 0; i < nr; i++) {
			if (fds[i].fd >= 0 && fds[i].revents)
				go_on(&attempts[i], &fds[i]);
		}
	}
	for (size_t i = 0; i < nr; i++) {
		if (fds[i].fd >= 0)
			end(&attempts[i], &fds[i]);
	}
}

/**
 * agent_connections_try - test whether guests accept connections at a port
 * @questions: the guests, and their answers
 * @nr: number of @questions
 * @port: the port
 * @timeout_ms: time limit for all of them together, in milliseconds; with more than 256, for each 256
 *
 * Connects, but sends nothing to the guest. The agent logs that it found no request.
 *
 * Returns: 0 or -ENOMEM.
 */
int agent_connections_try(struct agent_question *questions, size_t nr, unsigned int port, unsigned int timeout_ms)
{
	_cleanup_(freep) struct attempt *attempts = calloc(MAX_BATCH, sizeof(*attempts));
	_cleanup_(freep) struct pollfd *fds = calloc(MAX_BATCH, sizeof(*fds));

	if (!attempts || !fds)
		return -ENOMEM;
	for (size_t first = 0; first < nr; first += MAX_BATCH) {
		size_t batch = nr - first < MAX_BATCH ? nr - first : MAX_BATCH;
		int64_t deadline = now_ms() + timeout_ms;

		for (size_t i = 0; i < batch; i++)
			begin(&attempts[i], &fds[i], &questions[first + i], port);
		ask(attempts, fds, batch, deadline);
	}
	return 0;
}
