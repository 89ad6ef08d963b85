// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fault.h"
#include "tsync_layout.h"

/*
 * Offsets in struct tracecmd_time_sync up to and from its context pointer. 3.1.2 added one pointer (proto) before the
 * context.
 */
#define MSG_HANDLE_AT	168
#define CONTEXT_OLD_AT	176
#define CONTEXT_NEW_AT	184

/* From the context pointer on; identical in all releases */
struct tsync_tail {
	struct clock_sync_context	*context;
	int				guest_pid;
	int				vcpu_count;
};

struct clock_sync_context {
	void				*proto_data;
	bool				is_server;
	bool				is_guest;
	void				*instance;
	int				cpu_count;
	struct tsync_samples		*offsets;
};

/* The head of struct tracecmd_msg_handle */
struct msg_handle_head {
	int	fd;
};

/* struct tsync_proto from its name on; tracecmd_tsync_proto_getall() returns pointers to the names */
struct tsync_proto_tail {
	char			name[TSYNC_PROTO_NAME_LENGTH];
	struct tsync_builtin	builtin;
};

/**
 * tsync_layout_in_executable - is a symbol part of the running program itself?
 * @symbol: an address
 *
 * libtracecmd exports the same names to KernelShark and others, where the hook must be inactive.
 *
 * Returns: true if the main program, not one of its libraries, has the symbol.
 */
bool tsync_layout_in_executable(const void *symbol)
{
	struct link_map *program, *owner;
	void *handle;
	Dl_info info;
	bool same;

	if (!symbol)
		return false;
	handle = dlopen(NULL, RTLD_LAZY);
	if (!handle)
		return false;
	same = !dlinfo(handle, RTLD_DI_LINKMAP, &program) &&
	       dladdr1(symbol, &info, (void **)&owner, RTLD_DL_LINKMAP) && program == owner;
	dlclose(handle);
	return same;
}

/**
 * tsync_layout_probe - find the layout of the running trace-cmd
 *
 * tracecmd_tsync_get_offsets() gets a fake struct, all zeros except for two contexts, one at each place that releases
 * use. The one that it reads shows the layout. A trace-cmd that reads another place finds a NULL pointer there and
 * reports it.
 *
 * Returns: the layout, a positive number for tsync_layout_view(), or -ENOTSUP.
 */
int tsync_layout_probe(void)
{
	static const int places[] = { CONTEXT_OLD_AT, CONTEXT_NEW_AT };
	struct tsync_samples samples[2] = { { 0 } };
	struct clock_sync_context contexts[2] = { { 0 } };
	long long arrays[2][4], *ts, *offsets, *scalings, *frac;
	uintptr_t fake[512] = { 0 };
	int count = 0;

	if (fault("layout"))
		return -ENOTSUP;
	for (int i = 0; i < 2; i++) {
		samples[i] = (struct tsync_samples) {
			.size		= 4096,
			.count		= 1000 + i,
			.ts		= &arrays[i][0],
			.offsets	= &arrays[i][1],
			.scalings	= &arrays[i][2],
			.frac		= &arrays[i][3],
		};
		contexts[i].cpu_count = 1;
		contexts[i].offsets = &samples[i];
		fake[places[i] / sizeof(*fake)] = (uintptr_t)&contexts[i];
	}
	/* One CPU: a second one must be refused, else the count is at another place */
	if (!tracecmd_tsync_get_offsets((struct tracecmd_time_sync *)fake, 1, &count, &ts, &offsets,
					&scalings, &frac))
		return -ENOTSUP;
	if (tracecmd_tsync_get_offsets((struct tracecmd_time_sync *)fake, 0, &count, &ts, &offsets,
				       &scalings, &frac))
		return -ENOTSUP;
	for (int i = 0; i < 2; i++) {
		if (count == samples[i].count && ts == samples[i].ts &&
		    offsets == samples[i].offsets && scalings == samples[i].scalings &&
		    frac == samples[i].frac)
			return places[i];
	}
	return -ENOTSUP;
}

static struct tsync_proto_tail *find_proto(const char *name)
{
	struct tracecmd_tsync_protos *protos = NULL;
	struct tsync_proto_tail *proto = NULL;

	/* Any clock and any role will match it */
	if (tracecmd_tsync_proto_getall(&protos, NULL, ~0) || !protos)
		return NULL;
	for (char **p = protos->names; *p; p++) {
		if (!strcmp(*p, name))
			proto = (struct tsync_proto_tail *)*p;
	}
	free(protos->names);
	free(protos);
	return proto;
}

/**
 * tsync_layout_builtin - read trace-cmd's own registration of a protocol
 * @name: the protocol
 * @builtin: result
 *
 * Returns: 0, -ENOENT without such a protocol, or -ENOTSUP if the data after its name do not look like a protocol.
 */
int tsync_layout_builtin(const char *name, struct tsync_builtin *builtin)
{
	const struct tsync_proto_tail *proto = find_proto(name);

	if (!proto)
		return -ENOENT;
	if (!tsync_layout_in_executable((const void *)proto->builtin.init) ||
	    !tsync_layout_in_executable((const void *)proto->builtin.free) ||
	    !tsync_layout_in_executable((const void *)proto->builtin.calc))
		return -ENOTSUP;
	*builtin = proto->builtin;
	return 0;
}

/**
 * tsync_layout_samples_hold - are a vCPU's samples where the layout has them?
 * @tsync: trace-cmd's struct
 * @view: the view of it
 * @cpu: number of the vCPU in the guest
 *
 * To be checked before each write.
 *
 * Returns: true if trace-cmd's own accessor finds the same samples.
 */
bool tsync_layout_samples_hold(struct tracecmd_time_sync *tsync, const struct tsync_view *view,
			       int cpu)
{
	const struct tsync_samples *samples = &view->samples[cpu];
	long long *ts, *offsets, *scalings, *frac;
	int count;

	return !tracecmd_tsync_get_offsets(tsync, cpu, &count, &ts, &offsets, &scalings, &frac) &&
	       count == samples->count && ts == samples->ts && offsets == samples->offsets &&
	       scalings == samples->scalings && frac == samples->frac;
}

/**
 * tsync_layout_view - get the parts of a struct tracecmd_time_sync
 * @tsync: as trace-cmd passed it to the protocol's init
 * @layout: from tsync_layout_probe()
 * @view: result; its pointers belong to trace-cmd
 *
 * Returns: 0 or -ENOTSUP if a member has an unexpected value.
 */
int tsync_layout_view(struct tracecmd_time_sync *tsync, int layout, struct tsync_view *view)
{
	const struct tsync_tail *tail = (const void *)((const char *)tsync + layout);
	struct tracecmd_msg_handle *msg_handle;
	const struct clock_sync_context *context = tail->context;
	socklen_t size = sizeof(int);
	int type;

	if (fault("view") || !context)
		return -ENOTSUP;
	memcpy(&msg_handle, (const char *)tsync + MSG_HANDLE_AT, sizeof(msg_handle));
	*view = (struct tsync_view) {
		.msg_handle	= msg_handle,
		.guest_pid	= tail->guest_pid,
		.vcpu_count	= tail->vcpu_count,
		.is_guest	= context->is_guest,
		.samples	= context->offsets,
	};
	if (view->is_guest)
		return 0;
	if (!msg_handle || !view->samples || view->vcpu_count <= 0 ||
	    view->vcpu_count != context->cpu_count)
		return -ENOTSUP;
	view->msg_fd = ((const struct msg_handle_head *)msg_handle)->fd;
	if (getsockopt(view->msg_fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_STREAM)
		return -ENOTSUP;
	for (int cpu = 0; cpu < view->vcpu_count; cpu++) {
		if (!tsync_layout_samples_hold(tsync, view, cpu))
			return -ENOTSUP;
	}
	return 0;
}
