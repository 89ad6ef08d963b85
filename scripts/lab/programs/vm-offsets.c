// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * vm-offsets: virtual machines that never run, but whose vCPUs get exact TSC offsets.
 *
 *	vm-offsets [--vms N] [--vcpus N] [--msr] [--hold|--times N] [[VCPU:]VALUE...]
 *	vm-offsets [--vms N] [--vcpus N] --noise HZ [--seed S]
 *
 * Each VALUE in turn is set on all vCPUs, or only on vCPU number VCPU, of each VM: as the offset (signed cycles,
 * KVM_VCPU_TSC_OFFSET), or with --msr as the guest's TSC (KVM_SET_MSRS). --noise sets random offsets on all vCPUs in
 * turn, HZ a second, until killed: a second VM with the vCPU numbers of the one under test. --hold keeps the VMs until
 * killed. --times repeats everything N times, each time with new VMs. The output is: VM, vCPU, the resulting offset in
 * KVM.
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

static void noise(const int *fds, int vms, int vcpus, double hz, uint64_t seed)
{
	const struct timespec pause = { 1 / hz, (uint64_t)(1e9 / hz) % 1000000000 };

	for (int i = 0; ; i = (i + 1) % (vms * vcpus)) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		set_offset(fds[i], seed >> 16);
		show(i / vcpus, i % vcpus, seed >> 16);
		nanosleep(&pause, NULL);
	}
}

struct request {
	int		vms;
	int		vcpus;
	int		times;
	bool		msr;
	bool		hold;
	double		hz;
	uint64_t	seed;
	char		**values;
	int		nr_values;
};

static void set_value(const struct request *request, const int *fds, const char *word)
{
	const char *colon = strchr(word, ':');
	const char *text = colon ? colon + 1 : word;
	uint64_t value = *text == '-' ? (uint64_t)strtoll(text, NULL, 0) : strtoull(text, NULL, 0);
	int only = colon ? atoi(word) : -1;

	for (int i = 0; i < request->vms * request->vcpus; i++) {
		if (only >= 0 && i % request->vcpus != only)
			continue;
		if (request->msr)
			set_msr(fds[i], value);
		else
			set_offset(fds[i], value);
		show(i / request->vcpus, i % request->vcpus, get_offset(fds[i]));
	}
}

/* VMs, from their creation to their end; @vms, @vcpus: storage for their file descriptors */
static void run_vms(const struct request *request, int kvm, int *vms, int *vcpus)
{
	int nr_vcpus = request->vms * request->vcpus;

	for (int i = 0; i < request->vms; i++) {
		vms[i] = ioctl(kvm, KVM_CREATE_VM, 0);
		if (vms[i] < 0)
			die("KVM_CREATE_VM");
		for (int id = 0; id < request->vcpus; id++) {
			int vcpu = ioctl(vms[i], KVM_CREATE_VCPU, id);

			if (vcpu < 0)
				die("KVM_CREATE_VCPU");
			vcpus[i * request->vcpus + id] = vcpu;
		}
	}
	for (int i = 0; i < request->nr_values; i++)
		set_value(request, vcpus, request->values[i]);
	if (request->hz)
		noise(vcpus, request->vms, request->vcpus, request->hz, request->seed);
	if (request->hold)
		pause();
	for (int i = 0; i < nr_vcpus; i++)
		close(vcpus[i]);
	for (int i = 0; i < request->vms; i++)
		close(vms[i]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "vms", required_argument, NULL, 'm' },
		{ "vcpus", required_argument, NULL, 'c' },
		{ "times", required_argument, NULL, 't' },
		{ "msr", no_argument, NULL, 'r' },
		{ "hold", no_argument, NULL, 'h' },
		{ "noise", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ }
	};
	struct request request = { .vms = 1, .vcpus = 1, .times = 1, .seed = 1 };
	int kvm, opt, *vms, *vcpus;

	/* '+': a negative VALUE is not an option; write "--" before a leading one */
	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
			request.vms = atoi(optarg);
			break;
		case 'c':
			request.vcpus = atoi(optarg);
			break;
		case 't':
			request.times = atoi(optarg);
			break;
		case 'r':
			request.msr = true;
			break;
		case 'h':
			request.hold = true;
			break;
		case 'n':
			request.hz = atof(optarg);
			break;
		case 's':
			request.seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	request.values = argv + optind;
	request.nr_values = argc - optind;
	if (request.vms < 1 || request.vcpus < 1 || request.times < 1 || request.hz < 0) {
		fprintf(stderr, "vm-offsets: --vms, --vcpus, --times and --noise want positive numbers\n");
		return 2;
	}

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	vms = calloc((size_t)request.vms, sizeof(*vms));
	vcpus = calloc((size_t)request.vms * request.vcpus, sizeof(*vcpus));
	if (!vms || !vcpus)
		die("memory");
	for (int i = 0; i < request.times; i++)
		run_vms(&request, kvm, vms, vcpus);
	return 0;
}
