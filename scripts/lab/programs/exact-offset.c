// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * exact-offset: preloaded into QEMU, it sets TSC offsets that a guest itself could not reach.
 *
 *	EXACT_OFFSET=VALUE	each vCPU begins with this offset, 0 for example
 *	EXACT_MOVES=SEED	each vCPU's offset grows by 1 us to 50 ms of its TSC's time, at random
 *				moments 200 to 800 ms apart; the same moves for the same SEED
 *	EXACT_FASTER=PPM	each vCPU's TSC shall be faster than the host's by so many millionths: where the
 *				CPU cannot scale KVM adds what is missing at every exit
 *
 * A guest that writes its TSC cannot say what the offset shall be, since time goes on while KVM handles
 * the write: a small move forward comes out as one backward. Only the process that owns a vCPU can set
 * its offset. So this does it right before a vCPU runs.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>

/* QEMU runs each vCPU in a thread of its own */
static __thread struct {
	bool		begun;
	uint64_t	next_ms;
	uint64_t	random;
} vcpu;

static long raw_ioctl(int fd, unsigned long request, void *arg)
{
	return syscall(SYS_ioctl, fd, request, arg);
}

static int64_t offset_ioctl(int fd, unsigned long request, int64_t offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (raw_ioctl(fd, request, &attr))
		fprintf(stderr, "exact-offset: %s\n", strerror(errno));
	return offset;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift64*; @max is far from 2^64 */
static uint64_t pick(uint64_t min, uint64_t max)
{
	vcpu.random ^= vcpu.random >> 12;
	vcpu.random ^= vcpu.random << 25;
	vcpu.random ^= vcpu.random >> 27;
	return min + (vcpu.random * 0x2545f4914f6cdd1dull >> 16) % (max - min + 1);
}

static void before_run(int fd)
{
	const char *initial = getenv("EXACT_OFFSET"), *seed = getenv("EXACT_MOVES");
	const char *faster = getenv("EXACT_FASTER");
	uint64_t khz;

	if (!vcpu.begun) {
		vcpu.begun = true;
		if (initial)
			offset_ioctl(fd, KVM_SET_DEVICE_ATTR, strtoll(initial, NULL, 0));
		khz = raw_ioctl(fd, KVM_GET_TSC_KHZ, NULL);
		if (faster && raw_ioctl(fd, KVM_SET_TSC_KHZ,
					(void *)(khz + khz * strtoull(faster, NULL, 0) / 1000000)))
			fprintf(stderr, "exact-offset: %s\n", strerror(errno));
		/* A sequence of its own for each vCPU; the generator must not start at 0 */
		if (seed)
			vcpu.random = (strtoull(seed, NULL, 0) * 64 + fd) * 0x9e3779b97f4a7c15ull | 1;
		vcpu.next_ms = now_ms();
	}
	if (!seed || now_ms() < vcpu.next_ms)
		return;
	khz = raw_ioctl(fd, KVM_GET_TSC_KHZ, NULL);
	offset_ioctl(fd, KVM_SET_DEVICE_ATTR,
		     offset_ioctl(fd, KVM_GET_DEVICE_ATTR, 0) + pick(1, 50000) * khz / 1000);
	vcpu.next_ms = now_ms() + pick(200, 800);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	if (request == KVM_RUN)
		before_run(fd);
	return raw_ioctl(fd, request, arg);
}
