// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_trace_cmd.h"

/* The layout of trace-cmd 3.1.2 and later */
#define HANDLE_WORD	(168 / sizeof(uintptr_t))
#define CONTEXT_WORD	(184 / sizeof(uintptr_t))

struct tracecmd_msg_handle {
	int	fd;
};

struct fake_context {
	void			*proto_data;
	bool			is_server;
	bool			is_guest;
	void			*instance;
	int			cpu_count;
	struct tsync_samples	*samples;
};

struct fake_trace_cmd trace_cmd;

static struct tracecmd_msg_handle handle;
static struct fake_context context;
static uintptr_t words[64];
static int sockets[2];

/**
 * fake_trace_cmd_begin - start to record a guest
 * @is_guest: this side is the guest's
 */
void fake_trace_cmd_begin(bool is_guest)
{
	trace_cmd.calls = trace_cmd.answers = 0;
	trace_cmd.moved = trace_cmd.agent_ends = false;
	trace_cmd.tsync = (struct tracecmd_time_sync *)words;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	handle.fd = sockets[0];
	context = (struct fake_context) {
		.is_guest = is_guest, .cpu_count = FAKE_CPUS, .samples = trace_cmd.samples,
	};
	words[HANDLE_WORD] = (uintptr_t)&handle;
	words[CONTEXT_WORD] = (uintptr_t)&context;
	fake_trace_cmd_found(4711);
}

/**
 * fake_trace_cmd_found - set the process that trace-cmd believes to be the guest's
 * @pid: its number, -1 if it did not find it
 */
void fake_trace_cmd_found(int pid)
{
	const int guest[] = { pid, FAKE_CPUS };

	memcpy(&words[CONTEXT_WORD + 1], guest, sizeof(guest));
}

/**
 * fake_trace_cmd_end - end the recording as trace-cmd does after the protocol's free()
 */
void fake_trace_cmd_end(void)
{
	for (int cpu = 0; cpu < FAKE_CPUS; cpu++) {
		free(trace_cmd.samples[cpu].ts);
		free(trace_cmd.samples[cpu].offsets);
		free(trace_cmd.samples[cpu].scalings);
		free(trace_cmd.samples[cpu].frac);
		trace_cmd.samples[cpu] = (struct tsync_samples) { 0 };
	}
	close(sockets[0]);
	close(sockets[1]);
}

/**
 * fake_trace_cmd_round - a round of synchronisation
 *
 * Returns: 0, or what calc returned if it failed.
 */
int fake_trace_cmd_round(void)
{
	for (int cpu = 0; cpu < FAKE_CPUS; cpu++) {
		long long offset = -1, scaling = -1, frac = -1, timestamp = 0;
		int ret = trace_cmd.proto.builtin.calc(trace_cmd.tsync, &offset, &scaling, &frac, &timestamp, cpu);

		if (ret)
			return ret;
		/* With any other offset trace-cmd would append a sample */
		assert_int_equal(offset, 0);
	}
	return 0;
}

static int own_init(struct tracecmd_time_sync *tsync)
{
	trace_cmd.calls++;
	return 0;
}

static int own_free(struct tracecmd_time_sync *tsync)
{
	trace_cmd.calls++;
	return 0;
}

static int own_calc(struct tracecmd_time_sync *tsync, long long *offset, long long *scaling, long long *frac,
		    long long *timestamp, unsigned int cpu)
{
	trace_cmd.calls++;
	*offset = 0;
	return 0;
}

int tracecmd_tsync_proto_register(const char *name, int accuracy, int roles, int supported_clocks, unsigned int flags,
				  tsync_init_func init, tsync_free_func free_, tsync_calc_func calc)
{
	if (*trace_cmd.proto.name)
		return -1;
	strcpy(trace_cmd.proto.name, name);
	trace_cmd.proto.builtin = (struct tsync_builtin) {
		.accuracy = accuracy, .roles = roles, .clocks = supported_clocks, .flags = flags,
		.init = init, .free = free_, .calc = calc,
	};
	return 0;
}

int kvm_clock_sync_register(void)
{
	return tracecmd_tsync_proto_register("kvm", 10, 2, 0, 0, own_init, own_free, own_calc);
}

int tracecmd_tsync_proto_unregister(char *name)
{
	if (strcmp(name, trace_cmd.proto.name))
		return -1;
	*trace_cmd.proto.name = 0;
	return 0;
}

int tracecmd_tsync_proto_getall(struct tracecmd_tsync_protos **protos, const char *clock, int role)
{
	*protos = calloc(1, sizeof(**protos));
	(*protos)->names = calloc(2, sizeof(*(*protos)->names));
	(*protos)->names[0] = *trace_cmd.proto.name ? trace_cmd.proto.name : NULL;
	return 0;
}

int tracecmd_tsync_get_offsets(struct tracecmd_time_sync *tsync, int cpu, int *count, long long **ts,
			       long long **offsets, long long **scalings, long long **frac)
{
	const struct fake_context *its = (const void *)((uintptr_t *)tsync)[CONTEXT_WORD];

	if (!its || cpu >= its->cpu_count)
		return -1;
	*count = its->samples[cpu].count + trace_cmd.moved;
	*ts = its->samples[cpu].ts;
	*offsets = its->samples[cpu].offsets;
	*scalings = its->samples[cpu].scalings;
	*frac = its->samples[cpu].frac;
	return 0;
}

int tracecmd_msg_recv_time_sync(struct tracecmd_msg_handle *from, char *proto, unsigned int *msg_id,
				unsigned int *payload_size, char **payload)
{
	const int64_t now = 1000;

	assert_ptr_equal(from, &handle);
	if (trace_cmd.agent_ends)
		return -1;
	strcpy(proto, "kvm");
	*msg_id = 1;
	assert_true(*payload_size >= sizeof(now));
	memcpy(*payload, &now, sizeof(now));
	return 0;
}

int tracecmd_msg_send_time_sync(struct tracecmd_msg_handle *to, char *proto, unsigned int msg_id,
				unsigned int payload_size, char *payload)
{
	assert_ptr_equal(to, &handle);
	assert_string_equal(proto, "kvm");
	assert_int_equal(msg_id, 2);
	trace_cmd.answers++;
	return 0;
}
