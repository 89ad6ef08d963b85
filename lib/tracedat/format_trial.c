// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "format_parse.h"
#include "format_trial.h"

/* Formats that may kill the parser; the events of all later ones are printed field by field */
#define MAX_FATAL	32
/* All formats of a distribution's kernel need less than a tenth of a second */
#define CPU_SECONDS	2
/* For a child that gets no CPU time */
#define WALL_SECONDS	30
#define STACK_SIZE	(4UL << 20)
#define MORE_MEMORY	(256UL << 20)

/* Instead of a format's way: the child has not reached it */
#define NOT_TRIED	0xff

/* A child process */
struct trial {
	pid_t		pid;
	int		alive;	/* a pipe whose other end only the child has */
	uint8_t		*ways;	/* shared with it */
	size_t		nr;
};

static void limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (hard < limit.rlim_max)
		limit.rlim_max = hard;
	if (soft < limit.rlim_cur)
		limit.rlim_cur = soft;
	setrlimit(resource, &limit);
}

/* The memory of the process, and some more: sanitizers map terabytes. Nothing is allocated here, see below. */
static void limit_memory(void)
{
	_cleanup_(closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (size <= 0)
		return;
	text[size] = '\0';
	limit(RLIMIT_AS, strtoul(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + MORE_MEMORY, RLIM_INFINITY);
}

/*
 * The child must end without side effects: it has no handlers, which would remove files of the parent; it prints
 * nothing; and it leaves no core.
 */
static void confine(pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	limit(RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1);
	limit(RLIMIT_STACK, STACK_SIZE, RLIM_INFINITY);
	limit_memory();
}

static void run_child(struct tep_handle *tep, const struct event_format *formats, const struct trial *trial)
{
	for (size_t i = 0; i < trial->nr; i++)
		__atomic_store_n(&trial->ways[i], (uint8_t)format_parse_way(tep, &formats[i]), __ATOMIC_RELEASE);
}

static int begin(struct trial *trial, struct tep_handle *tep, const struct event_format *formats)
{
	pid_t parent = getpid();
	int ends[2], ret;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	trial->pid = fork();
	if (!trial->pid) {
		close(ends[0]);
		confine(parent);
		run_child(tep, formats, trial);
		_exit(0);
	}
	ret = trial->pid < 0 ? -errno : 0;
	close(ends[1]);
	if (ret)
		close(ends[0]);
	trial->alive = ends[0];
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Returns: false if the child had to be killed */
static bool await(const struct trial *trial)
{
	struct pollfd end = { .fd = trial->alive };
	int64_t deadline = now_ms() + WALL_SECONDS * 1000;
	bool in_time = false;

	for (int64_t now = now_ms(); now < deadline && !in_time; now = now_ms())
		in_time = poll(&end, 1, (int)(deadline - now)) > 0;
	if (!in_time)
		kill(trial->pid, SIGKILL);
	return in_time;
}

/* Returns: false if the child exceeded its time */
static bool finish(struct trial *trial)
{
	bool in_time = await(trial);
	int status = 0;

	while (waitpid(trial->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(trial->alive);
	return in_time && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

/*
 * Returns: number of formats that the child finished, or a negative errno. @in_time: false if the next format took too
 * long.
 */
static ssize_t try_all(struct tep_handle *tep, struct event_format *formats, size_t nr, bool *in_time)
{
	struct trial trial = { .nr = nr };
	ssize_t done = 0;
	int ret;

	trial.ways = mmap(NULL, nr, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (trial.ways == MAP_FAILED)
		return -errno;
	memset(trial.ways, NOT_TRIED, nr);
	ret = begin(&trial, tep, formats);
	if (!ret)
		*in_time = finish(&trial);
	for (; !ret && (size_t)done < nr && trial.ways[done] <= PRINT_FORMAT; done++)
		formats[done].way = trial.ways[done];
	munmap(trial.ways, nr);
	return ret ? ret : done;
}

/**
 * format_trial - parse formats with libtraceevent so that one that crashes it costs only itself
 * @tep: receives the formats
 * @formats: formats with different numbers; their ways are the requested ones, and then the result
 * @nr: number of @formats
 * @nr_fatal: result: number of formats that would have killed this process, or come after too many of these
 *
 * A child process parses them first. The formats that it survives are then parsed here, with the same memory before
 * them, so that this process survives them too. If a format kills a child, only its fields are parsed, which
 * format_text_scan() has checked, and the next child continues after it.
 *
 * Returns: 0, or a negative errno if no child can be created.
 */
int format_trial(struct tep_handle *tep, struct event_format *formats, size_t nr, size_t *nr_fatal)
{
	bool in_time = true;
	size_t at = 0;

	*nr_fatal = 0;
	while (at < nr) {
		ssize_t done = 0;

		if (in_time && *nr_fatal < MAX_FATAL)
			done = try_all(tep, &formats[at], nr - at, &in_time);
		if (done < 0)
			return (int)done;
		for (size_t end = at + (size_t)done; at < end; at++)
			format_parse(tep, &formats[at]);
		if (at == nr)
			break;
		formats[at].way = PRINT_FIELDS;
		format_parse(tep, &formats[at++]);
		++*nr_fatal;
	}
	return 0;
}
