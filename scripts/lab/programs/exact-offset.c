// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * exact-offset: preloaded into QEMU, sets TSC offsets that a guest itself could not set.
 *
 *	EXACT_OFFSET=VALUE	each vCPU begins with this offset, 0 for example
 *	EXACT_MOVES=SEED	each vCPU's offset grows by 1 us to 50 ms of its TSC's time, at random
 *				times that are 200 to 800 ms apart; a SEED always gives the same moves
 *	EXACT_BOTH_WAYS=1	these moves are 500 to 1500 ms apart, of up to 500 ms, and half of them go backward
 *	EXACT_FASTER=PPM	each vCPU's TSC is PPM millionths faster than the host's: if the
 *				CPU cannot scale KVM adds what is missing at every exit
 *	EXACT_KHZ=FILE		each vCPU's TSC gets the rate in FILE, in kHz, whenever FILE changes
 *	EXACT_SECOND_VM=1	the process has a second VM with vCPUs 0 and 1, which never run and whose offsets
 *				change all the time; it ends now and then, and the next one takes its place
 *	EXACT_EARLIER_VMS=N	the process has had N such VMs, one after the other, before it makes its own
 *
 * A guest that writes its TSC cannot determine the offset, because time passes while KVM handles the write: a small
 * move forward becomes one backward. Only the process that owns a vCPU can set its offset. This does it right before a
 * vCPU runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

#define SECOND_VM_VCPUS		2
#define SECOND_VM_OFFSETS	50
#define SECOND_VM_PAUSE_NS	10000000
/* Least time between moves of a TSC that goes both ways */
#define MIN_PAUSE_MS		500

/* QEMU runs each vCPU in its own thread */
static __thread struct {
	bool		begun;
	uint64_t	next_ms;
	uint64_t	looked_ms;
	uint64_t	khz;
	uint64_t	random;
	bool		backward;
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

/* A VM, from its creation to its end */
static int run_second_vm(int kvm)
{
	const struct timespec pause = { .tv_nsec = SECOND_VM_PAUSE_NS };
	int vm = (int)raw_ioctl(kvm, KVM_CREATE_VM, NULL), vcpus[SECOND_VM_VCPUS];

	if (vm < 0)
		return -1;
	for (int i = 0; i < SECOND_VM_VCPUS; i++) {
		vcpus[i] = ioctl(vm, KVM_CREATE_VCPU, i);
		if (vcpus[i] < 0)
			return -1;
	}
	for (int i = 0; i < SECOND_VM_OFFSETS; i++) {
		offset_ioctl(vcpus[i % SECOND_VM_VCPUS], KVM_SET_DEVICE_ATTR, pick(0, 1ull << 46));
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < SECOND_VM_VCPUS; i++)
		close(vcpus[i]);
	close(vm);
	return 0;
}

static void *second_vms(void *unused __attribute__((unused)))
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	vcpu.random = 1;
	while (!run_second_vm(kvm))
		;
	fprintf(stderr, "exact-offset: %s\n", strerror(errno));
	return NULL;
}

/* In the process that makes the VM: QEMU forks before */
static void run_earlier_vms(const char *number)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	vcpu.random = 2;
	for (int i = atoi(number); i > 0; i--) {
		if (run_second_vm(kvm)) {
			fprintf(stderr, "exact-offset: %s\n", strerror(errno));
			break;
		}
	}
	vcpu.random = 0;
	close(kvm);
}

static void begin_process(void)
{
	pthread_t thread;

	if (getenv("EXACT_SECOND_VM") && pthread_create(&thread, NULL, second_vms, NULL))
		fprintf(stderr, "exact-offset: no thread\n");
}

static void set_rate(int fd, const char *path)
{
	char text[32] = "";
	uint64_t khz;
	int file;

	/* This is not done at each exit, because there are many */
	if (now_ms() < vcpu.looked_ms + 10)
		return;
	vcpu.looked_ms = now_ms();
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	khz = read(file, text, sizeof(text) - 1) > 0 ? strtoull(text, NULL, 10) : 0;
	if (khz && khz != vcpu.khz && raw_ioctl(fd, KVM_SET_TSC_KHZ, (void *)khz))
		fprintf(stderr, "exact-offset: %s\n", strerror(errno));
	if (khz)
		vcpu.khz = khz;
	close(file);
}

static bool both_ways(void)
{
	return getenv("EXACT_BOTH_WAYS");
}

static void move(int fd)
{
	uint64_t khz = raw_ioctl(fd, KVM_GET_TSC_KHZ, NULL);
	/* Not further back than the TSC has advanced since the last move, so that it stays positive */
	int64_t cycles = pick(1, both_ways() ? MIN_PAUSE_MS * 1000 : 50000) * khz / 1000;

	/* Usually, it moves back by the last amount */
	vcpu.backward ^= both_ways() && pick(0, 3);
	if (vcpu.backward)
		cycles = -cycles;
	offset_ioctl(fd, KVM_SET_DEVICE_ATTR, offset_ioctl(fd, KVM_GET_DEVICE_ATTR, 0) + cycles);
	/*
	 * KVM itself does not recompute the guest's kvm-clock. If the TSC is lower than at its last computation, the
	 * guest computes a difference of almost 2^64, and its clocks stand still from then on.
	 */
	if (both_ways() && raw_ioctl(fd, KVM_KVMCLOCK_CTRL, NULL) && errno != EINVAL)
		fprintf(stderr, "exact-offset: %s\n", strerror(errno));
	vcpu.next_ms = now_ms() + (both_ways() ? pick(MIN_PAUSE_MS, 1500) : pick(200, 800));
}

static void before_run(int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *rate = getenv("EXACT_KHZ");
	const char *initial = getenv("EXACT_OFFSET"), *seed = getenv("EXACT_MOVES");
	const char *faster = getenv("EXACT_FASTER");
	uint64_t khz;

	pthread_once(&once, begin_process);
	if (rate)
		set_rate(fd, rate);
	if (!vcpu.begun) {
		vcpu.begun = true;
		if (initial)
			offset_ioctl(fd, KVM_SET_DEVICE_ATTR, strtoll(initial, NULL, 0));
		khz = raw_ioctl(fd, KVM_GET_TSC_KHZ, NULL);
		if (faster && raw_ioctl(fd, KVM_SET_TSC_KHZ,
					(void *)(khz + khz * strtoull(faster, NULL, 0) / 1000000)))
			fprintf(stderr, "exact-offset: %s\n", strerror(errno));
		/* A separate sequence for each vCPU; the generator must not start at 0 */
		if (seed)
			vcpu.random = (strtoull(seed, NULL, 0) * 64 + fd) * 0x9e3779b97f4a7c15ull | 1;
		vcpu.next_ms = now_ms() + (both_ways() ? MIN_PAUSE_MS : 0);
	}
	if (seed && now_ms() >= vcpu.next_ms)
		move(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	const char *earlier = getenv("EXACT_EARLIER_VMS");
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	if (request == KVM_RUN)
		before_run(fd);
	if (request == KVM_CREATE_VM && earlier)
		run_earlier_vms(earlier);
	return raw_ioctl(fd, request, arg);
}
