// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tracefs.h>

#include "boot_instance.h"
#include "cleanup.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "mounts.h"
#include "tsc_clock.h"
#include "vm_process.h"

/*
 * Only the file named trace does not consume. The instance's options add or remove columns of its lines, and the kernel
 * adds or removes words:
 *
 *	CPU 0/KVM-110   [000] ..... 30758974169: kvm_write_tsc_offset: vcpu=0 prev=0 next=18446744064
 *	CPU 0/KVM-110   [000] ..... 30758974170: kvm_write_tsc_multiplier: vcpu=0 prev=281474976710656
 *		next=351843720888320 frac_bits=48 offset=18446744064 vm_id=3
 *
 * A thread can have any name, but its 15 bytes are too few for a match. A name with a newline splits the line, and the
 * second part may begin with # like a comment. Comments do not match anyway, so lines with # are not skipped.
 */
#define TRACE_LINE	"-([0-9]+) +(\\([ 0-9-]+\\) +)?\\[[0-9]+\\]( +[^ ]+)? +([0-9.]+): "	\
			"(" TSC_OFFSET_EVENT "|" TSC_MULTIPLIER_EVENT "):( .*)"
enum { LINE_TID = 1, LINE_TIME = 4, LINE_EVENT, LINE_WORDS, LINE_MATCHES };

/* A switch that was off for some time has missed changes, but only its current state is visible */
static bool boot_instance_is_on(const char *file)
{
	_cleanup_(fclosep) FILE *stream = NULL;
	_cleanup_(freep) char *name = NULL;
	char *path;

	if (asprintf(&name, "instances/" BOOT_INSTANCE "/%s", file) < 0)
		return false;
	path = tracefs_get_tracing_file(name);
	if (!path)
		return false;
	stream = fopen(path, "re");
	tracefs_put_tracing_file(path);
	return stream && getc(stream) == '1';
}

static uint64_t number_at(const char *line, const regmatch_t *match)
{
	return strtoull(line + match->rm_so, NULL, 10);
}

/* Returns: the text after " KEY=", NULL without */
static const char *value_of(const char *words, const char *key)
{
	size_t length = strlen(key);

	while ((words = strchr(words, ' '))) {
		words++;
		if (!strncmp(words, key, length) && words[length] == '=')
			return words + length + 1;
	}
	return NULL;
}

/* Returns: 0 without this word */
static uint64_t number_of(const char *words, const char *key)
{
	const char *value = value_of(words, key);

	return value ? strtoull(value, NULL, 10) : 0;
}

static void parse_words(struct tsc_offset_event *event, bool is_multiplier, const char *words)
{
	const char *vm = value_of(words, "vm");
	uint64_t previous = number_of(words, "prev"), next = number_of(words, "next");

	event->vcpu_id = (uint32_t)number_of(words, "vcpu");
	event->frac_bits = (uint32_t)number_of(words, "frac_bits");
	if (is_multiplier) {
		event->previous_ratio = previous;
		event->ratio = next;
		event->previous = event->next = (int64_t)number_of(words, "offset");
	} else {
		event->previous_ratio = event->ratio = number_of(words, "ratio");
		event->previous = (int64_t)previous;
		event->next = (int64_t)next;
	}
	event->vm_fd = -1;
	/* That of the patches as they were before */
	if (vm)
		sscanf(vm, "%d-%d", &event->vm_pid, &event->vm_fd);
	event->vm_id = number_of(words, "vm_id");
}

/*
 * struct numbered_vms - the VMs in debugfs, to find them by their numbers
 * @highest: number of the last event that was looked for: one with a higher number may have been made since
 * @error: why they are not known
 */
struct numbered_vms {
	struct kvm_debugfs_vm	*vms;
	size_t			nr;
	uint64_t		highest;
	int			error;
};

static void list_vms(struct numbered_vms *numbered)
{
	_cleanup_(freep) char *debugfs = NULL, *dir = NULL;

	kvm_debugfs_list_free(numbered->vms, numbered->nr);
	numbered->vms = NULL;
	numbered->nr = 0;
	numbered->error = find_mount("debugfs", &debugfs);
	if (!numbered->error && asprintf(&dir, "%s/kvm", debugfs) < 0)
		numbered->error = -ENOMEM;
	if (!numbered->error)
		numbered->error = kvm_debugfs_list(&numbered->vms, &numbered->nr, dir);
}

static const struct kvm_debugfs_vm *find_vm(const struct numbered_vms *numbered, uint64_t vm_id)
{
	for (size_t i = 0; i < numbered->nr; i++) {
		if (numbered->vms[i].id == vm_id)
			return &numbered->vms[i];
	}
	return NULL;
}

/* Name the VM as its directory in debugfs; whichever thread wrote the event, it is of no other */
static void name_vm(struct tsc_offset_event *event, struct numbered_vms *numbered)
{
	const struct kvm_debugfs_vm *vm;

	if (!event->vm_id)
		return;
	if (event->vm_id > numbered->highest) {
		list_vms(numbered);
		numbered->highest = event->vm_id;
	}
	vm = find_vm(numbered, event->vm_id);
	if (vm) {
		event->vm_pid = vm->creator;
		event->vm_fd = vm->fd;
	}
	event->vm_ended = !vm && !numbered->error;
}

/**
 * boot_instance_events - read the events of the instance that was set up at boot, without consuming them
 * @take: called for each event, in the order of time. The time itself may not be a TSC value: it is in the instance's
 *	clock
 * @context: for @take
 *
 * An event with the number of a VM gets the VM's name in debugfs. If debugfs does not have this VM, it has ended. If
 * debugfs cannot be read, the event keeps only the number.
 *
 * Returns: 0, -ENOENT if there is no such instance, what @take returned, or another negative errno.
 */
int boot_instance_events(tsc_event_func take, void *context)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_(freep) char *line = NULL;
	struct numbered_vms numbered = { 0 };
	regmatch_t match[LINE_MATCHES];
	size_t capacity = 0;
	regex_t regex;
	char *path;
	int ret = 0;

	path = tracefs_get_tracing_file("instances/" BOOT_INSTANCE "/trace");
	if (!path)
		return -ENOENT;
	file = fopen(path, "re");
	tracefs_put_tracing_file(path);
	if (!file)
		return -errno;
	if (regcomp(&regex, TRACE_LINE, REG_EXTENDED))
		return -ENOMEM;
	while (!ret && getline(&line, &capacity, file) > 0) {
		struct tsc_offset_event event;

		if (regexec(&regex, line, LINE_MATCHES, match, 0))
			continue;
		event = (struct tsc_offset_event) {
			.host_tsc	= number_at(line, &match[LINE_TIME]),
			.tid		= (int)number_at(line, &match[LINE_TID]),
		};
		parse_words(&event, match[LINE_EVENT].rm_eo - match[LINE_EVENT].rm_so ==
			    strlen(TSC_MULTIPLIER_EVENT), line + match[LINE_WORDS].rm_so);
		name_vm(&event, &numbered);
		ret = take(&event, context);
	}
	kvm_debugfs_list_free(numbered.vms, numbered.nr);
	regfree(&regex);
	return ret;
}

/**
 * boot_instance_clock - get the clock of the instance
 *
 * Returns: its name, to be freed; NULL with errno if it cannot be read.
 */
char *boot_instance_clock(void)
{
	struct tracefs_instance *instance = tracefs_instance_alloc(NULL, BOOT_INSTANCE);
	char *clock;

	if (!instance)
		return NULL;
	errno = 0;
	clock = tracefs_get_clock(instance);
	tracefs_instance_free(instance);
	return clock;
}

/**
 * boot_instance_counts - read the counts of events and losses of the instance
 * @counts: result; release with instance_counts_release(), also after an error
 *
 * Returns: as instance_counts_read().
 */
int boot_instance_counts(struct instance_counts *counts)
{
	struct tracefs_instance *instance = tracefs_instance_alloc(NULL, BOOT_INSTANCE);
	int ret;

	*counts = (struct instance_counts) { 0 };
	if (!instance)
		return -ENOMEM;
	ret = instance_counts_read(counts, instance);
	tracefs_instance_free(instance);
	return ret;
}

/**
 * boot_instance_read - boot_instance_events() for an instance that records with the TSC
 * @take: called for each event
 * @context: for @take
 *
 * Returns: as boot_instance_events(), -ENOENT also if the instance does not record, and -ENOTSUP if its times are not
 * TSC values.
 */
int boot_instance_read(tsc_event_func take, void *context)
{
	_cleanup_(freep) char *clock = NULL;

	if (!boot_instance_is_on("tracing_on") ||
	    !boot_instance_is_on("events/" TSC_OFFSET_SYSTEM "/" TSC_OFFSET_EVENT "/enable"))
		return -ENOENT;
	clock = boot_instance_clock();
	return clock && !strcmp(clock, TSC_CLOCK) ? boot_instance_events(take, context) : -ENOTSUP;
}

/**
 * struct boot_history - the context of a read
 * @history: result
 * @vm: the VM in debugfs; without a path if it is not there
 * @vm_id: number of the process's last VM, if events have it and debugfs is not there
 */
struct boot_history {
	struct vm_history		*history;
	const struct kvm_debugfs_vm	*vm;
	uint64_t			vm_id;
};

/* Events of a patched kernel name the VM as debugfs does, whichever thread wrote them */
static bool is_of_vm(const struct tsc_offset_event *event, const struct boot_history *boot)
{
	if (event->vm_ended)
		return false;
	if (boot->vm->path && event->vm_pid && event->vm_fd >= 0)
		return event->vm_pid == boot->vm->creator && event->vm_fd == boot->vm->fd;
	return vm_process_of_event(event->tid, event->vm_pid, event->vm_fd) == boot->history->vm;
}

static int take_of_vm(const struct tsc_offset_event *event, void *context)
{
	struct boot_history *boot = context;
	pid_t pid = boot->history->vm;

	if (!is_of_vm(event, boot) || event->vm_id < boot->vm_id)
		return 0;
	/* What is known by the thread only is of another VM that the process had before */
	if (event->vm_id > boot->vm_id) {
		vm_history_release(boot->history);
		*boot->history = (struct vm_history) { .vm = pid };
		boot->vm_id = event->vm_id;
	}
	return vm_history_add(boot->history, event);
}

static int mark_losses(struct vm_history *history)
{
	struct instance_counts counts;
	int ret = boot_instance_counts(&counts);

	for (size_t cpu = 0; cpu < counts.nr_cpus; cpu++) {
		uint64_t until = cpu_counts_lost_until(&counts.cpus[cpu]);

		for (size_t i = 0; i < history->nr_vcpus; i++) {
			struct vcpu_history *vcpu = &history->vcpus[i];

			vcpu->lost_after |= vcpu->nr_segments &&
					    until > vcpu->segments[vcpu->nr_segments - 1].host_tsc;
		}
	}
	instance_counts_release(&counts);
	return ret;
}

/**
 * boot_instance_history - read the history of one VM from the instance
 * @history: result, with the VM's process; release with vm_history_release()
 * @vm: the VM in debugfs; without a path if it is not there. Then the process must have no other VM.
 *
 * Returns: as boot_instance_read(). After an error the history is empty.
 */
int boot_instance_history(struct vm_history *history, const struct kvm_debugfs_vm *vm)
{
	struct boot_history boot = { .history = history, .vm = vm };
	int ret = boot_instance_read(take_of_vm, &boot);

	if (!ret)
		ret = mark_losses(history);
	if (ret)
		vm_history_release(history);
	return ret;
}
