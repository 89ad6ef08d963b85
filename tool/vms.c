// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset vms: the running VMs of this machine, by the names that their users gave them.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent_connections.h"
#include "cleanup.h"
#include "findings.h"
#include "message.h"
#include "options.h"
#include "running_vms.h"
#include "sanitize.h"
#include "vms.h"
#include "vms_json.h"
#include "vms_table.h"

/* For all guests together. A running guest answers within a millisecond, a sleeping one within some. */
#define AGENT_TIMEOUT_MS	1000

/* The command line */
struct request {
	const char	*name;
	uint64_t	port;
	bool		no_agent;
	bool		json;
};

static void print_help(void)
{
	printf("Usage: tsc-offset vms [OPTIONS] [NAME]\n"
	       "\n"
	       "List the VMs that run on this machine: the name on the VMM's command line (QEMU\n"
	       "and libvirt, Firecracker, Cloud Hypervisor, crosvm, kvmtool), the process, the\n"
	       "vsock, whether a trace-cmd agent answers, and the age; for each vCPU the thread,\n"
	       "the TSC offset, and whether its TSC is scaled or protected.\n"
	       "tsc-offset record -A NAME records a VM by its name. For libvirt, this is the\n"
	       "name of the domain.\n"
	       "\n"
	       "NAME is a VM's name, its process, or the name that show uses.\n"
	       "\n"
	       "      --no-agent   do not connect to guests to see whether agents answer\n"
	       "      --port PORT  the vsock port at which agents listen (default: %u)\n"
	       "      --json       print one JSON object\n"
	       "  -h, --help\n"
	       "\n"
	       "Without root, only the VMs of the same user are listed, without offsets.\n"
	       "\n"
	       "Exit status: %d done, %d failed or no such VM, %d wrong usage, %d done, but VMs or\n"
	       "offsets may be missing\n",
	       AGENT_PORT, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static size_t nr_wanted(const struct running_vms *vms, const char *name)
{
	size_t nr = 0;

	for (size_t i = 0; i < vms->nr; i++)
		nr += !name || running_vm_is_called(&vms->vms[i], name);
	return nr;
}

static void say_none(const struct request *request)
{
	_cleanup_(freep) char *name = request->name ? sanitized(request->name) : NULL;

	if (request->name)
		message("no VM '%s' runs on this machine; see 'tsc-offset vms'", name ? name : "");
	else
		message("no VM runs on this machine");
}

static enum exit_status show(struct running_vms *vms, const struct request *request)
{
	bool found = nr_wanted(vms, request->name);
	int ret = 0;

	if (!request->no_agent)
		ret = running_vms_ask(vms, (unsigned int)request->port, AGENT_TIMEOUT_MS);
	if (!ret && request->json && (found || !request->name))
		ret = vms_json_write(vms, request->name, stdout);
	else if (!ret && found)
		ret = vms_table_write(vms, request->name, stdout);
	if (ret) {
		message("%s", strerror(-ret));
		return EXIT_FAILED;
	}
	/* Messages come after the table */
	fflush(stdout);
	findings_print(&vms->findings);
	if (!found)
		say_none(request);
	if (!found && request->name)
		return EXIT_FAILED;
	return vms->complete ? EXIT_DONE : EXIT_INCOMPLETE;
}

static enum exit_status run(int argc, char **argv)
{
	struct request request = { .port = AGENT_PORT };
	const struct verb_options options = {
		.verb = "vms", .operands = { "NAME" },
		.options = {
			{ "no-agent", .flag = &request.no_agent, .excludes = "port" },
			{ "port", .number = &request.port, .min = 1, .max = UINT32_MAX - 1,
			  .wants = "the number of a vsock port" },
			{ "json", .flag = &request.json },
			{ "help", 'h', .print = print_help },
		},
	};
	enum exit_status status;
	struct running_vms vms;
	int ret;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	request.name = argv[0];
	ret = running_vms_read(&vms);
	if (ret)
		message("cannot read this machine's VMs: %s", strerror(-ret));
	status = ret ? EXIT_FAILED : show(&vms, &request);
	running_vms_release(&vms);
	return status;
}

const struct verb vms_verb = {
	.name		= "vms",
	.summary	= "list the running VMs with their names, agents and offsets",
	.run		= run,
};
