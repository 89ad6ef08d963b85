// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tracefs.h>

#include "cleanup.h"
#include "error.h"
#include "event.h"
#include "kvm_isa.h"
#include "kvm_layout.h"
#include "kvm_probes.h"
#include "mapping.h"

/*
 * Places of the probes. The first argument is the vCPU, in the last function the VM. At entry of each function, struct
 * kvm_vcpu has the new values. The vendors' functions are members of kvm_x86_ops, so they are never inlined.
 */
static const struct probe {
	const char	*event;
	const char	*function;
	unsigned int	frac_bits;	/* 0: that of this machine's VMX or SVM */
} probes[] = {
	{ TSC_PROBE_OFFSET,	"svm_write_tsc_offset",		TSC_SVM_FRAC_BITS },
	{ TSC_PROBE_OFFSET,	"vmx_write_tsc_offset",		TSC_VMX_FRAC_BITS },
	{ TSC_PROBE_RATIO,	"svm_write_tsc_multiplier",	TSC_SVM_FRAC_BITS },
	{ TSC_PROBE_RATIO,	"vmx_write_tsc_multiplier",	TSC_VMX_FRAC_BITS },
	{ TSC_PROBE_LOAD,	"kvm_arch_vcpu_load",		0 },
	{ TSC_PROBE_VM_END,	"kvm_arch_destroy_vm",		0 },
};

#define NR_PROBES	(sizeof(probes) / sizeof(*probes))

/* Called on a read of a vCPU's tsc-offset in debugfs. Only its address is used, so it is never inlined. */
static const struct probe read_probe = { TSC_READ_EVENT, "vcpu_get_tsc_offset", 0 };

/*
 * Enough bits of the pointer to distinguish VMs of one process, without revealing the randomised location of the
 * kernel's memory, which moves in multiples of 1 GiB. A struct kvm has the size and alignment of pages.
 */
#define VM_NUMBER	"b18@12/64"

/* The first argument of a function, as at its entry */
#define ARGUMENT	"$arg1"

/* What is read of a VM that ends; its directory in debugfs has been removed by then */
static int vm_fields(char **text, const struct kvm_layout *layout)
{
	return asprintf(text, "vm=" ARGUMENT ":" VM_NUMBER " vm_pid=+%" PRIu32 "(" ARGUMENT "):s32",
			layout->vm_pid) < 0 ? -ENOMEM : 0;
}

/* One field of struct kvm_vcpu */
#define FIELD(name, type)	" " name "=+%" PRIu32 "(" ARGUMENT "):" type

static int vcpu_fields(char **text, const struct kvm_layout *layout, unsigned int frac_bits)
{
	_cleanup_(freep) char *vm = NULL, *tsc_protected = NULL;

	if (asprintf(&vm, "+%" PRIu32 "(" ARGUMENT ")", layout->vcpu_kvm) < 0 ||
	    (layout->has_protected &&
	     asprintf(&tsc_protected, FIELD("tsc_protected", "u8"), layout->tsc_protected) < 0))
		return -ENOMEM;
	return asprintf(text,
			"vm=%s:" VM_NUMBER " vm_pid=+%" PRIu32 "(%s):s32 vm_name=+0(+%" PRIu32 "(+%" PRIu32 "(%s))):string"
			FIELD("vcpu_id", "u32") FIELD("l1_offset", "s64") FIELD("offset", "s64")
			FIELD("l1_ratio", "u64") " frac_bits=\\%u:u8%s",
			vm, layout->vm_pid, vm, layout->dentry_name, layout->vm_dentry, vm,
			layout->vcpu_id, layout->l1_offset, layout->offset, layout->l1_ratio, frac_bits,
			tsc_protected ? tsc_protected : "") < 0 ? -ENOMEM : 0;
}

static void dynevent_freep(struct tracefs_dynevent **event)
{
	tracefs_dynevent_free(*event);
}

static void dynevents_freep(struct tracefs_dynevent ***events)
{
	tracefs_dynevent_list_free(*events);
}

/* tracefs_dynevent_get() of libtracefs 1.6 reads past the end of its list */
static struct tracefs_dynevent *find_event(struct tracefs_dynevent **events, const char *name)
{
	for (size_t i = 0; events && events[i]; i++) {
		_cleanup_(freep) char *event = NULL;

		tracefs_dynevent_info(events[i], NULL, &event, NULL, NULL, NULL);
		if (event && !strcmp(event, name))
			return events[i];
	}
	return NULL;
}

/* Another program's event may be in the system as well */
static bool is_ours(struct tracefs_dynevent *event)
{
	_cleanup_(freep) char *name = NULL;

	tracefs_dynevent_info(event, NULL, &name, NULL, NULL, NULL);
	for (size_t i = 0; i < NR_PROBES && name; i++) {
		if (!strcmp(name, probes[i].event))
			return true;
	}
	return false;
}

static bool is_same(struct tracefs_dynevent *event, const char *function, const char *fields)
{
	_cleanup_(freep) char *address = NULL, *format = NULL;

	tracefs_dynevent_info(event, NULL, NULL, NULL, &address, &format);
	return address && format && !strcmp(address, function) && !strcmp(format, fields);
}

static int define(const char *system, const struct probe *probe, const char *fields)
{
	_cleanup_(dynevents_freep) struct tracefs_dynevent **events =
		tracefs_dynevent_get_all(TRACEFS_DYNEVENT_KPROBE, system);
	_cleanup_(dynevent_freep) struct tracefs_dynevent *event = NULL;
	struct tracefs_dynevent *present = find_event(events, probe->event);

	if (present && is_same(present, probe->function, fields))
		return 0;
	/* From an earlier KVM or an earlier version of this project; it stays unchanged while in use */
	if (present && tracefs_dynevent_destroy(present, false))
		return -EBUSY;
	event = tracefs_kprobe_alloc(system, probe->event, probe->function, fields);
	if (!event)
		return errno ? -errno : -ENOMEM;
	return tracefs_dynevent_create(event) ? (errno ? -errno : -EIO) : 0;
}

static int define_at(const struct probe *probe, const struct kvm_layout *layout, unsigned int frac_bits)
{
	_cleanup_(freep) char *fields = NULL;
	int ret = strcmp(probe->event, TSC_PROBE_VM_END) ? vcpu_fields(&fields, layout, frac_bits) :
		  vm_fields(&fields, layout);

	return ret ? ret : define(TSC_PROBE_SYSTEM, probe, fields);
}

static int fail(struct error *error, int ret, const struct probe *probe)
{
	return error_set(error, ret, NULL, "no probe can be put on %s: %s", probe->function, strerror(-ret));
}

/**
 * kvm_probes_define - define the events that do not exist yet
 * @btf_dir: KVM_BTF_DIR
 * @error: reason of a failure
 *
 * All instances have them afterwards, in the system TSC_PROBE_SYSTEM; none is enabled.
 *
 * Returns: 0, or a negative errno; then those that are not in use are removed again.
 */
int kvm_probes_define(const char *btf_dir, struct error *error)
{
	/* The other vendor's functions are not tried: Linux 6.12 returns -EINVAL instead of -ENOENT for them */
	unsigned int frac_bits = kvm_isa_frac_bits();
	struct kvm_layout layout;
	int ret = kvm_layout_read(&layout, btf_dir, error);

	if (ret)
		return ret;
	for (size_t i = 0; i < NR_PROBES && !ret; i++) {
		if (probes[i].frac_bits && probes[i].frac_bits != frac_bits)
			continue;
		ret = define_at(&probes[i], &layout, frac_bits);
		if (ret == -ENOENT && probes[i].frac_bits)
			error_set(error, ret, NULL, "KVM is not loaded");
		else if (ret)
			fail(error, ret, &probes[i]);
	}
	if (ret)
		kvm_probes_remove();
	return ret;
}

/**
 * kvm_probes_remove - remove our events, except those that an instance has enabled
 *
 * Returns: the number of ours that remain.
 */
int kvm_probes_remove(void)
{
	_cleanup_(dynevents_freep) struct tracefs_dynevent **events =
		tracefs_dynevent_get_all(TRACEFS_DYNEVENT_KPROBE, TSC_PROBE_SYSTEM);
	int left = 0;

	for (size_t i = 0; events && events[i]; i++)
		left += is_ours(events[i]) && tracefs_dynevent_destroy(events[i], false);
	return left;
}

/**
 * kvm_probes_define_read - define the event of TSC_READ_SYSTEM if it does not exist
 * @btf_dir: KVM_BTF_DIR
 * @error: reason of a failure
 *
 * Returns: 0 or a negative errno.
 */
int kvm_probes_define_read(const char *btf_dir, struct error *error)
{
	_cleanup_(freep) char *fields = NULL;
	struct kvm_layout layout;
	int ret = kvm_layout_read(&layout, btf_dir, error);

	if (!ret)
		ret = vcpu_fields(&fields, &layout, kvm_isa_frac_bits());
	if (ret)
		return ret;
	ret = define(TSC_READ_SYSTEM, &read_probe, fields);
	return ret ? fail(error, ret, &read_probe) : 0;
}

/**
 * kvm_probes_remove_read - remove that event, unless another process is using it
 */
void kvm_probes_remove_read(void)
{
	_cleanup_(dynevents_freep) struct tracefs_dynevent **events =
		tracefs_dynevent_get_all(TRACEFS_DYNEVENT_KPROBE, TSC_READ_SYSTEM);
	struct tracefs_dynevent *present = find_event(events, TSC_READ_EVENT);

	if (present)
		tracefs_dynevent_destroy(present, false);
}

/**
 * kvm_probes_defined - do the events of kvm_probes_define() exist?
 *
 * Returns: true if the event exists that also reports vCPUs whose offset does not change.
 */
bool kvm_probes_defined(void)
{
	_cleanup_(dynevents_freep) struct tracefs_dynevent **events =
		tracefs_dynevent_get_all(TRACEFS_DYNEVENT_KPROBE, TSC_PROBE_SYSTEM);

	return find_event(events, TSC_PROBE_LOAD);
}
