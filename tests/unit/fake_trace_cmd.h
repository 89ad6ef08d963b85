/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A fake trace-cmd: the functions that it exports to protocols, the structs
 * that it passes to them, and its own protocol "kvm".
 */
#ifndef TEST_FAKE_TRACE_CMD_H
#define TEST_FAKE_TRACE_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "tsync_layout.h"

#define FAKE_CPUS	2

/**
 * struct fake_proto - a protocol as trace-cmd keeps it
 * @name: its name
 * @builtin: the registered struct
 */
struct fake_proto {
	char			name[TSYNC_PROTO_NAME_LENGTH];
	struct tsync_builtin	builtin;
};

/**
 * struct fake_trace_cmd - the state of the fake trace-cmd
 * @proto: the registered protocol; none without a name
 * @tsync: struct tracecmd_time_sync of a guest
 * @samples: the samples that trace-cmd would write into the guest's file
 * @calls: how often trace-cmd's own protocol was called
 * @moved: the accessor returns other samples than these
 * @agent_ends: the guest's agent no longer answers
 * @answers: number of answers that its agent got
 */
struct fake_trace_cmd {
	struct fake_proto		proto;
	struct tracecmd_time_sync	*tsync;
	struct tsync_samples		samples[FAKE_CPUS];
	size_t				calls;
	bool				moved;
	bool				agent_ends;
	size_t				answers;
};

extern struct fake_trace_cmd trace_cmd;

void fake_trace_cmd_begin(bool is_guest);
void fake_trace_cmd_found(int pid);
void fake_trace_cmd_end(void);
int fake_trace_cmd_round(void);

#endif /* TEST_FAKE_TRACE_CMD_H */
