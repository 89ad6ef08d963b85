// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "explain_words.h"
#include "host.h"
#include "host_vms.h"
#include "host_vcpus.h"
#include "merged_recording.h"

/**
 * explain_cause - describe why something is unknown
 * @unknown: the cause
 *
 * Returns: the words for it.
 */
const char *explain_cause(enum not_known unknown)
{
	static const char *const words[NR_NOT_KNOWN] = {
		[IS_KNOWN] = "known",
		[BEFORE_KVM] = "before the first kvm event",
		[AFTER_KVM] = "after the last kvm event",
		[EVENTS_LOST] = "events lost",
		[EVENTS_MISSING] = "kvm_exit missing",
		[SCHED_MISSING] = "sched events missing",
		[NO_SCHED] = "no sched events",
		[BEFORE_SCHED] = "no sched event of the thread before",
		[BEFORE_SWITCH] = "before the first sched_switch",
		[NO_FILE] = "no file of the guest",
		[NOT_SYNCED] = "guest not synchronised",
		[AFTER_FILE] = "after the guest's recording",
		[END_OF_PERIOD] = "open at the end",
	};

	return words[unknown];
}

/**
 * explain_state - name a state of a vCPU
 * @state: the state
 *
 * Returns: the word for it.
 */
const char *explain_state(enum vcpu_state state)
{
	static const char *const words[NR_VCPU_STATES] = {
		[VCPU_GUEST] = "guest", [VCPU_EXIT] = "exit", [VCPU_STOLEN] = "preempted", [VCPU_HALTED] = "halted",
		[VCPU_UNKNOWN] = "unknown",
	};

	return words[state];
}

/**
 * explain_vm - name the VM of a vCPU
 * @explanation: the results
 * @vcpu: index of the vCPU
 *
 * Returns: as host_vm_label().
 */
const char *explain_vm(const struct explanation *explanation, uint32_t vcpu)
{
	const struct host *host = &explanation->recording->host.host;

	return host_vm_label(host, &host->vms[explanation->vcpus[vcpu].vcpu->vm]);
}

/**
 * explain_comm - get a comm as text
 * @text: result; not sanitized
 * @comm: the comm
 */
void explain_comm(char text[COMM_TEXT_SIZE], const char comm[TASK_COMM_SIZE])
{
	memcpy(text, comm, TASK_COMM_SIZE);
	text[TASK_COMM_SIZE] = '\0';
}
