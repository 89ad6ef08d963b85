// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A time synchronisation protocol for trace-cmd record -A and trace-cmd agent that takes a guest's TSC offsets from the
 * host's kvm_write_tsc_offset events instead of from samples.
 *
 * It replaces trace-cmd's own protocol "kvm", with the same name and messages: the peer may be a stock one. If that is
 * impossible, trace-cmd's own protocol stays. A guest that cannot be served is not synchronised: the flags of a
 * registration apply to all guests, and with ours readers would interpolate the steps that trace-cmd's own functions
 * sample. In both cases one line has the reason. On the guest's side, trace-cmd's functions do the work.
 *
 * Callers: the constructor runs before main(). init runs in trace-cmd's main thread, once for each guest. calc runs in
 * a thread for each guest, for each vCPU in turn, in a first round, in a last one, and every --tsync-interval between.
 * free runs in the main thread again, after TIME_SHIFT has been written.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/vm_sockets.h>

#include <tracefs.h>

#include "boot_instance.h"
#include "cleanup.h"
#include "fault.h"
#include "guest_clock.h"
#include "guest_probe.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "record_instance.h"
#include "time_shift.h"
#include "trace_cmd_options.h"
#include "tsc_clock.h"
#include "tsync_layout.h"
#include "vm_process.h"

#define PROTO_NAME	"kvm"
#define EXPORTED	__attribute__((visibility("default")))

/* Messages of the protocol "kvm" (lib/trace-cmd/trace-timesync-kvm.c): the guest asks, the host answers */
enum { MSG_REQUEST = 1, MSG_RESPONSE = 2 };

struct kvm_msg {
	int64_t	ts;
	int64_t	offset;
	int64_t	scaling;
	int64_t	frac;
};

/**
 * struct hook_guest - a guest of this recording
 * @next: next in the list
 * @tsync: trace-cmd's struct of it
 * @view: the parts of it that the hook needs
 * @asked: host TSC, in cycles, of its last answer or of the open, before the guest was asked for its TSC
 * @clock: the guest's TSC
 * @error: negative errno if trace-cmd does not have its last sync points
 */
struct hook_guest {
	struct hook_guest		*next;
	struct tracecmd_time_sync	*tsync;
	struct tsync_view		view;
	uint64_t			asked;
	struct guest_clock		*clock;
	int				error;
};

/* The registration: one for the process, as set by the constructor */
static struct {
	bool			registered;
	int			layout;
	struct tsync_builtin	builtin;
	struct hook_guest	*guests;
	pthread_mutex_t		guests_lock;	/* of the list, not of the guests */
	unsigned int		nr_guests;	/* so far */
	struct trace_cmd_options wanted;	/* from the command line */
	pid_t			owner;		/* the process that took over the protocol */
} hook = { .guests_lock = PTHREAD_MUTEX_INITIALIZER };

static struct hook_guest *find_guest(const struct tracecmd_time_sync *tsync)
{
	struct hook_guest *guest;

	pthread_mutex_lock(&hook.guests_lock);
	for (guest = hook.guests; guest && guest->tsync != tsync; guest = guest->next)
		;
	pthread_mutex_unlock(&hook.guests_lock);
	return guest;
}

static void remember_guest(struct hook_guest *guest)
{
	pthread_mutex_lock(&hook.guests_lock);
	guest->next = hook.guests;
	hook.guests = guest;
	pthread_mutex_unlock(&hook.guests_lock);
}

static void forget_guest(struct hook_guest *guest)
{
	struct hook_guest **p;

	pthread_mutex_lock(&hook.guests_lock);
	for (p = &hook.guests; *p && *p != guest; p = &(*p)->next)
		;
	if (*p)
		*p = guest->next;
	pthread_mutex_unlock(&hook.guests_lock);
	free(guest);
}

/* Reasons for which tsc-offset stamp cannot do more than the hook */
static const char is_protected[] =
	"its TSC is protected: the offset that KVM reports may be wrong; with another clock, such as -C mono, trace-cmd measures it by ptp";
static const char other_clock[] =
	"trace-cmd did not find its process, and records the host by the clock in trace_clock, which is not " TSC_CLOCK;

static bool host_has_tsc_clock(void)
{
	_cleanup_(freep) char *clock = tracefs_get_clock(NULL);

	return clock && !strcmp(clock, TSC_CLOCK);
}

/*
 * trace-cmd finds the guest's process by the wake-ups while it connects. It does not always find it, and nothing shows
 * whether it found the right one.
 */
static const char *find_process(struct hook_guest *guest)
{
	struct sockaddr_vm peer;
	socklen_t size = sizeof(peer);
	int pid, ret;

	if (getpeername(guest->view.msg_fd, (struct sockaddr *)&peer, &size) ||
	    peer.svm_family != AF_VSOCK || peer.svm_cid <= VMADDR_CID_HOST)
		return "it is not a VM of this host";
	if (vm_process_may_have_cid(guest->view.guest_pid, peer.svm_cid))
		return NULL;
	/* An agent sets the clock only for a guest whose process it found */
	if (hook.wanted.is_proxy && guest->view.guest_pid < 0 && !host_has_tsc_clock())
		return other_clock;
	ret = vm_process_by_cid(peer.svm_cid, &pid);
	if (ret)
		return ret == -EEXIST ? "several processes may be its VMM" : "its VMM was not found";
	message("guest with cid %u: trace-cmd did not find its process, using %d", peer.svm_cid, pid);
	guest->view.guest_pid = pid;
	return NULL;
}

/* Returns: NULL, or the reason why this guest cannot be served */
static const char *open_guest(struct tracecmd_time_sync *tsync, const struct tsync_view *view)
{
	_cleanup_(freep) struct hook_guest *guest = calloc(1, sizeof(*guest));
	const char *why;
	int ret;

	if (!guest || fault("init"))
		return strerror(ENOMEM);
	guest->tsync = tsync;
	guest->view = *view;
	why = find_process(guest);
	if (why)
		return why;
	guest->asked = __rdtsc();
	ret = guest_clock_open(&guest->clock, guest->view.guest_pid, guest->view.vcpu_count, hook.nr_guests);
	if (ret == -EOPNOTSUPP)
		return is_protected;
	if (ret == -E2BIG)
		return "its agent says that it has too many CPUs";
	if (ret)
		return strerror(-ret);
	remember_guest(guest);
	guest = NULL;
	return NULL;
}

static int hook_init(struct tracecmd_time_sync *tsync)
{
	const char *why = "trace-cmd's structures are not as expected";
	struct tsync_view view;

	hook.owner = getpid();
	hook.nr_guests++;
	if (!tsync_layout_view(tsync, hook.layout, &view)) {
		if (view.is_guest)
			return hook.builtin.init(tsync);
		why = open_guest(tsync, &view);
	}
	if (!why)
		return 0;
	message("a guest is not synchronised: %s%s", why,
		why == is_protected || why == other_clock ? "" : "; tsc-offset stamp may synchronise its file afterwards");
	return -1;
}

static int ensure_room(struct tsync_samples *samples, int count)
{
	long long **arrays[] = {
		&samples->ts, &samples->offsets, &samples->scalings, &samples->frac
	};

	if (count <= samples->size)
		return 0;
	for (int i = 0; i < 4; i++) {
		long long *array = reallocarray(*arrays[i], count, sizeof(*array));

		if (!array)
			return -ENOMEM;
		*arrays[i] = array;
	}
	samples->size = count;
	return 0;
}

/*
 * Replace the samples by all sync points of all vCPUs, each time anew. All vCPUs then have the same number at any time,
 * as the option's writer requires, and no round needs to be known as the last. After an error there are none, and
 * trace-cmd omits the option.
 */
static int push_points(struct hook_guest *guest)
{
	struct time_shift shift;
	int ret = guest_clock_time_shift(guest->clock, &shift);
	size_t nr_points = shift.nr_points;
	int cpu;

	for (cpu = 0; cpu < guest->view.vcpu_count; cpu++) {
		if (!tsync_layout_samples_hold(guest->tsync, &guest->view, cpu)) {
			time_shift_release(&shift);
			return -ENOTSUP;
		}
	}
	for (cpu = 0; cpu < guest->view.vcpu_count && !ret; cpu++)
		ret = ensure_room(&guest->view.samples[cpu], nr_points);
	for (cpu = 0; cpu < guest->view.vcpu_count; cpu++) {
		struct tsync_samples *samples = &guest->view.samples[cpu];

		samples->count = ret ? 0 : nr_points;
		for (int i = 0; i < samples->count; i++) {
			const struct time_shift_point *point = &time_shift_vcpu(&shift, cpu)[i];

			samples->ts[i] = point->guest_tsc;
			samples->offsets[i] = point->correction;
			samples->scalings[i] = TIME_SHIFT_SCALING;
			samples->frac[i] = TIME_SHIFT_FRACTION;
		}
	}
	time_shift_release(&shift);
	return ret;
}

/*
 * The guest's agent needs an answer, or it stops. It ignores the contents. Its own message has its TSC at a moment
 * between the answer before this one and now.
 */
static int answer_guest(struct hook_guest *guest, unsigned int cpu, long long *timestamp)
{
	char proto[TSYNC_PROTO_NAME_LENGTH + 1] = "";
	struct kvm_msg msg = { 0 };
	unsigned int id, size = sizeof(msg);
	char *payload = (char *)&msg;

	if (tracecmd_msg_recv_time_sync(guest->view.msg_handle, proto, &id, &size, &payload) ||
	    strcmp(proto, PROTO_NAME) || id != MSG_REQUEST)
		return -EPROTO;
	/* 0 if it did not find its own event */
	if (msg.ts)
		guest_clock_probe(guest->clock, cpu, &(struct guest_probe) {
			.guest_tsc = msg.ts, .sent = guest->asked, .answered = __rdtsc(),
		});
	*timestamp = msg.ts;
	guest->asked = __rdtsc();
	if (tracecmd_msg_send_time_sync(guest->view.msg_handle, PROTO_NAME, MSG_RESPONSE,
					sizeof(msg), (char *)&msg))
		return -EPIPE;
	return 0;
}

static int hook_calc(struct tracecmd_time_sync *tsync, long long *offset, long long *scaling,
		     long long *frac, long long *timestamp, unsigned int cpu)
{
	struct hook_guest *guest = find_guest(tsync);
	int saved_errno = errno;
	int ret;

	if (!guest)
		return hook.builtin.calc(tsync, offset, scaling, frac, timestamp, cpu);

	/* With an offset of 0, trace-cmd appends nothing to our points */
	*offset = 0;
	*scaling = 1;
	*frac = 0;
	ret = (int)cpu < guest->view.vcpu_count ? answer_guest(guest, cpu, timestamp) : -EINVAL;
	if (ret || (int)cpu == guest->view.vcpu_count - 1)
		guest->error = push_points(guest);
	if (ret)
		message("guest pid %d no longer answers (%s): using the changes seen so far",
			guest->view.guest_pid, strerror(-ret));
	/* trace-cmd prints it with its next message */
	errno = saved_errno;
	return ret ? -1 : 0;
}

static int hook_free(struct tracecmd_time_sync *tsync)
{
	struct hook_guest *guest = find_guest(tsync);

	if (!guest)
		return hook.builtin.free(tsync);
	guest_clock_close(guest->clock, guest->error);
	forget_guest(guest);
	return 0;
}

/* trace-cmd's recorders are forks of it without exec */
static void forked_child(void)
{
	for (struct hook_guest *guest = hook.guests; guest; guest = guest->next)
		guest_clock_forked(guest->clock);
}

/* Is an event of the boot instance from an existing VM? */
static int of_living_vm(const struct tsc_offset_event *event, void *context)
{
	pid_t pid = event->vm_ended ? 0 : vm_process_of_event(event->tid, event->vm_pid, event->vm_fd);

	return pid && vm_process_nr_vms(pid);
}

static bool can_be_host(void)
{
	const char *dir = tracefs_debug_dir();
	_cleanup_(freep) char *kvm_dir = NULL;

	if (dir && asprintf(&kvm_dir, "%s/kvm", dir) >= 0 && kvm_debugfs_shows_vm(kvm_dir))
		return true;
	return boot_instance_read(of_living_vm, NULL) == 1;
}

static const char *missing_symbol(void)
{
#define RETURN_IF_MISSING(symbol)	\
	if (!symbol)			\
		return #symbol;
	TSC_OFFSET_TRACEFS_SYMBOLS(RETURN_IF_MISSING)
#undef RETURN_IF_MISSING
	return NULL;
}

/* Code that trace-cmd may call must not be unloaded by the program that opened it */
static void stay_loaded(void)
{
	struct link_map *self;
	Dl_info info;

	if (dladdr1(stay_loaded, &info, (void **)&self, RTLD_DL_LINKMAP))
		dlopen(self->l_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

#define NO_VM	"neither KVM's debugfs nor the instance " BOOT_INSTANCE " shows a VM"

/* Returns: NULL, or the reason why the protocol is unchanged */
static const char *take_over(void)
{
	if (!tsync_layout_in_executable(tracecmd_tsync_proto_register) ||
	    !tracecmd_tsync_proto_unregister || !tracecmd_tsync_proto_getall ||
	    !tracecmd_tsync_get_offsets || !tracecmd_msg_send_time_sync ||
	    !tracecmd_msg_recv_time_sync || !kvm_clock_sync_register)
		return "this trace-cmd does not export its protocols";
	if (missing_symbol())
		return "the libraries of this trace-cmd are too old";
	hook.layout = tsync_layout_probe();
	if (hook.layout < 0)
		return "this trace-cmd has an unknown layout";
	if (!tsc_event_available())
		return "no access to the event " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT;

	/* Fails if trace-cmd has registered it already, as it does in main() if this does not come first */
	kvm_clock_sync_register();
	if (tsync_layout_builtin(PROTO_NAME, &hook.builtin))
		return "trace-cmd's own protocol is not where it should be";
	/*
	 * Without VMs the machine can still be a guest, which needs nothing of the hook. trace-cmd does not treat it as
	 * a host then either: as a proxy it would record with another clock.
	 */
	if (!can_be_host())
		return hook.wanted.is_proxy ? NO_VM "; start the agent of a proxy when its guest runs" : NO_VM;

	tracecmd_tsync_proto_unregister(PROTO_NAME);
	if (fault("register") ||
	    tracecmd_tsync_proto_register(PROTO_NAME, hook.builtin.accuracy,
					  hook.builtin.roles | TSYNC_ROLE_HOST,
					  hook.builtin.clocks | TSYNC_CLOCK_X86_TSC,
					  TIME_SHIFT_INTERPOLATE, hook_init, hook_free,
					  hook_calc)) {
		kvm_clock_sync_register();
		return "trace-cmd does not take our protocol";
	}
	hook.registered = true;
	hook.owner = getpid();
	stay_loaded();
	pthread_atfork(NULL, NULL, forked_child);
	if (record_instance_sweep())
		message("removed leftovers of a killed recording from tracefs");
	return NULL;
}

static void say_who_was_left(int status, void *unused)
{
	unsigned int left = hook.wanted.nr_guests - hook.nr_guests;

	if (status || hook.owner != getpid() || hook.nr_guests >= hook.wanted.nr_guests)
		return;
	message("%u of %u guests were not synchronised by TSC offsets: trace-cmd chose another protocol%s",
		left, hook.wanted.nr_guests, hook.wanted.tsc_clock ? "" :
		" (-C " TSC_CLOCK " makes it choose this one, unless the guest's TSC is protected)");
}

static void set_up(void)
{
	int saved_errno = errno;
	const char *why;

	if (hook.registered)
		return;
	why = take_over();
	/* Irrelevant without a guest */
	if (why && (hook.wanted.nr_guests || hook.wanted.is_proxy))
		message("offsets are left to trace-cmd's own protocols: %s", why);
	if (!why && hook.wanted.nr_guests)
		on_exit(say_who_was_left, NULL);
	errno = saved_errno;
}

/* Keep the hook out of trace-cmd's children: the traced command and its children */
static void leave_environment(void)
{
	const char *preload = getenv("LD_PRELOAD");
	char *rest, *copy, *name, *save;
	Dl_info self;

	if (!preload || !dladdr(leave_environment, &self))
		return;
	copy = strdup(preload);
	rest = calloc(1, strlen(preload) + 1);
	if (!copy || !rest)
		goto out;
	/* Other preloaded libraries may be meant for the children. Ours may have a relative name. */
	for (name = strtok_r(copy, " :", &save); name; name = strtok_r(NULL, " :", &save)) {
		if (!strcmp(basename(name), basename(self.dli_fname)))
			continue;
		if (*rest)
			strcat(rest, ":");
		strcat(rest, name);
	}
	if (*rest)
		setenv("LD_PRELOAD", rest, 1);
	else
		unsetenv("LD_PRELOAD");
out:
	free(copy);
	free(rest);
}

static bool is_recorder(int argc, char **argv)
{
	const char *name;

	/* A program that opens the plugin late may have changed its arguments by then */
	if (argc < 2 || !argv[0] || !argv[1] ||
	    (strcmp(argv[1], "record") && strcmp(argv[1], "agent")))
		return false;
	if (tsync_layout_in_executable(tracecmd_tsync_proto_register))
		return true;
	/* It is trace-cmd by its name: then a message is due */
	name = strrchr(argv[0], '/');
	return !strcmp(name ? name + 1 : argv[0], "trace-cmd");
}

/* glibc passes the program's arguments, also with ld.so --preload */
__attribute__((constructor)) static void hook_constructor(int argc, char **argv)
{
	if (!is_recorder(argc, argv))
		return;
	leave_environment();
	trace_cmd_options_read(&hook.wanted, argc, argv);
	set_up();
}

/* For recordings that end without a free: trace-cmd gives up while other threads may be running */
__attribute__((destructor)) static void hook_destructor(void)
{
	if (hook.owner != getpid())
		return;
	for (struct hook_guest *guest = hook.guests; guest; guest = guest->next)
		guest_clock_abandon(guest->clock);
}

struct trace_plugin_context;
EXPORTED int tracecmd_plugin_loader(struct trace_plugin_context *trace);
EXPORTED int tracecmd_plugin_unloader(struct trace_plugin_context *trace);

/**
 * tracecmd_plugin_loader - entry point for a trace-cmd that loads its own plugins
 * @trace: context of trace-cmd
 *
 * Returns: 0; a recording without the hook is still a recording.
 */
int tracecmd_plugin_loader(struct trace_plugin_context *trace)
{
	set_up();
	return 0;
}

/**
 * tracecmd_plugin_unloader - undo tracecmd_plugin_loader()
 * @trace: context of trace-cmd
 *
 * Returns: 0
 */
int tracecmd_plugin_unloader(struct trace_plugin_context *trace)
{
	return 0;
}
