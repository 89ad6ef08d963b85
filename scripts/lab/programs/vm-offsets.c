// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * vm-offsets: virtual machines that never run, but whose vCPUs get exact TSC offsets.
 *
 *	vm-offsets [--vms N] [--vcpus N] [--msr] [--hold] [[VCPU:]VALUE...]
 *	vm-offsets [--vms N] [--vcpus N] --noise HZ [--seed S]
 *
 * Each VALUE in turn is set on all vCPUs, or on vCPU number VCPU only, of each VM: as the offset
 * (signed cycles, KVM_VCPU_TSC_OFFSET), or with --msr as the guest's TSC (KVM_SET_MSRS).
 * --noise sets random offsets on all vCPUs in turn, HZ a second, until it is killed: a second VM
 * whose vCPU numbers are those of the one under test. --hold keeps the VMs until killed.
 * What was set is printed: VM, vCPU, the offset that KVM has then.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>

#define MSR_IA32_TSC	0x10

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "vm-offsets: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set_msr(int vcpu, uint64_t tsc)
{
	/* The header ends in an array without a length */
	_Alignas(struct kvm_msrs) char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	struct kvm_msrs *msrs = (struct kvm_msrs *)room;

	*msrs = (struct kvm_msrs) { .nmsrs = 1 };
	msrs->entries[0] = (struct kvm_msr_entry) { .index = MSR_IA32_TSC, .data = tsc };
	if (ioctl(vcpu, KVM_SET_MSRS, msrs) != 1)
		die("KVM_SET_MSRS(IA32_TSC)");
}

static void set_offset(int vcpu, uint64_t offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attr))
		die("KVM_VCPU_TSC_OFFSET (needs Linux 5.16)");
}

static int64_t get_offset(int vcpu)
{
	int64_t offset = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr))
		die("KVM_VCPU_TSC_OFFSET (needs Linux 5.16)");
	return offset;
}

static void show(int vm, int vcpu, int64_t offset)
{
	printf("vm %d vcpu %d offset %" PRId64 "\n", vm, vcpu, offset);
	fflush(stdout);
}

static void noise(int *fds, int vms, int vcpus, double hz, uint64_t seed)
{
	const struct timespec pause = { 1 / hz, (uint64_t)(1e9 / hz) % 1000000000 };

	for (int i = 0; ; i = (i + 1) % (vms * vcpus)) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		set_offset(fds[i], seed >> 16);
		show(i / vcpus, i % vcpus, seed >> 16);
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "vms", required_argument, NULL, 'm' },
		{ "vcpus", required_argument, NULL, 'c' },
		{ "msr", no_argument, NULL, 'r' },
		{ "hold", no_argument, NULL, 'h' },
		{ "noise", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ }
	};
	int vms = 1, vcpus = 1, kvm, first, opt, *fds;
	bool msr = false, hold = false;
	uint64_t seed = 1;
	double hz = 0;

	/* '+': a negative VALUE is no option; write "--" before one that comes first */
	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
			vms = atoi(optarg);
			break;
		case 'c':
			vcpus = atoi(optarg);
			break;
		case 'r':
			msr = true;
			break;
		case 'h':
			hold = true;
			break;
		case 'n':
			hz = atof(optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	first = optind;
	if (vms < 1 || vcpus < 1 || hz < 0) {
		fprintf(stderr, "vm-offsets: --vms, --vcpus and --noise want positive numbers\n");
		return 2;
	}

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	fds = calloc((size_t)vms * vcpus, sizeof(*fds));
	if (!fds)
		die("memory");
	for (int vm = 0; vm < vms; vm++) {
		int fd = ioctl(kvm, KVM_CREATE_VM, 0);

		if (fd < 0)
			die("KVM_CREATE_VM");
		for (int vcpu = 0; vcpu < vcpus; vcpu++) {
			fds[vm * vcpus + vcpu] = ioctl(fd, KVM_CREATE_VCPU, vcpu);
			if (fds[vm * vcpus + vcpu] < 0)
				die("KVM_CREATE_VCPU");
		}
	}

	for (int arg = first; arg < argc; arg++) {
		char *colon = strchr(argv[arg], ':');
		char *text = colon ? colon + 1 : argv[arg];
		uint64_t value = *text == '-' ? (uint64_t)strtoll(text, NULL, 0) :
						strtoull(text, NULL, 0);
		int only = colon ? atoi(argv[arg]) : -1;

		for (int i = 0; i < vms * vcpus; i++) {
			if (only >= 0 && i % vcpus != only)
				continue;
			if (msr)
				set_msr(fds[i], value);
			else
				set_offset(fds[i], value);
			show(i / vcpus, i % vcpus, get_offset(fds[i]));
		}
	}
	if (hz)
		noise(fds, vms, vcpus, hz, seed);
	if (hold)
		pause();
	return 0;
}
