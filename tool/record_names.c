// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "message.h"
#include "record_names.h"
#include "running_vms.h"
#include "sanitize.h"
#include "trace_cmd_options.h"
#include "vm_process.h"

/**
 * struct guest_name - the value of an option -A
 * @text: the whole value, or the part before a port; owned
 * @port: port of the agent
 */
struct guest_name {
	char		*text;
	const char	*port;
};

/* "NAME@CID" and "CID" have a CID already */
static bool has_address(const char *value)
{
	return strchr(value, '@') || strspn(value, "0123456789") == strcspn(value, ":");
}

static size_t find(const struct running_vms *vms, const char *name, const struct running_vm **vm)
{
	size_t found = 0;

	for (size_t i = 0; i < vms->nr; i++) {
		if (!running_vm_is_called(&vms->vms[i], name))
			continue;
		*vm = &vms->vms[i];
		found++;
	}
	return found;
}

/* "NAME" or "NAME:PORT". A name can have a colon itself. Returns: number of matching VMs. */
static size_t find_guest(const struct running_vms *vms, struct guest_name *name, const struct running_vm **vm)
{
	size_t found = find(vms, name->text, vm);
	char *colon = strrchr(name->text, ':');

	if (found || !colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
		return found;
	*colon = '\0';
	name->port = colon + 1;
	return find(vms, name->text, vm);
}

/* Any process can claim a CID. Returns: whether it belongs to this one, as far as can be seen. */
static bool is_own_address(const struct running_vm *vm)
{
	pid_t pid;

	return !vm_process_by_cid(vm->identity.line.cid, &pid) && pid == vm->pid;
}

/* Returns: why trace-cmd cannot get a CID; NULL if it can */
static const char *refusal(const struct guest_name *name, const struct running_vm *vm, size_t nr)
{
	if (nr > 1)
		return "several VMs have this name";
	if (strchr(name->text, '/'))
		return "the guest's file is named after it, and a file name cannot have a slash";
	/* To trace-cmd 3.4 */
	if (strpbrk(name->text, ".:"))
		return "trace-cmd takes a name with a dot or a colon for a host";
	if (vm->identity.vsock == VSOCK_SOCKET)
		return "the VM's vsock is a UNIX socket on the host, to which trace-cmd cannot connect";
	if (vm->identity.vsock == VSOCK_NONE)
		return "the VM has no vsock";
	if (vm->identity.vsock == VSOCK_UNKNOWN)
		return "the VM's vsock address is not known";
	if (!is_own_address(vm))
		return "another process may have the vsock address on the command line of the VM's process";
	return NULL;
}

static int replace(struct record_names *names, char **word, const char *value, const struct guest_name *name,
		   const struct running_vm *vm)
{
	uint32_t cid = vm->identity.line.cid;
	char *text;

	if (array_reserve(names->words, names->nr, names->capacity))
		return -ENOMEM;
	/* With a port, because trace-cmd would search for one in the name */
	if (asprintf(&text, "%.*s%s@%" PRIu32 ":%s", (int)(value - *word), *word, name->text, cid, name->port) < 0)
		return -ENOMEM;
	names->words[names->nr++] = text;
	*word = text;
	return 0;
}

static int fill_one(struct record_names *names, const struct running_vms *vms, char **word, const char *value)
{
	char default_port[16];
	struct guest_name name = { .text = strdup(value), .port = default_port };
	_cleanup_(freep) char *text = name.text;
	_cleanup_(freep) char *shown = NULL;
	const struct running_vm *vm = NULL;
	const char *why;
	size_t nr;

	if (!text)
		return -ENOMEM;
	snprintf(default_port, sizeof(default_port), "%u", AGENT_PORT);
	nr = find_guest(vms, &name, &vm);
	/* trace-cmd may know it */
	if (!nr)
		return 0;
	shown = sanitized(name.text);
	if (!shown)
		return -ENOMEM;
	why = refusal(&name, vm, nr);
	if (why) {
		message("-A %s: %s; -A NAME@CID names a guest by its address, see 'tsc-offset vms'", shown, why);
		return 0;
	}
	message("-A %s: the VM of process %d, at the vsock address %" PRIu32 ", port %s", shown, vm->pid,
		vm->identity.line.cid, name.port);
	return replace(names, word, value, &name, vm);
}

static bool any_is_named(int argc, char **args)
{
	const char *value;
	int word;

	for (unsigned int i = 0; (value = trace_cmd_options_guest(argc, args, i, &word)); i++) {
		if (!has_address(value))
			return true;
	}
	return false;
}

/**
 * record_names_fill - replace names of guests on a command line by their CIDs
 * @names: result: owns the new words; must be released in any case
 * @argc: number of arguments
 * @args: the arguments, as for trace_cmd_options_read(); words of guests are replaced
 *
 * "-A NAME" and "-A NAME:PORT" become "-A NAME@CID:PORT" if one VM of this machine has that name. trace-cmd then names
 * the guest NAME, and its file trace-NAME.dat, as if it had found the CID itself. As in trace-cmd, which uses libvirt,
 * a VM has priority over a host of the same name. Guests are not contacted, because their agents would refuse trace-cmd
 * meanwhile.
 *
 * Returns: 0 or a negative errno.
 */
int record_names_fill(struct record_names *names, int argc, char **args)
{
	struct running_vms vms;
	const char *value;
	int word, ret;

	*names = (struct record_names) { 0 };
	if (!any_is_named(argc, args))
		return 0;
	ret = running_vms_read(&vms);
	for (unsigned int i = 0; !ret && (value = trace_cmd_options_guest(argc, args, i, &word)); i++) {
		if (!has_address(value))
			ret = fill_one(names, &vms, &args[word], value);
	}
	running_vms_release(&vms);
	return ret;
}

/**
 * record_names_release - free the words
 * @names: the words; their command line is unusable afterwards
 */
void record_names_release(struct record_names *names)
{
	for (size_t i = 0; i < names->nr; i++)
		free(names->words[i]);
	free(names->words);
	*names = (struct record_names) { 0 };
}
