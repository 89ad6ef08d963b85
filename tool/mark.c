// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset mark: write the current offset of each vCPU as a line into a host's recording by any recorder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tracefs.h>

#include "cleanup.h"
#include "findings.h"
#include "kvm_tsc_state.h"
#include "mark.h"
#include "message.h"
#include "mounts.h"
#include "options.h"
#include "refusal.h"
#include "tsc_clock.h"
#include "vcpu_mark.h"

/**
 * struct marking - lines being written
 * @buffer: name of the instance, NULL for the top buffer
 * @instance: the instance in libtracefs, NULL for the top buffer
 * @fd: its trace_marker
 * @nr_vcpus: number of vCPUs written
 * @findings: unknown values
 */
struct marking {
	const char		*buffer;
	struct tracefs_instance	*instance;
	int			fd;
	size_t			nr_vcpus;
	struct findings		findings;
};

static void print_help(void)
{
	printf("Usage: tsc-offset mark [-B NAME]\n"
	       "\n"
	       "Write the current TSC offset, the scaling ratio and the VM of each vCPU to the\n"
	       "host's trace_marker. Run it during a recording of the host, by any recorder.\n"
	       "show, stamp, check and export then find the initial offsets in the host's file.\n"
	       "For example:\n"
	       "\n"
	       "  trace-cmd record -C x86-tsc --tsc2nsec -e kvm -o host.dat -- \\\n"
	       "          sh -c 'tsc-offset mark; sleep 10'\n"
	       "\n"
	       "  -B, --instance NAME  write to the buffer of this tracefs instance, not to the\n"
	       "                       top buffer\n"
	       "  -h, --help\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but some vCPUs are\n"
	       "missing, or the times of the buffer are not TSC values\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static const char *name_of(const struct marking *marking)
{
	return marking->buffer ? marking->buffer : "the top buffer";
}

static int write_line(const struct marking *marking, const char *line, size_t length)
{
	ssize_t written = write(marking->fd, line, length);

	return written == (ssize_t)length ? 0 : written < 0 ? -errno : -EIO;
}

static int mark_vcpu(struct marking *marking, const struct kvm_debugfs_vm *vm, const struct current_offset *offset)
{
	char line[VCPU_MARK_SIZE];
	struct vcpu_mark mark;

	if (kvm_tsc_state_mark(&mark, vm, offset)) {
		findings_doubt(&marking->findings, FINDING_OFFSET,
			       "VM %d-%d vCPU %u: debugfs does not show L1's offset: with nested virtualization it reports L2's while L2 runs",
			       vm->creator, vm->fd, offset->vcpu_id);
		return 0;
	}
	marking->nr_vcpus++;
	return write_line(marking, line, vcpu_mark_print(line, &mark));
}

static int mark_all(struct marking *marking, const struct kvm_tsc_state *now)
{
	int ret = 0;

	for (size_t i = 0; i < now->nr_vms && !ret; i++) {
		for (size_t v = 0; v < now->vms[i].nr_vcpus && !ret; v++)
			ret = mark_vcpu(marking, &now->vms[i], &now->offsets[i][v]);
	}
	return ret;
}

static void check_clock(struct marking *marking)
{
	_cleanup_(freep) char *clock = tracefs_get_clock(marking->instance);

	if (!clock || strcmp(clock, TSC_CLOCK))
		findings_doubt(&marking->findings, FINDING_CLOCK,
			       "the clock of %s is %s, not " TSC_CLOCK ": record with -C " TSC_CLOCK,
			       name_of(marking), clock ? clock : "unknown");
}

/* The first line is written before anything is read: a recording with it has all later changes */
static enum exit_status mark(struct marking *marking)
{
	static const char begin[] = VCPU_MARK_BEGIN "\n";
	static const char *const sources[] = {
		[KVM_TSC_BY_DEBUGFS] = "debugfs",
		[KVM_TSC_BY_PATCHED_DEBUGFS] = "debugfs of a patched kernel",
		[KVM_TSC_BY_PROBE] = "a probe on KVM",
	};
	struct kvm_tsc_state now = { 0 };
	char doubt[ERROR_TEXT_SIZE], why[REFUSAL_SIZE];
	int ret = write_line(marking, begin, strlen(begin));

	if (ret == -EBADF) {
		message("nothing is recorded in %s: run this while the host is recorded", name_of(marking));
		return EXIT_FAILED;
	}
	if (!ret) {
		ret = kvm_tsc_state_read(&now);
		if (ret)
			message("%s: %s", now.dir ? now.dir : "debugfs", refusal_text(-ret, why));
		else if ((ret = mark_all(marking, &now)))
			message("trace_marker of %s: %s", name_of(marking), refusal_text(-ret, why));
	} else {
		message("trace_marker of %s: %s", name_of(marking), refusal_text(-ret, why));
	}
	if (!ret && kvm_tsc_state_doubt(&now, doubt, sizeof(doubt)))
		findings_note(&marking->findings, FINDING_OFFSET, "%s", doubt);
	if (!ret && now.nr_vms)
		message("marked %zu vCPU%s (%zu VM%s) in %s; offsets from %s", marking->nr_vcpus,
			marking->nr_vcpus == 1 ? "" : "s", now.nr_vms, now.nr_vms == 1 ? "" : "s", name_of(marking),
			sources[now.source]);
	else if (!ret)
		message("no VM runs on this machine");
	kvm_tsc_state_release(&now);
	return ret ? EXIT_FAILED : EXIT_DONE;
}

/* Returns: false with a message if the buffer does not exist */
static bool open_buffer(struct marking *marking)
{
	_cleanup_(freep) char *mounted = NULL;
	char why[REFUSAL_SIZE];
	char *path;

	if (find_mount("tracefs", &mounted)) {
		message("tracefs is not mounted; mount it with 'mount -t tracefs nodev /sys/kernel/tracing'");
		return false;
	}
	if (access(mounted, R_OK | X_OK)) {
		message("%s: %s", mounted, refusal_text(errno, why));
		return false;
	}
	if (marking->buffer) {
		if (!*marking->buffer || strchr(marking->buffer, '/') ||
		    !tracefs_instance_exists(marking->buffer)) {
			message("there is no instance '%s'", marking->buffer);
			return false;
		}
		marking->instance = tracefs_instance_alloc(NULL, marking->buffer);
	}
	path = tracefs_instance_get_file(marking->instance, "trace_marker");
	marking->fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if (marking->fd < 0)
		message("trace_marker of %s: %s", name_of(marking), refusal_text(path ? errno : ENOMEM, why));
	tracefs_put_tracing_file(path);
	return marking->fd >= 0;
}

static enum exit_status run(int argc, char **argv)
{
	struct marking marking = { .fd = -1 };
	const struct verb_options options = {
		.verb = "mark",
		.options = {
			{ "instance", 'B', .string = &marking.buffer },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	status = EXIT_FAILED;
	if (open_buffer(&marking)) {
		status = mark(&marking);
		if (!status)
			check_clock(&marking);
		findings_print(&marking.findings);
		if (!status && marking.findings.nr_doubts)
			status = EXIT_INCOMPLETE;
		close(marking.fd);
	}
	tracefs_instance_free(marking.instance);
	findings_release(&marking.findings);
	return status;
}

const struct verb mark_verb = {
	.name		= "mark",
	.summary	= "write the current offsets into a recording of this host",
	.run		= run,
};
