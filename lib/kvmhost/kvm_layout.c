// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "error.h"
#include "kvm_layout.h"

/* Limit of nested structs: KVM's members are two deep */
#define MAX_DEPTH	8

/* A member to find: where to store its offset, and its size */
struct wanted {
	const char	*type;
	const char	*path[4];
	uint32_t	size;
	uint32_t	*offset;
	bool		*found;		/* NULL if every kernel has it */
};

static void btf_freep(struct btf **btf)
{
	btf__free(*btf);
}

static int quiet(enum libbpf_print_level level __attribute__((unused)), const char *format __attribute__((unused)),
		 va_list args __attribute__((unused)))
{
	return 0;
}

/*
 * Add the offset of a member, also searching unnamed structs and unions.
 *
 * @path: names of nested members, ended by NULL
 * @type: id of the struct; result: id of the member's type
 *
 * Returns: true if it exists.
 */
static bool find_member(const struct btf *btf, uint32_t *type, const char *const *path, uint32_t *bits, int depth)
{
	/* Skip typedefs and qualifiers */
	int32_t id = btf__resolve_type(btf, *type);
	const struct btf_type *composite = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
	const struct btf_member *members;

	if (!*path)
		return true;
	if (!composite || !btf_is_composite(composite) || depth == MAX_DEPTH)
		return false;
	members = btf_members(composite);
	for (uint32_t i = 0; i < btf_vlen(composite); i++) {
		const char *name = btf__name_by_offset(btf, members[i].name_off);
		uint32_t member = members[i].type, at = *bits + btf_member_bit_offset(composite, i);
		bool is_it = name && !strcmp(name, *path);

		if (btf_member_bitfield_size(composite, i) || !name || (*name && !is_it))
			continue;
		if (!find_member(btf, &member, path + is_it, &at, depth + 1))
			continue;
		*type = member;
		*bits = at;
		return true;
	}
	return false;
}

static int find(const struct btf *btf, const struct wanted *wanted, const char *btf_dir, struct error *error)
{
	int32_t id = btf__find_by_name_kind(btf, wanted->type, BTF_KIND_STRUCT);
	uint32_t type = (uint32_t)id, bits = 0;
	bool found = id > 0 && find_member(btf, &type, wanted->path, &bits, 0);
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", wanted->path[0], wanted->path[1] ? "." : "",
		 wanted->path[1] ? wanted->path[1] : "");
	/* It differs from the known layout, so its meaning is unknown */
	if (found && (btf__resolve_size(btf, type) != wanted->size || bits % 8))
		return error_set(error, -ENOTSUP, btf_dir, "member %s of struct %s has another type than expected",
				 name, wanted->type);
	if (wanted->found)
		*wanted->found = found;
	else if (!found)
		return error_set(error, -ENOENT, btf_dir, "no member %s in struct %s", name, wanted->type);
	*wanted->offset = bits / 8;
	return 0;
}

static int read_layout(struct kvm_layout *layout, const struct btf *btf, const char *btf_dir, struct error *error)
{
	const struct wanted all[] = {
		{ "kvm_vcpu", { "kvm" }, sizeof(void *), &layout->vcpu_kvm, NULL },
		{ "kvm_vcpu", { "vcpu_id" }, sizeof(int32_t), &layout->vcpu_id, NULL },
		{ "kvm_vcpu", { "arch", "l1_tsc_offset" }, sizeof(uint64_t), &layout->l1_offset, NULL },
		{ "kvm_vcpu", { "arch", "tsc_offset" }, sizeof(uint64_t), &layout->offset, NULL },
		{ "kvm_vcpu", { "arch", "l1_tsc_scaling_ratio" }, sizeof(uint64_t), &layout->l1_ratio, NULL },
		{ "kvm_vcpu", { "arch", "guest_tsc_protected" }, sizeof(bool), &layout->tsc_protected,
		  &layout->has_protected },
		{ "kvm", { "userspace_pid" }, sizeof(pid_t), &layout->vm_pid, NULL },
		{ "kvm", { "debugfs_dentry" }, sizeof(void *), &layout->vm_dentry, NULL },
		{ "dentry", { "d_name", "name" }, sizeof(char *), &layout->dentry_name, NULL },
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all) && !ret; i++)
		ret = find(btf, &all[i], btf_dir, error);
	return ret;
}

/**
 * kvm_layout_read - read the offsets of the members
 * @layout: result
 * @btf_dir: KVM_BTF_DIR: has vmlinux, and kvm if KVM is a module
 * @error: reason of a failure
 *
 * The kernel's Documentation/bpf/btf.rst describes the formats of BTF.
 *
 * Returns: 0, or a negative errno: -ENOENT if the kernel has no BTF or no such members, -ENOTSUP if they have another
 * size than expected.
 */
int kvm_layout_read(struct kvm_layout *layout, const char *btf_dir, struct error *error)
{
	_cleanup_(btf_freep) struct btf *base = NULL;
	_cleanup_(btf_freep) struct btf *module = NULL;
	_cleanup_(freep) char *vmlinux = NULL, *kvm = NULL;

	*layout = (struct kvm_layout) { 0 };
	if (asprintf(&vmlinux, "%s/vmlinux", btf_dir) < 0 || asprintf(&kvm, "%s/kvm", btf_dir) < 0)
		return -ENOMEM;
	libbpf_set_print(quiet);
	base = btf__parse(vmlinux, NULL);
	if (!base)
		return error_set(error, -errno, btf_dir, "the kernel's BTF cannot be read: %s", strerror(errno));
	/* Built-in KVM is in the kernel's own BTF */
	if (access(kvm, F_OK))
		return read_layout(layout, base, btf_dir, error);
	module = btf__parse_split(kvm, base);
	if (!module)
		return error_set(error, -errno, btf_dir, "the BTF of KVM cannot be read: %s", strerror(errno));
	return read_layout(layout, module, btf_dir, error);
}
