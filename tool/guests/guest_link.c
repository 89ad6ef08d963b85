// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "guest_link.h"
#include "guest_option.h"
#include "guest_vcpus.h"
#include "host.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/* "g1" of "/x/trace-g1.dat", trace-cmd's name of a guest's file */
static char *guest_name(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);
	char *name, *dot;

	if (!copy)
		return NULL;
	name = basename(copy);
	dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = '\0';
	if (!strncmp(name, "trace-", strlen("trace-")) && name[strlen("trace-")])
		name += strlen("trace-");
	return strdup(name);
}

static int add_guest(struct trace_dat_edit *edit, const char *name, const struct guest_vcpus *vcpus,
		     uint64_t guest_trace_id)
{
	_cleanup_(freep) void *option = NULL;
	_cleanup_(guest_option_release) struct guest_option guest = {
		.trace_id = guest_trace_id,
		.cpus = calloc(vcpus->nr + 1, sizeof(*guest.cpus)),
	};
	size_t size;
	int ret;

	if (!guest.cpus)
		return -ENOMEM;
	guest.name = name;
	for (size_t i = 0; i < vcpus->nr; i++) {
		if (!vcpus->cpus[i].known)
			continue;
		guest.cpus[guest.nr_cpus].cpu = i;
		guest.cpus[guest.nr_cpus++].tid = vcpus->cpus[i].tid;
	}
	ret = guest_option_encode(&guest, &option, &size);
	return ret ? ret : trace_dat_edit_add(edit, TRACE_DAT_GUEST, option, size);
}

static bool has_thread_of(const struct guest_option *guest, const struct host_vm *vm)
{
	for (size_t i = 0; i < guest->nr_cpus; i++) {
		for (size_t j = 0; j < vm->nr_threads; j++) {
			if (guest->cpus[i].tid == vm->threads[j].tid)
				return true;
		}
	}
	return false;
}

static int new_trace_id(uint64_t *id)
{
	do {
		if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
			return -EIO;
	} while (!*id);
	return 0;
}

/**
 * guest_link_trace_id - make sure that a file has an identity, by which another can name it
 * @edit: of the file; gets a TRACEID if it has none
 * @dat: the file, open
 * @id: result: its TRACEID
 *
 * Returns: 0, -EIO without random numbers, or -ENOMEM.
 */
int guest_link_trace_id(struct trace_dat_edit *edit, const struct trace_dat *dat, uint64_t *id)
{
	int ret;

	*id = trace_dat_trace_id(dat);
	if (*id)
		return 0;
	ret = new_trace_id(id);
	return ret ? ret : trace_dat_edit_add(edit, TRACE_DAT_TRACEID, id, sizeof(*id));
}

/**
 * guest_link_denies - is a host's file linked to other recordings of a guest, but not to this one?
 * @host: the open file of the host
 * @vm: the VM that the guest is said to be
 * @guest_trace_id: TRACEID of the guest's file, 0 without
 *
 * Returns: true if so; false if it is linked to none.
 */
bool guest_link_denies(const struct trace_dat *host, const struct host_vm *vm, uint64_t guest_trace_id)
{
	_cleanup_(guest_option_release) struct guest_option guest = { 0 };
	bool others = false, this = false;
	size_t at = 0;

	while (guest_trace_id && guest_option_next(&guest, host, &at)) {
		if (guest.trace_id && has_thread_of(&guest, vm)) {
			this |= guest.trace_id == guest_trace_id;
			others |= guest.trace_id != guest_trace_id;
		}
	}
	return others && !this;
}

/*
 * Readers would use an older one of the same guest first, and one without CPUs makes report fail. @name: the name in
 * the first of them, or unchanged; to be freed.
 */
static int retire_guests(struct trace_dat_edit *edit, const struct trace_dat *host, uint64_t guest_trace_id,
			 char **name)
{
	_cleanup_(guest_option_release) struct guest_option guest = { 0 };
	size_t at = 0;
	int ret;

	while ((ret = guest_option_next(&guest, host, &at)) > 0) {
		if (guest.trace_id != guest_trace_id)
			continue;
		ret = trace_dat_edit_retire(edit, host->options[at - 1].offset);
		if (ret)
			break;
		if (!*name && *guest.name && !(*name = strdup(guest.name)))
			return -ENOMEM;
	}
	return ret;
}

/**
 * guest_link_lacks_vcpus - did trace-cmd not find the process of a guest that it recorded?
 * @host: the open file of the host
 * @guest_trace_id: TRACEID of the guest's file
 *
 * Returns: true if the file's option for the guest has no CPUs.
 */
bool guest_link_lacks_vcpus(const struct trace_dat *host, uint64_t guest_trace_id)
{
	_cleanup_(guest_option_release) struct guest_option guest = { 0 };
	size_t at = 0;
	int ret;

	while ((ret = guest_option_next(&guest, host, &at))) {
		if (ret > 0 && guest.trace_id == guest_trace_id && !guest.nr_cpus)
			return true;
	}
	return false;
}

/**
 * guest_link - link a host's file to a guest
 * @edit: changes of the host's file; existing options of the same guest are retired
 * @host: the open file of the host
 * @vm: the guest's VM
 * @vcpus: the vCPUs of its CPUs
 * @guest_path: path of the guest's file, which gives its name unless the host's file has it
 * @guest_trace_id: TRACEID of the guest's file
 *
 * Returns: 0, -E2BIG, -EBADMSG if an option GUEST is damaged, or -ENOMEM.
 */
int guest_link(struct trace_dat_edit *edit, const struct trace_dat *host, const struct host_vm *vm,
	       const struct guest_vcpus *vcpus, const char *guest_path, uint64_t guest_trace_id)
{
	_cleanup_(freep) char *name = vm->guest_name ? strdup(vm->guest_name) : NULL;
	int ret = vm->guest_name && !name ? -ENOMEM : retire_guests(edit, host, guest_trace_id, &name);

	if (!ret && !name && !(name = guest_name(guest_path)))
		ret = -ENOMEM;
	return ret ? ret : add_guest(edit, name, vcpus, guest_trace_id);
}
