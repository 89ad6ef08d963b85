// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tiny-guest: a guest of a few instructions, whose TSC both sides write and read.
 *
 *	tiny-guest [--speed N/M] STEP...
 *
 *	read		the guest reads its TSC
 *	guest=VALUE	the guest writes its TSC, and reads it
 *	writes=N	the guest writes 0 to its TSC N times, and reads it
 *	host=VALUE	the host writes the guest's TSC (KVM_SET_MSRS), and the guest reads it
 *	offset=VALUE	the host sets the offset (KVM_VCPU_TSC_OFFSET), and the guest reads its TSC
 *	spin=SECONDS	the guest runs for this time without an exit of its own; the last step, which prints nothing
 *
 * --speed sets the speed of the guest's TSC: N/M of its default (KVM_SET_TSC_KHZ). The output is a line with the
 * guest's and the host's kHz, and one for each step:
 *
 *	STEP BEFORE AFTER GUEST OFFSET DEBUGFS RATIO BITS
 *
 * the host's TSC before and after the step, the guest's TSC in between, and its offset by KVM_VCPU_TSC_OFFSET and by
 * debugfs; from debugfs the scaling ratio and its fraction bits, 0 if the CPU cannot scale.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "read_tsc.h"

#define MSR_IA32_TSC	0x10
#define PORT		0x10
#define MEMORY		0x10000
#define CODE		0x1000
#define MAILBOX		0x500

/* Messages between guest and host, at MAILBOX */
struct mailbox {
	uint64_t write;		/* value for the guest's TSC */
	uint64_t read;		/* its TSC afterwards */
	uint8_t	 wanted;	/* WRITE: write it; SPIN: do not return */
	uint32_t times;		/* number of writes */
};

/* Real mode: all addresses are in the first 64 KiB */
__asm__(".pushsection .rodata\n"
	"guest_code:\n"
	"	.code16\n"
	"1:	cmpb $1, 0x510\n"
	"	jb 3f\n"
	"	ja 1b\n"
	"2:	movl 0x500, %eax\n"
	"	movl 0x504, %edx\n"
	"	movl $0x10, %ecx\n"
	"	wrmsr\n"
	"	decl 0x514\n"
	"	jnz 2b\n"
	"3:	rdtsc\n"
	"	movl %eax, 0x508\n"
	"	movl %edx, 0x50c\n"
	"	outb %al, $0x10\n"
	"	jmp 1b\n"
	"	.code64\n"
	"guest_code_end:\n"
	".popsection\n");
extern const char guest_code[], guest_code_end[];

enum { WRITE = 1, SPIN };

struct vm {
	int		fd;
	int		vcpu;
	struct kvm_run	*run;
	char		*memory;
	struct mailbox	*mailbox;
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tiny-guest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int ret, const char *what)
{
	if (ret < 0)
		die(what);
	return ret;
}

static void create(struct vm *vm)
{
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	uint64_t identity_map = 0xfffbc000;
	struct kvm_sregs sregs;
	int size;

	vm->fd = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	/* Intel's CPUs need a few pages for real mode */
	must(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
	must(ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	vm->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm->memory == MAP_FAILED)
		die("memory");
	region.userspace_addr = (uintptr_t)vm->memory;
	must(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	vm->vcpu = must(ioctl(vm->fd, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		die("kvm_run");
	must(ioctl(vm->vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	must(ioctl(vm->vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	memcpy(vm->memory + CODE, guest_code, guest_code_end - guest_code);
	vm->mailbox = (struct mailbox *)(vm->memory + MAILBOX);
}

static void set_speed(struct vm *vm, const char *text)
{
	int khz = must(ioctl(vm->vcpu, KVM_GET_TSC_KHZ, 0), "KVM_GET_TSC_KHZ");
	long n = 1, m = 1;
	char *slash;

	if (text) {
		n = strtol(text, &slash, 10);
		m = *slash == '/' ? strtol(slash + 1, NULL, 10) : 0;
		if (n < 1 || m < 1) {
			fprintf(stderr, "tiny-guest: --speed wants N/M\n");
			exit(2);
		}
		must(ioctl(vm->vcpu, KVM_SET_TSC_KHZ, khz * n / m), "KVM_SET_TSC_KHZ");
	}
	printf("khz %d %d\n", ioctl(vm->vcpu, KVM_GET_TSC_KHZ, 0), khz);
}

static void write_tsc(struct vm *vm, uint64_t tsc)
{
	/* The header ends in an array without a length */
	_Alignas(struct kvm_msrs) char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	struct kvm_msrs *msrs = (struct kvm_msrs *)room;

	*msrs = (struct kvm_msrs) { .nmsrs = 1 };
	msrs->entries[0] = (struct kvm_msr_entry) { .index = MSR_IA32_TSC, .data = tsc };
	if (ioctl(vm->vcpu, KVM_SET_MSRS, msrs) != 1)
		die("KVM_SET_MSRS(IA32_TSC)");
}

static int64_t offset_attribute(struct vm *vm, unsigned long request, int64_t offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	must(ioctl(vm->vcpu, request, &attr), "KVM_VCPU_TSC_OFFSET (needs Linux 5.16)");
	return offset;
}

static void run(struct vm *vm)
{
	must(ioctl(vm->vcpu, KVM_RUN, 0), "KVM_RUN");
	if (vm->run->exit_reason != KVM_EXIT_IO || vm->run->io.port != PORT) {
		fprintf(stderr, "tiny-guest: exit reason %u\n", vm->run->exit_reason);
		exit(1);
	}
}

static void wake(int signal)
{
}

/* The alarm ends KVM_RUN */
static void spin(struct vm *vm, unsigned int seconds)
{
	const struct sigaction action = { .sa_handler = wake };

	vm->mailbox->wanted = SPIN;
	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
	if (!ioctl(vm->vcpu, KVM_RUN, 0) || errno != EINTR)
		die("KVM_RUN");
}

static int64_t debugfs(struct vm *vm, const char *name)
{
	char path[128], text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/vcpu0/%s", getpid(), vm->fd, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		die(path);
	fclose(file);
	return *text == '-' ? strtoll(text, NULL, 10) : (int64_t)strtoull(text, NULL, 10);
}

static int step(struct vm *vm, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	uint64_t value = equals ? strtoull(equals + 1, NULL, 0) : 0;
	uint64_t before = read_tsc(), after;

	vm->mailbox->wanted = 0;
	if (!strncmp(text, "guest", len) && equals) {
		vm->mailbox->write = value;
		vm->mailbox->times = 1;
		vm->mailbox->wanted = WRITE;
	} else if (!strncmp(text, "writes", len) && value) {
		vm->mailbox->write = 0;
		vm->mailbox->times = value;
		vm->mailbox->wanted = WRITE;
	} else if (!strncmp(text, "host", len) && equals) {
		write_tsc(vm, value);
	} else if (!strncmp(text, "offset", len) && equals) {
		offset_attribute(vm, KVM_SET_DEVICE_ATTR, value);
	} else if (!strncmp(text, "spin", len) && equals) {
		spin(vm, value);
		return 0;
	} else if (strcmp(text, "read")) {
		fprintf(stderr, "tiny-guest: what is %s?\n", text);
		return 2;
	}
	run(vm);
	after = read_tsc();
	printf("%.*s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n",
	       (int)len, text, before, after, vm->mailbox->read,
	       offset_attribute(vm, KVM_GET_DEVICE_ATTR, 0), debugfs(vm, "tsc-offset"),
	       (uint64_t)debugfs(vm, "tsc-scaling-ratio"), (uint64_t)debugfs(vm, "tsc-scaling-ratio-frac-bits"));
	return 0;
}

int main(int argc, char **argv)
{
	const char *speed = NULL;
	struct vm vm;
	int first = 1;

	if (argc > 2 && !strcmp(argv[1], "--speed")) {
		speed = argv[2];
		first = 3;
	}
	if (first >= argc) {
		fprintf(stderr, "usage: tiny-guest [--speed N/M] STEP...\n");
		return 2;
	}
	create(&vm);
	set_speed(&vm, speed);
	for (int arg = first; arg < argc; arg++) {
		int ret = step(&vm, argv[arg]);

		if (ret)
			return ret;
	}
	return 0;
}
