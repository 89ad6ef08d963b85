// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset instance: the tracefs instance that records TSC offsets from boot on.
 *
 * Its events are never consumed: the history is read from its file "trace". A change of its clock clears its buffer, so
 * a correct instance is left unchanged.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tracefs.h>

#include "boot_instance.h"
#include "cleanup.h"
#include "error.h"
#include "event.h"
#include "instance_counts.h"
#include "instance_settings.h"
#include "instance_status.h"
#include "instance_verb.h"
#include "instance_vms.h"
#include "kvm_layout.h"
#include "kvm_probes.h"
#include "message.h"
#include "mounts.h"
#include "options.h"
#include "record_instance.h"
#include "refusal.h"
#include "tsc_clock.h"

/* Some 6,000 events for each CPU */
#define DEFAULT_BUFFER_KB	256

/* The boot waits for 'start': its time limit for a lock, and the interval of tries */
#define LOCK_SECONDS		5
#define MODPROBE_SECONDS	15
#define LOOK_NS			(10 * 1000 * 1000)

/**
 * struct arguments - the command line
 * @buffer_kb: --buffer-size, 0 if not given
 * @probes: --probes
 * @json: --json
 */
struct arguments {
	uint64_t	buffer_kb;
	bool		probes;
	bool		json;
};

static void print_help(void)
{
	printf("Usage: tsc-offset instance start [--buffer-size KB] [--probes]\n"
	       "       tsc-offset instance stop\n"
	       "       tsc-offset instance status [--json]\n"
	       "\n"
	       "The tracefs instance " BOOT_INSTANCE " records every change of a guest's TSC\n"
	       "offset. A guest that boots while the instance exists has a complete history,\n"
	       "which tsc-offset show prints.\n"
	       "\n"
	       "  start    create the instance, or correct its settings; loads the module kvm.\n"
	       "           Run it before any guest boots: systemctl enable tsc-offset-instance\n"
	       "  stop     remove the instance and its history\n"
	       "  status   show what it has recorded, and what is wrong or missing\n"
	       "\n"
	       "  --buffer-size KB  with start: the buffer of each CPU (default: "
	       OPTION_TEXT(DEFAULT_BUFFER_KB) "); an\n"
	       "                    existing one can become larger, but not smaller, because\n"
	       "                    that would lose events\n"
	       "  --probes          with start: also define the events of system tsc_offset,\n"
	       "                    which report the VM, the ratio, and offsets that never\n"
	       "                    change: trace-cmd record -e kvm -e tsc_offset ...\n"
	       "  --json            with status: print one JSON object\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done; %d failed, or status found no instance; %d wrong usage;\n"
	       "%d status found something wrong, or an incomplete history\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static enum exit_status failed(const char *what, int error)
{
	char why[REFUSAL_SIZE];

	message("%s: %s", what, refusal_text(error, why));
	return EXIT_FAILED;
}

static bool find_tracefs(bool mount)
{
	_cleanup_(freep) char *mounted = NULL;
	const char *dir = NULL;

	if (mount)
		dir = tracefs_tracing_dir();
	else if (!find_mount("tracefs", &mounted))
		dir = mounted;
	if (!dir) {
		message("tracefs is not mounted%s%s", mount ? " and cannot be" : "",
			mount && geteuid() ? " (this needs root)" : "");
		return false;
	}
	if (access(dir, R_OK | X_OK)) {
		failed(dir, errno);
		return false;
	}
	return true;
}

static bool has_tsc_clock(void)
{
	_cleanup_(freep) char *clocks = tracefs_instance_file_read(NULL, "trace_clock", NULL);

	if (clocks && strstr(clocks, TSC_CLOCK))
		return true;
	if (clocks)
		message("this kernel has no trace clock " TSC_CLOCK ": not an x86 kernel");
	else
		failed("trace_clock", errno ? errno : EIO);
	return false;
}

static uint64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

static void nap(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = LOOK_NS }, NULL);
}

/* Returns: false if a process has not ended in time */
static bool wait_for(pid_t pid, int *status, unsigned int limit)
{
	uint64_t until = seconds() + limit;
	pid_t ended;

	while (!(ended = waitpid(pid, status, WNOHANG)) || (ended < 0 && errno == EINTR)) {
		if (seconds() > until)
			return false;
		nap();
	}
	return true;
}

/*
 * An event of a module that is not loaded cannot be enabled. The module kvm alone has the event, and no guest can boot
 * before kvm_intel or kvm_amd is loaded.
 */
static int load_kvm(void)
{
	char *argv[] = { "modprobe", "-q", "kvm", NULL };
	int status = 0, ret;
	pid_t pid;

	ret = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	/* The environment of su may lack its directory in PATH */
	if (ret == ENOENT)
		ret = posix_spawn(&pid, "/sbin/modprobe", NULL, NULL, argv, environ);
	if (ret) {
		message("no event " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT
			", and modprobe cannot be run: %s", strerror(ret));
		return -ret;
	}
	if (!wait_for(pid, &status, MODPROBE_SECONDS)) {
		/* Do not wait for a process that the kernel does not even kill */
		kill(pid, SIGKILL);
		message("no event " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT
			", and 'modprobe kvm' did not finish within %d s", MODPROBE_SECONDS);
		return -ETIMEDOUT;
	}
	if (status) {
		message("no event " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT
			", and 'modprobe kvm' fails");
		return -ENOENT;
	}
	return 0;
}

static bool has_event(void)
{
	if (tsc_event_available())
		return true;
	if (load_kvm())
		return false;
	if (tsc_event_available())
		return true;
	message("this kernel's KVM has no event " TSC_OFFSET_SYSTEM ":" TSC_OFFSET_EVENT);
	return false;
}

/*
 * Another start may run at the same time: at boot, when the first loads the module kvm. It is short, so a lock that is
 * held longer has another owner. Without the lock the instance is still correct, but two simultaneous starts may both
 * report that they created it.
 */
static int lock_instances(void)
{
	char *path = tracefs_get_tracing_file("instances");
	uint64_t until = seconds() + LOCK_SECONDS;
	int fd;

	if (!path)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tracefs_put_tracing_file(path);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && (errno == EWOULDBLOCK || errno == EINTR)) {
		if (seconds() > until) {
			message("the directory of instances is locked by another process: continuing without the lock");
			break;
		}
		nap();
	}
	return fd;
}

static uint64_t count_events(struct tracefs_instance *instance)
{
	struct instance_counts counts;
	uint64_t entries;

	instance_counts_read(&counts, instance);
	entries = counts.sum.entries;
	instance_counts_release(&counts);
	return entries;
}

/* Returns: number of corrections, or a negative errno */
static int set_clock(struct tracefs_instance *instance, bool is_new)
{
	_cleanup_(freep) char *clock = tracefs_get_clock(instance);
	uint64_t events;

	if (clock && !strcmp(clock, TSC_CLOCK))
		return 0;
	events = count_events(instance);
	errno = 0;
	if (tracefs_instance_file_write(instance, "trace_clock", TSC_CLOCK) <= 0)
		return errno ? -errno : -EIO;
	if (is_new)
		return 0;
	if (events)
		message("the clock was %s: dropped %llu events, whose times are not TSC values",
			clock ? clock : "unknown", (unsigned long long)events);
	else
		message("the clock was %s: set to " TSC_CLOCK, clock ? clock : "unknown");
	return 1;
}

/* Returns: number of corrections, or a negative errno */
static int set_buffer_size(struct tracefs_instance *instance, bool is_new, size_t wanted_kb)
{
	struct instance_counts counts;
	uint64_t is_kb;
	int ret;

	if (!wanted_kb) {
		if (!is_new)
			return 0;
		wanted_kb = DEFAULT_BUFFER_KB;
	}
	ret = instance_counts_read(&counts, instance);
	is_kb = counts.sum.buffer_kb;
	instance_counts_release(&counts);
	if (ret)
		return ret;
	/* The kernel rounds up to whole pages, so it may be slightly larger than requested */
	if (!is_new && wanted_kb <= is_kb) {
		if (is_kb - wanted_kb > 16)
			message("the buffers have %llu KiB and are not made smaller, which would lose events",
				(unsigned long long)is_kb);
		return 0;
	}
	errno = 0;
	if (tracefs_instance_set_buffer_size(instance, wanted_kb, -1))
		return errno ? -errno : -EIO;
	if (is_new)
		return 0;
	message("the buffers had %llu KiB: set to %zu", (unsigned long long)is_kb, wanted_kb);
	return 1;
}

struct setting_right {
	bool	is_new;
	int	nr_set;
};

static int set_right(struct tracefs_instance *instance, const struct instance_setting *setting,
		     void *context)
{
	struct setting_right *setting_right = context;
	char why[REFUSAL_SIZE];
	int ret = instance_setting_set(instance, setting);

	if (ret) {
		message("%s cannot be set: %s", setting->file, refusal_text(-ret, why));
		return ret;
	}
	if (!setting_right->is_new)
		message("%s was %s: set to %s%s", setting->file, setting->is, setting->wanted,
			setting->gap ? "; changes until now may be missing" : "");
	setting_right->nr_set++;
	return 0;
}

/* Returns: number of corrections of an existing instance, or a negative errno */
static int set_up(struct tracefs_instance *instance, size_t buffer_kb)
{
	struct setting_right setting_right = { .is_new = tracefs_instance_is_new(instance) };
	int clock, size, ret;

	clock = set_clock(instance, setting_right.is_new);
	if (clock < 0)
		return clock;
	size = set_buffer_size(instance, setting_right.is_new, buffer_kb);
	if (size < 0)
		return size;
	ret = instance_settings_check(instance, set_right, &setting_right);
	return ret ? ret : clock + size + setting_right.nr_set;
}

/* Others may record them from now on. The instance does not need them: it has all changes of VMs that boot later */
static bool make_probes(void)
{
	struct error error = { 0 };
	char line[ERROR_TEXT_SIZE];

	if (tsc_event_names_vm()) {
		message("the kernel's own events report as much as probes would: no probes are defined");
		return true;
	}
	if (!kvm_probes_define(KVM_BTF_DIR, &error)) {
		message("defined the events " TSC_PROBE_SYSTEM ":*, for 'trace-cmd record -e " TSC_PROBE_SYSTEM "'");
		return true;
	}
	message("cannot define probes on KVM: %s", error_line(&error, line, sizeof(line)));
	return false;
}

static void say_who_came_too_early(void)
{
	struct instance_vms vms = { 0 };

	if (!instance_vms_find_unrecorded(&vms) && vms.nr_unrecorded)
		message("%zu process%s a VM already: earlier changes are missing", vms.nr_unrecorded,
			vms.nr_unrecorded == 1 ? " runs" : "es run");
	instance_vms_release(&vms);
}

static enum exit_status start(const struct arguments *arguments)
{
	struct tracefs_instance *instance;
	_cleanup_(closep) int lock = -1;
	bool is_new;
	int ret;

	if (!find_tracefs(true) || !has_tsc_clock() || !has_event())
		return EXIT_FAILED;
	lock = lock_instances();
	errno = 0;
	instance = tracefs_instance_create(BOOT_INSTANCE);
	if (!instance)
		return failed("the instance " BOOT_INSTANCE " cannot be made", errno ? errno : EIO);
	is_new = tracefs_instance_is_new(instance);
	ret = set_up(instance, arguments->buffer_kb);
	if (ret < 0) {
		failed("the instance " BOOT_INSTANCE " cannot be set up", -ret);
		if (is_new)
			tracefs_instance_destroy(instance);
	} else if (is_new) {
		message("the instance " BOOT_INSTANCE " records from now on");
		say_who_came_too_early();
	} else {
		message("the instance " BOOT_INSTANCE " %s, with %llu events",
			ret ? "existed, and was corrected" : "records already",
			(unsigned long long)count_events(instance));
	}
	tracefs_instance_free(instance);
	return ret < 0 || (arguments->probes && !make_probes()) ? EXIT_FAILED : EXIT_DONE;
}

static enum exit_status stop(const struct arguments *arguments)
{
	_cleanup_(closep) int lock = -1;
	struct tracefs_instance *instance;
	uint64_t events;
	int ret;

	if (!find_tracefs(true))
		return EXIT_FAILED;
	lock = lock_instances();
	ret = kvm_probes_remove();
	if (ret)
		message("%d event%s of " TSC_PROBE_SYSTEM ":* in use and not removed", ret, ret == 1 ? "" : "s");
	if (!tracefs_instance_exists(BOOT_INSTANCE)) {
		message("there is no instance " BOOT_INSTANCE);
		return EXIT_DONE;
	}
	instance = tracefs_instance_alloc(NULL, BOOT_INSTANCE);
	if (!instance)
		return failed("the instance " BOOT_INSTANCE, ENOMEM);
	events = count_events(instance);
	ret = tracefs_instance_destroy(instance) ? errno : 0;
	tracefs_instance_free(instance);
	if (ret == EBUSY) {
		message("the instance " BOOT_INSTANCE
			" is in use: a process has one of its files open");
		return EXIT_FAILED;
	}
	if (ret)
		return failed("the instance " BOOT_INSTANCE " cannot be removed", ret);
	message("removed the instance " BOOT_INSTANCE " with %llu events",
		(unsigned long long)events);
	return EXIT_DONE;
}

static enum exit_status status(const struct arguments *arguments)
{
	struct tracefs_instance *instance;
	enum exit_status result;

	if (!find_tracefs(false))
		return EXIT_FAILED;
	if (!tracefs_instance_exists(BOOT_INSTANCE)) {
		if (arguments->json)
			instance_status_print_none();
		message("there is no instance " BOOT_INSTANCE
			": 'tsc-offset instance start' makes it");
		return EXIT_FAILED;
	}
	instance = tracefs_instance_alloc(NULL, BOOT_INSTANCE);
	if (!instance)
		return failed("the instance " BOOT_INSTANCE, ENOMEM);
	result = instance_status_print(instance, arguments->json);
	tracefs_instance_free(instance);
	return result;
}

static enum exit_status run(int argc, char **argv)
{
	static const struct {
		const char		*name;
		enum exit_status	(*run)(const struct arguments *arguments);
	} actions[] = { { "start", start }, { "stop", stop }, { "status", status } };
	struct arguments arguments = { 0 };
	const struct verb_options options = {
		.verb = "instance", .operands = { "command start, stop or status" }, .min_operands = 1,
		.options = {
			/* A larger number would overflow in the kernel */
			{ "buffer-size", .number = &arguments.buffer_kb, .min = 1, .max = INT_MAX,
			  .wants = "a number of KiB" },
			{ "probes", .flag = &arguments.probes },
			{ "json", .flag = &arguments.json },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status wrong;

	if (!options_read(&options, &argc, &argv, &wrong))
		return wrong;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(argv[0], actions[i].name))
			continue;
		if (arguments.buffer_kb && actions[i].run != start)
			return misuse("instance", "--buffer-size cannot be used with '%s'", argv[0]);
		if (arguments.probes && actions[i].run != start)
			return misuse("instance", "--probes cannot be used with '%s'", argv[0]);
		if (arguments.json && actions[i].run != status)
			return misuse("instance", "--json cannot be used with '%s'", argv[0]);
		return actions[i].run(&arguments);
	}
	return misuse("instance", "unknown command '%s': use start, stop or status", argv[0]);
}

const struct verb instance_verb = {
	.name		= "instance",
	.summary	= "start, stop or show the instance that records offsets from boot on",
	.run		= run,
};
