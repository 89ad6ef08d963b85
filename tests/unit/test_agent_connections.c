// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Connections to guests' agents. A child process listens on UNIX sockets as a VMM with a hybrid vsock does. The
 * cases: its answers, other things at the path, and sockets of other processes. Also a guest that has a vsock address
 * which no guest of this machine uses.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent_connections.h"
#include "unix_listeners.h"
#include "vm_process.h"

#define DIRECTORY	"/tmp/agent_connections.XXXXXX"
#define LONG_MS		60000

/**
 * struct vmm - a process that listens on sockets
 * @directory: where its sockets are
 * @pid: the process
 * @stdin_fd: the process ends when this is closed
 */
struct vmm {
	char	directory[sizeof(DIRECTORY)];
	pid_t	pid;
	int	stdin_fd;
};

static int bind_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		_exit(1);
	return fd;
}

static int listen_at(const char *name)
{
	int fd = bind_at(name);

	if (listen(fd, 5))
		_exit(1);
	return fd;
}

/* Serve one connection: check the request and send @text. The connection lasts until the other side disconnects. */
static void answer(int listener, const char *text)
{
	char request[32] = "", left[8];
	int fd = accept(listener, NULL, NULL);

	if (read(fd, request, sizeof(request) - 1) > 0 && !strcmp(request, "CONNECT 823\n") && text) {
		/* Byte by byte, as a stream may arrive */
		for (; *text; text++) {
			if (send(fd, text, 1, MSG_NOSIGNAL) != 1)
				break;
		}
		while (read(fd, left, sizeof(left)) > 0)
			;
	}
	close(fd);
}

/* @text: its reply to a request; NULL: it closes the connection; "": it sends nothing */
static void begin(struct vmm *vmm, const char *text)
{
	int ends[2], begun[2];
	char byte;

	strcpy(vmm->directory, DIRECTORY);
	assert_non_null(mkdtemp(vmm->directory));
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(begun), 0);
	vmm->stdin_fd = ends[1];
	vmm->pid = fork();
	if (!vmm->pid) {
		struct pollfd fds[2];
		char path[64];

		if (chdir(vmm->directory))
			_exit(1);
		close(ends[1]);
		fds[0] = (struct pollfd) { .fd = ends[0], .events = POLLIN };
		/* A socket that is bound but does not listen */
		bind_at("bound");
		/* One socket has a relative path, the other an absolute one */
		fds[1] = (struct pollfd) { .fd = listen_at("vsock"), .events = POLLIN };
		snprintf(path, sizeof(path), "%s/api", vmm->directory);
		listen_at(path);
		if (write(begun[1], "x", 1) != 1)
			_exit(1);
		while (poll(fds, 2, -1) > 0 && !fds[0].revents)
			answer(fds[1].fd, text);
		_exit(0);
	}
	close(ends[0]);
	close(begun[1]);
	assert_int_equal(read(begun[0], &byte, 1), 1);
	close(begun[0]);
}

static void end(struct vmm *vmm)
{
	static const char *const names[] = { "vsock", "api", "bound" };
	char path[64];

	close(vmm->stdin_fd);
	kill(vmm->pid, SIGKILL);
	assert_int_equal(waitpid(vmm->pid, NULL, 0), vmm->pid);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", vmm->directory, names[i]);
		unlink(path);
	}
	rmdir(vmm->directory);
}

static enum agent_answer ask(const struct vmm *vmm, const char *socket, pid_t pid, unsigned int timeout_ms)
{
	struct agent_question question = { .socket = socket, .pid = pid };

	assert_int_equal(agent_connections_try(&question, 1, 823, timeout_ms), 0);
	return question.answer;
}

static void test_answers(void **state)
{
	static const struct {
		const char		*text;
		enum agent_answer	answer;
		unsigned int		timeout_ms;
	} vmms[] = {
		{ "OK 1073741824\n", AGENT_ANSWERS, LONG_MS },
		{ NULL, AGENT_SILENT, LONG_MS },
		{ "", AGENT_SILENT, 300 },
		{ "NO 1073741824\n", AGENT_SILENT, LONG_MS },
	};

	for (size_t i = 0; i < sizeof(vmms) / sizeof(vmms[0]); i++) {
		struct vmm vmm;

		begin(&vmm, vmms[i].text);
		assert_int_equal(ask(&vmm, "vsock", vmm.pid, vmms[i].timeout_ms), vmms[i].answer);
		end(&vmm);
	}
}

/* The connection ends as soon as the other side closes it, not only at the deadline */
static void test_leaves(void **state)
{
	struct vmm vmm;

	begin(&vmm, "OK 1\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&vmm, "vsock", vmm.pid, LONG_MS), AGENT_ANSWERS);
	end(&vmm);
}

/* Nothing is sent to a socket on which another process listens, even if a link leads to it */
static void test_elsewhere(void **state)
{
	struct vmm vmm, other;
	char path[64], link[64];

	begin(&vmm, "OK 1\n");
	begin(&other, "OK 1\n");
	snprintf(path, sizeof(path), "%s/vsock", other.directory);
	snprintf(link, sizeof(link), "%s/link", vmm.directory);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(ask(&vmm, "link", vmm.pid, LONG_MS), AGENT_UNKNOWN);
	assert_int_equal(ask(&vmm, path, vmm.pid, LONG_MS), AGENT_UNKNOWN);
	assert_int_equal(ask(&vmm, "nothing", vmm.pid, LONG_MS), AGENT_UNKNOWN);
	assert_int_equal(ask(&vmm, "", vmm.pid, LONG_MS), AGENT_UNKNOWN);
	/* The control */
	assert_int_equal(ask(&vmm, path, other.pid, LONG_MS), AGENT_ANSWERS);
	unlink(link);
	end(&other);
	end(&vmm);
	assert_int_equal(ask(&vmm, "vsock", vmm.pid, LONG_MS), AGENT_UNKNOWN);
}

/* More questions than are asked at a time; each gets its own answer */
static void test_many(void **state)
{
	static struct agent_question questions[600];
	struct vmm vmms[2];

	begin(&vmms[0], "OK 1\n");
	begin(&vmms[1], NULL);
	for (size_t i = 0; i < 600; i++)
		questions[i] = (struct agent_question) { .socket = "nothing", .pid = getpid() };
	questions[0] = (struct agent_question) { .socket = "vsock", .pid = vmms[0].pid };
	questions[300] = (struct agent_question) { .socket = "vsock", .pid = vmms[1].pid };
	questions[599] = (struct agent_question) { .socket = "vsock", .pid = vmms[0].pid };
	assert_int_equal(agent_connections_try(questions, 600, 823, LONG_MS), 0);
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(questions[i].answer, i == 300 ? AGENT_SILENT :
				 i % 599 ? AGENT_UNKNOWN : AGENT_ANSWERS);
	end(&vmms[0]);
	end(&vmms[1]);
}

/* No guest has this address: nothing answers, whatever vsock support this kernel has */
static void test_address(void **state)
{
	struct agent_question question = { .cid = 4123456789, .answer = AGENT_ANSWERS };

	assert_int_equal(agent_connections_try(&question, 1, 823, 100), 0);
	assert_int_not_equal(question.answer, AGENT_ANSWERS);
}

static void test_listeners(void **state)
{
	struct vmm vmm;
	char api[64], vsock[64], *path = NULL;

	begin(&vmm, NULL);
	snprintf(api, sizeof(api), "%s/api", vmm.directory);
	snprintf(vsock, sizeof(vsock), "vsock");
	assert_int_equal(unix_listeners_other(&path, vmm.pid, api), 0);
	assert_string_equal(path, "vsock");
	free(path);
	assert_int_equal(unix_listeners_other(&path, vmm.pid, vsock), 0);
	assert_string_equal(path, api);
	free(path);
	assert_int_equal(unix_listeners_other(&path, vmm.pid, "/run/firecracker.socket"), -EEXIST);
	assert_int_equal(unix_listeners_other(&path, vmm.pid, NULL), -EEXIST);
	end(&vmm);
	assert_int_equal(unix_listeners_other(&path, getpid(), NULL), -ENOENT);
	assert_true(unix_listeners_other(&path, vmm.pid, NULL) < 0);
}

static void test_age(void **state)
{
	struct timespec now;
	uint64_t age;

	assert_int_equal(vm_process_age(getpid(), &age), 0);
	assert_true(age < 3600);
	assert_int_equal(vm_process_age(1, &age), 0);
	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_true(age <= (uint64_t)now.tv_sec);
	assert_int_equal(vm_process_age(0, &age), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests_name("agent_connections", tests, NULL, NULL);
}
