/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The private structures of trace-cmd that the hook accesses, and the check at run time that the running trace-cmd has
 * the same layout.
 *
 * trace-cmd passes a struct tracecmd_time_sync to protocols, but does not install its definition. The layout here was
 * checked with the 17 releases from 3.0 to 3.4 (lib/trace-cmd/include/trace-tsync-local.h and
 * lib/trace-cmd/trace-timesync.c). It is not trusted: tracecmd_tsync_get_offsets(), which trace-cmd exports, must find
 * the same arrays that we find.
 */
#ifndef TSC_OFFSET_TSYNC_LAYOUT_H
#define TSC_OFFSET_TSYNC_LAYOUT_H

#include <stdbool.h>

struct tracecmd_time_sync;
struct tracecmd_tsync_protos {
	char **names;
};

/* The origin of tracecmd_tsync_proto_register() and others: the executable, not a library of ours */
#define TRACECMD_WEAK __attribute__((weak, visibility("default")))

#define TSYNC_PROTO_NAME_LENGTH	16

/* enum tracecmd_time_sync_role and tracecmd_clocks of trace-cmd-private.h */
#define TSYNC_ROLE_HOST		(1 << 0)
#define TSYNC_CLOCK_X86_TSC	(1 << 8)

typedef int (*tsync_init_func)(struct tracecmd_time_sync *tsync);
typedef int (*tsync_free_func)(struct tracecmd_time_sync *tsync);
typedef int (*tsync_calc_func)(struct tracecmd_time_sync *tsync, long long *offset,
			       long long *scaling, long long *frac, long long *timestamp,
			       unsigned int cpu);

extern TRACECMD_WEAK int
tracecmd_tsync_proto_register(const char *name, int accuracy, int roles, int supported_clocks,
			      unsigned int flags, tsync_init_func init, tsync_free_func free,
			      tsync_calc_func calc);
extern TRACECMD_WEAK int tracecmd_tsync_proto_unregister(char *name);
extern TRACECMD_WEAK int
tracecmd_tsync_proto_getall(struct tracecmd_tsync_protos **protos, const char *clock, int role);
extern TRACECMD_WEAK int
tracecmd_tsync_get_offsets(struct tracecmd_time_sync *tsync, int cpu, int *count, long long **ts,
			   long long **offsets, long long **scalings, long long **frac);
extern TRACECMD_WEAK int kvm_clock_sync_register(void);

struct tracecmd_msg_handle;
extern TRACECMD_WEAK int
tracecmd_msg_send_time_sync(struct tracecmd_msg_handle *handle, char *proto, unsigned int msg_id,
			    unsigned int payload_size, char *payload);
extern TRACECMD_WEAK int
tracecmd_msg_recv_time_sync(struct tracecmd_msg_handle *handle, char *proto, unsigned int *msg_id,
			    unsigned int *payload_size, char **payload);

/**
 * struct tsync_samples - the samples of one vCPU; trace-cmd's struct clock_sync_offsets
 * @size: number of samples that fit into the arrays
 * @count: number of samples
 * @ts: guest times; allocated by malloc(), like the other arrays: trace-cmd frees them
 * @offsets: host TSC minus guest TSC
 * @scalings: multipliers that readers apply
 * @frac: fraction bits of @scalings
 */
struct tsync_samples {
	int		size;
	int		count;
	long long	*ts;
	long long	*offsets;
	long long	*scalings;
	long long	*frac;
};

/**
 * struct tsync_view - the parts of a struct tracecmd_time_sync that the hook needs
 * @msg_handle: the connection to the peer's agent
 * @msg_fd: its socket
 * @guest_pid: process of the guest's VMM
 * @vcpu_count: number of CPUs that the guest has configured
 * @is_guest: this process is the guest's side
 * @samples: samples of @vcpu_count CPUs; trace-cmd owns and frees their arrays, and writers may reallocate them
 */
struct tsync_view {
	struct tracecmd_msg_handle	*msg_handle;
	int				msg_fd;
	int				guest_pid;
	int				vcpu_count;
	bool				is_guest;
	struct tsync_samples		*samples;
};

/**
 * struct tsync_builtin - a protocol as trace-cmd itself registered it: a part of its struct tsync_proto, in the same
 * order
 * @roles: its roles
 * @accuracy: smaller is better
 * @clocks: trace clocks that it supports
 * @flags: written into TIME_SHIFT
 * @init: called once for each peer
 * @free: called at the end
 * @calc: called for each sample
 */
struct tsync_builtin {
	int		roles;
	int		accuracy;
	int		clocks;
	unsigned int	flags;
	tsync_init_func	init;
	tsync_free_func	free;
	tsync_calc_func	calc;
};

bool tsync_layout_in_executable(const void *symbol);
int tsync_layout_probe(void);
int tsync_layout_builtin(const char *name, struct tsync_builtin *builtin);
int tsync_layout_view(struct tracecmd_time_sync *tsync, int layout, struct tsync_view *view);
bool tsync_layout_samples_hold(struct tracecmd_time_sync *tsync, const struct tsync_view *view,
			       int cpu);

#endif /* TSC_OFFSET_TSYNC_LAYOUT_H */
