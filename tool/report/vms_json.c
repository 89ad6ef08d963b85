// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "findings_json.h"
#include "host.h"
#include "host_vms.h"
#include "json_writer.h"
#include "running_vms.h"
#include "show_report.h"
#include "vms_json.h"

static void add_vcpu(struct json_writer *json, const struct host_vm *vm, size_t i)
{
	const struct vcpu_history *vcpu = &vm->history.vcpus[i];
	struct vcpu_now now = show_report_current(vm, i);
	int thread = host_vm_thread(vm, vcpu->vcpu_id);

	json_begin(json, NULL, JSON_OBJECT);
	json_add_uint(json, "vcpu_id", vcpu->vcpu_id);
	json_add_known(json, "thread", thread, (uint64_t)thread);
	if (vcpu->tsc_protected || vcpu->protection_known)
		json_add_bool(json, "tsc_protected", vcpu->tsc_protected);
	else
		json_add_null(json, "tsc_protected");
	if (now.known) {
		json_add_int(json, "offset", now.map.offset);
		json_add_bool(json, "scaled", tsc_mapping_scaled(&now.map));
		json_add_uint(json, "ratio", now.map.ratio);
		json_add_uint(json, "frac_bits", now.map.frac_bits);
	} else {
		json_add_null(json, "offset");
		json_add_null(json, "scaled");
		json_add_null(json, "ratio");
		json_add_null(json, "frac_bits");
	}
	json_end(json);
}

static void add_agent(struct json_writer *json, enum agent_answer answer)
{
	if (answer == AGENT_UNKNOWN)
		json_add_null(json, "agent");
	else
		json_add_bool(json, "agent", answer == AGENT_ANSWERS);
}

static void add_vm(struct json_writer *json, const struct running_vm *vm)
{
	static const char *const vsocks[] = {
		[VSOCK_UNKNOWN] = "unknown", [VSOCK_NONE] = "none", [VSOCK_CID] = "cid", [VSOCK_SOCKET] = "socket",
	};
	const struct vmm_command_line *line = &vm->identity.line;

	json_begin(json, NULL, JSON_OBJECT);
	json_add_text(json, "name", line->name);
	json_add_known(json, "pid", vm->pid, (uint64_t)vm->pid);
	json_add_text(json, "vm", vm->vm ? vm->vm->name : NULL);
	json_add_text(json, "vmm", line->vmm);
	json_add_text(json, "program", line->program);
	json_add_text(json, "vsock", vsocks[vm->identity.vsock]);
	json_add_known(json, "cid", line->has_cid, line->cid);
	json_add_text(json, "socket", line->socket);
	add_agent(json, vm->agent);
	json_add_known(json, "age_seconds", vm->age_known, vm->age);
	json_begin(json, "vcpus", JSON_ARRAY);
	for (size_t i = 0; vm->vm && i < vm->vm->history.nr_vcpus; i++)
		add_vcpu(json, vm->vm, i);
	json_end(json);
	json_end(json);
}

/**
 * vms_json_write - write the running VMs as one JSON object
 * @vms: the VMs
 * @only: name of the VMs to write, NULL for all
 * @file: the output
 *
 * Returns: the result of json_finish().
 */
int vms_json_write(const struct running_vms *vms, const char *only, FILE *file)
{
	struct json_writer json = { .pretty = true };

	json_begin_document(&json);
	json_add_bool(&json, "complete", vms->complete);
	findings_json(&json, &vms->findings);
	json_begin(&json, "vms", JSON_ARRAY);
	for (size_t i = 0; i < vms->nr; i++) {
		if (!only || running_vm_is_called(&vms->vms[i], only))
			add_vm(&json, &vms->vms[i]);
	}
	json_end(&json);
	json_end(&json);
	return json_finish(&json, file);
}
