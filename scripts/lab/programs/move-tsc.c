// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * move-tsc: move the TSC of one CPU of a guest, which makes KVM write a new offset.
 *
 *	move-tsc CPU DELTA			add DELTA cycles
 *	move-tsc CPU --set VALUE		write VALUE
 *	move-tsc CPU --amount-us MIN..MAX	add a random amount of time
 *
 * --reps N repeats a move, --every-us MIN..MAX waits a random time before each, --seed S makes
 * the random numbers repeatable, --khz K is the TSC's rate (default: what /proc/cpuinfo says).
 * Each move is printed with the TSC that was read just before it, and also if a move forward came so late that the TSC
 * went backward.
 *
 * It uses /dev/cpu/CPU/msr: the kernel needs msr.allow_writes=on, and if the CPU has TSC_ADJUST, the guest's own kernel
 * would move its TSC back.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define MSR_IA32_TSC	0x10

struct range {
	int64_t min, max;
};

static void __attribute__((noreturn)) die(int code, const char *what)
{
	fprintf(stderr, "move-tsc: %s%s%s\n", what, code == 1 ? ": " : "",
		code == 1 ? strerror(errno) : "");
	exit(code);
}

static int64_t number(const char *text)
{
	char *end;
	int64_t value;

	errno = 0;
	value = strtoll(text, &end, 0);
	if (errno == ERANGE) {
		errno = 0;
		value = (int64_t)strtoull(text, &end, 0);
	}
	if (errno || end == text || *end)
		die(2, "not a number; see the usage");
	return value;
}

static struct range range(char *text)
{
	char *dots = strstr(text, "..");
	struct range range;

	if (!dots)
		die(2, "not a range MIN..MAX");
	*dots = '\0';
	range.min = number(text);
	range.max = number(dots + 2);
	if (range.min > range.max)
		die(2, "a range needs MIN <= MAX");
	return range;
}

/* xorshift64*: small, repeatable, and good enough to scatter moves */
static int64_t pick(uint64_t *state, struct range range)
{
	uint64_t span = (uint64_t)range.max - (uint64_t)range.min + 1;

	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return range.min + (int64_t)((*state * 0x2545f4914f6cdd1dull >> 16) % span);
}

static int64_t cpuinfo_khz(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	double mhz = 0;
	char line[4096];

	if (!file)
		die(1, "/proc/cpuinfo");
	while (!mhz && fgets(line, sizeof(line), file))
		sscanf(line, "cpu MHz : %lf", &mhz);
	fclose(file);
	if (!mhz)
		die(2, "no rate in /proc/cpuinfo: give --khz");
	return mhz * 1000;
}

/*
 * The time from reading the TSC to writing it is lost. If the process does not run for longer than its TSC is moved
 * forward, the TSC moves backward. A real-time priority does not help: the kernel would charge the whole move to the
 * process, and not run it for as long.
 */
static void move(int msr, int cpu, int64_t value, bool absolute)
{
	uint64_t old, new;
	ssize_t written;
	bool back;

	old = __rdtsc();
	new = absolute ? (uint64_t)value : old + (uint64_t)value;
	written = pwrite(msr, &new, sizeof(new), MSR_IA32_TSC);
	back = __rdtsc() < old;
	if (written != sizeof(new))
		die(1, "writing the TSC (msr.allow_writes=on?)");
	printf("cpu %d tsc %" PRIu64 " moved %+" PRId64 "%s\n", cpu, old, (int64_t)(new - old),
	       back && (int64_t)(new - old) > 0 ? ", but late: it went backward" : "");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "set", required_argument, NULL, 's' },
		{ "reps", required_argument, NULL, 'n' },
		{ "every-us", required_argument, NULL, 'e' },
		{ "amount-us", required_argument, NULL, 'a' },
		{ "seed", required_argument, NULL, 'r' },
		{ "khz", required_argument, NULL, 'k' },
		{ }
	};
	bool absolute = false, random_amount = false, given = false;
	struct range every = { }, amount = { };
	int64_t value = 0, khz = 0, reps = 1;
	uint64_t seed = 1;
	int cpu, msr, opt;
	char path[64];
	cpu_set_t set;

	if (argc < 3)
		die(2, "usage: move-tsc CPU DELTA|--set VALUE|--amount-us MIN..MAX [--reps N]\n"
		       "       [--every-us MIN..MAX] [--seed S] [--khz K]");
	cpu = number(argv[1]);
	/* A negative DELTA must not reach getopt: it would look like an option. */
	if (strncmp(argv[2], "--", 2)) {
		value = number(argv[2]);
		given = true;
	}
	optind = given ? 3 : 2;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			value = number(optarg);
			absolute = given = true;
			break;
		case 'n':
			reps = number(optarg);
			break;
		case 'e':
			every = range(optarg);
			break;
		case 'a':
			amount = range(optarg);
			random_amount = given = true;
			break;
		case 'r':
			seed = number(optarg);
			break;
		case 'k':
			khz = number(optarg);
			break;
		default:
			return 2;
		}
	}
	if (!given || optind != argc || every.min < 0)
		die(2, "what to write is missing, or too many words");
	/* The generator must not start at 0, and neighbouring seeds should give different sequences. */
	seed = (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
	if (random_amount && !khz)
		khz = cpuinfo_khz();

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die(1, "CPU affinity");
	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	msr = open(path, O_RDWR | O_CLOEXEC);
	if (msr < 0)
		die(1, path);

	for (int64_t i = 0; i < reps; i++) {
		int64_t us = pick(&seed, every);
		struct timespec wait = { us / 1000000, us % 1000000 * 1000 };

		if (us)
			nanosleep(&wait, NULL);
		if (random_amount)
			value = pick(&seed, amount) * khz / 1000;
		move(msr, cpu, value, absolute);
	}
	return 0;
}
