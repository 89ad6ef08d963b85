// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * raw-offsets: prints the arguments of the raw tracepoint kvm_write_tsc_offset, as a BPF program gets them.
 *
 *	raw-offsets COMMAND [ARGUMENT...]
 *
 * Runs the command, and prints for each event meanwhile: vcpu_id, previous and next offset. These are the first three
 * arguments since the tracepoint exists, and BPF programs access them by position. The few instructions need no BPF
 * library.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_ARGS		3
#define MAX_EVENTS	1024

/* Instructions by their parts, as in linux/bpf.h */
#define INSN(c, d, s, o, i) ((struct bpf_insn) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define LOAD(d, s, o)	INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, o, s)	INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define MOVE(d, s)	INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, i)	INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define CALL(f)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define END()		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* A map's address is an instruction of two words */
#define LOAD_MAP(d, fd)	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "raw-offsets: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* A queue of the arguments of each event */
static int make_queue(void)
{
	union bpf_attr attr = {
		.map_type	= BPF_MAP_TYPE_QUEUE,
		.value_size	= NR_ARGS * sizeof(uint64_t),
		.max_entries	= MAX_EVENTS,
	};
	int fd = bpf(BPF_MAP_CREATE, &attr);

	if (fd < 0)
		die("BPF_MAP_CREATE");
	return fd;
}

static int load(int queue)
{
	static char log[4096];
	const struct bpf_insn program[] = {
		/* r1 points to the arguments, of 64 bits each; they go onto the stack, and from there into the queue */
		LOAD(BPF_REG_2, BPF_REG_1, 0),
		STORE(BPF_REG_10, -24, BPF_REG_2),
		LOAD(BPF_REG_2, BPF_REG_1, 8),
		STORE(BPF_REG_10, -16, BPF_REG_2),
		LOAD(BPF_REG_2, BPF_REG_1, 16),
		STORE(BPF_REG_10, -8, BPF_REG_2),
		LOAD_MAP(BPF_REG_1, queue),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -24),
		SET(BPF_REG_3, BPF_ANY),
		CALL(BPF_FUNC_map_push_elem),
		SET(BPF_REG_0, 0),
		END(),
	};
	union bpf_attr attr = {
		.prog_type	= BPF_PROG_TYPE_RAW_TRACEPOINT,
		.insns		= (uintptr_t)program,
		.insn_cnt	= sizeof(program) / sizeof(*program),
		.license	= (uintptr_t)"GPL",
		.log_buf	= (uintptr_t)log,
		.log_size	= sizeof(log),
		.log_level	= 1,
	};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0) {
		fputs(log, stderr);
		die("BPF_PROG_LOAD");
	}
	return fd;
}

static void attach(int program)
{
	union bpf_attr attr = {
		.raw_tracepoint = { .name = (uintptr_t)"kvm_write_tsc_offset", .prog_fd = program },
	};

	if (bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0)
		die("BPF_RAW_TRACEPOINT_OPEN");
}

static int run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (!pid) {
		execvp(argv[0], argv);
		die(argv[0]);
	}
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	uint64_t args[NR_ARGS];
	union bpf_attr attr = { 0 };
	int queue, status;

	if (argc < 2) {
		fprintf(stderr, "usage: raw-offsets COMMAND [ARGUMENT...]\n");
		return 2;
	}
	queue = make_queue();
	attach(load(queue));
	status = run(argv + 1);
	attr.map_fd = (uint32_t)queue;
	attr.value = (uintptr_t)args;
	while (!bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attr))
		printf("event %" PRIu32 " %" PRId64 " %" PRId64 "\n", (uint32_t)args[0], (int64_t)args[1],
		       (int64_t)args[2]);
	return status;
}
