/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A trace-cmd that is made up: the functions that it exports to protocols, the structs that it hands to them, and its own
 * protocol "kvm".
 */
#ifndef TEST_FAKE_TRACE_CMD_H
#define TEST_FAKE_TRACE_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "tsync_layout.h"

#define FAKE_CPUS	2

/**
 * struct fake_proto - a protocol as trace-cmd keeps it
 * @name: what it is found by
 * @builtin: what was registered
 */
struct fake_proto {
	char			name[TSYNC_PROTO_NAME_LENGTH];
	struct tsync_builtin	builtin;
};

/**
 * struct fake_trace_cmd - what there is in it
 * @proto: the registered protocol; none without a name
 * @tsync: struct tracecmd_time_sync of a guest
 * @samples: what the file of that would get
 * @calls: how often trace-cmd's own protocol was called
 * @moved: the accessor finds other samples than these
 * @agent_ends: the guest's agent does not answer any more
 * @answers: how many answers its agent got
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
