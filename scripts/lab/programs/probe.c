// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * probe: events of a guest and its host whose true order is known.
 *
 *	probe COUNT DELAY_US CPU [BASE [INSTANCE]]
 *
 * COUNT times on CPU: a marker "probe b SEQ" in the guest's trace, or in that of a tracefs instance,
 * two port writes that carry SEQ and force an exit each, a marker "probe a SEQ TSC0 TSC1". In true time
 *
 *	guest b  <  kvm_exit <= kvm_pio < kvm_entry  <  guest a
 *
 * SEQ has 16 bits; its low byte goes to port 0x5f0 and its high byte to 0x5f1. It counts up from BASE, by default
 * 0x4000 * CPU, so that the CPUs of a guest do not share values; guests recorded together need different bases.
 *
 * The ports are accessed through /dev/port, because QEMU's TCG refuses IN and OUT at CPL 3 in a nested guest, even
 * after iopl(3). No device uses these ports.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "read_tsc.h"

#define PROBE_PORT	0x5f0
#define TRACEFS		"/sys/kernel/tracing"

static int fail(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long count, delay_us, cpu, base, lost = 0;
	struct timespec delay;
	char path[256] = TRACEFS "/trace_marker";
	int marker, port;
	cpu_set_t set;

	if (argc < 4 || argc > 6) {
		fprintf(stderr, "usage: probe COUNT DELAY_US CPU [BASE [INSTANCE]]\n");
		return 2;
	}
	count = strtoul(argv[1], NULL, 0);
	delay_us = strtoul(argv[2], NULL, 0);
	cpu = strtoul(argv[3], NULL, 0);
	base = argc > 4 ? strtoul(argv[4], NULL, 0) : cpu * 0x4000;
	if (argc > 5)
		snprintf(path, sizeof(path), TRACEFS "/instances/%s/trace_marker", argv[5]);
	delay.tv_sec = delay_us / 1000000;
	delay.tv_nsec = delay_us % 1000000 * 1000;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return fail("CPU affinity");
	marker = open(path, O_WRONLY | O_CLOEXEC);
	if (marker < 0)
		return fail(path);
	port = open("/dev/port", O_RDWR | O_CLOEXEC);
	if (port < 0)
		return fail("/dev/port");

	for (unsigned long i = 0; i < count; i++) {
		uint16_t seq = base + i;
		uint8_t bytes[2] = { seq & 0xff, seq >> 8 };
		uint64_t before, after;
		char text[80];
		int len;

		len = snprintf(text, sizeof(text), "probe b %04x", seq);
		lost += write(marker, text, len) != len;

		before = read_tsc();
		if (pwrite(port, bytes, sizeof(bytes), PROBE_PORT) != sizeof(bytes))
			return fail("port write");
		after = read_tsc();

		len = snprintf(text, sizeof(text), "probe a %04x %llu %llu", seq,
			       (unsigned long long)before, (unsigned long long)after);
		lost += write(marker, text, len) != len;
		if (delay_us)
			nanosleep(&delay, NULL);
	}
	/* A marker is refused while tracing is off, which is not an error of the probes. */
	if (lost)
		fprintf(stderr, "probe: %lu markers were not written (is tracing on?)\n", lost);
	return 0;
}
