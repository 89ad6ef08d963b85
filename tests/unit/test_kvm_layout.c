// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* BTF like a kernel's, written with libbpf: with KVM in the kernel, and with KVM as a module. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "error.h"
#include "kvm_layout.h"

static char dir[] = "/tmp/test_kvm_layout.XXXXXX";

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static void write_btf(const char *name, const struct btf *btf)
{
	char path[64];
	uint32_t size;
	const void *data = btf__raw_data(btf, &size);
	FILE *file;

	path_of(path, sizeof(path), name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void remove_btf(const char *name)
{
	char path[64];

	path_of(path, sizeof(path), name);
	unlink(path);
}

/* Ids of the types that are written, and the faults to make */
struct made {
	int	u64, s32, u8, pointer;
	int	dentry, arch;
	size_t	ratio_size;
	bool	no_ratio;
	bool	has_protected;
};

static void add_scalars(struct btf *btf, struct made *made)
{
	made->u64 = btf__add_int(btf, "unsigned long long", 8, 0);
	made->s32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	made->u8 = btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL);
	made->pointer = btf__add_ptr(btf, 0);
}

/* d_name is in an anonymous union, as in Linux 6.13 and later */
static void add_dentry(struct btf *btf, const struct made *made)
{
	int qstr, both;

	qstr = btf__add_struct(btf, "qstr", 16);
	btf__add_field(btf, "hash_len", made->u64, 0, 0);
	btf__add_field(btf, "name", made->pointer, 64, 0);
	both = btf__add_union(btf, "", 16);
	btf__add_field(btf, "d_name", qstr, 0, 0);
	btf__add_struct(btf, "dentry", 64);
	btf__add_field(btf, "d_flags", made->s32, 0, 0);
	btf__add_field(btf, NULL, both, 32 * 8, 0);
}

static void add_kvm(struct btf *btf, struct made *made)
{
	int pid = btf__add_typedef(btf, "pid_t", made->s32);
	int ratio = made->ratio_size == 4 ? made->s32 : made->u64;

	made->arch = btf__add_struct(btf, "kvm_vcpu_arch", 128);
	btf__add_field(btf, "l1_tsc_offset", made->u64, 64, 0);
	btf__add_field(btf, "tsc_offset", made->u64, 128, 0);
	if (!made->no_ratio)
		btf__add_field(btf, "l1_tsc_scaling_ratio", ratio, 192, 0);
	if (made->has_protected)
		btf__add_field(btf, "guest_tsc_protected", made->u8, 256, 0);
	btf__add_struct(btf, "kvm_vcpu", 512);
	btf__add_field(btf, "kvm", made->pointer, 0, 0);
	btf__add_field(btf, "vcpu_id", made->s32, 36 * 8, 0);
	btf__add_field(btf, "arch", made->arch, 100 * 8, 0);
	btf__add_struct(btf, "kvm", 4096);
	btf__add_field(btf, "userspace_pid", pid, 1000 * 8, 0);
	btf__add_field(btf, "debugfs_dentry", made->pointer, 2000 * 8, 0);
}

/* KVM in the kernel itself */
static void make_built_in(struct made *made)
{
	struct btf *btf = btf__new_empty();

	add_scalars(btf, made);
	add_dentry(btf, made);
	add_kvm(btf, made);
	write_btf("vmlinux", btf);
	btf__free(btf);
}

static void assert_layout(const struct kvm_layout *layout)
{
	assert_int_equal(layout->vcpu_kvm, 0);
	assert_int_equal(layout->vcpu_id, 36);
	assert_int_equal(layout->l1_offset, 108);
	assert_int_equal(layout->offset, 116);
	assert_int_equal(layout->l1_ratio, 124);
	assert_int_equal(layout->vm_pid, 1000);
	assert_int_equal(layout->vm_dentry, 2000);
	assert_int_equal(layout->dentry_name, 40);
}

static void test_built_in(void **state)
{
	struct kvm_layout layout;
	struct error error = { 0 };
	struct made made = { .ratio_size = 8 };

	make_built_in(&made);
	assert_int_equal(kvm_layout_read(&layout, dir, &error), 0);
	assert_layout(&layout);
	assert_false(layout.has_protected);
	made.has_protected = true;
	make_built_in(&made);
	assert_int_equal(kvm_layout_read(&layout, dir, &error), 0);
	assert_layout(&layout);
	assert_true(layout.has_protected);
	assert_int_equal(layout.tsc_protected, 132);
	remove_btf("vmlinux");
}

/* KVM as a module: its type ids continue the kernel's */
static void test_module(void **state)
{
	struct btf *base = btf__new_empty(), *split;
	struct made made = { .ratio_size = 8 };
	struct kvm_layout layout;
	struct error error = { 0 };

	add_scalars(base, &made);
	add_dentry(base, &made);
	write_btf("vmlinux", base);
	split = btf__new_empty_split(base);
	add_kvm(split, &made);
	write_btf("kvm", split);
	assert_int_equal(kvm_layout_read(&layout, dir, &error), 0);
	assert_layout(&layout);
	/* Without the module there is no KVM */
	remove_btf("kvm");
	assert_int_equal(kvm_layout_read(&layout, dir, &error), -ENOENT);
	assert_non_null(strstr(error.text, "kvm"));
	remove_btf("vmlinux");
	btf__free(split);
	btf__free(base);
}

/* An unexpected layout is not used */
static void test_other_kernel(void **state)
{
	struct made missing = { .ratio_size = 8, .no_ratio = true }, narrow = { .ratio_size = 4 };
	struct kvm_layout layout;
	struct error error = { 0 };

	make_built_in(&missing);
	assert_int_equal(kvm_layout_read(&layout, dir, &error), -ENOENT);
	assert_non_null(strstr(error.text, "l1_tsc_scaling_ratio"));
	error = (struct error) { 0 };
	make_built_in(&narrow);
	assert_int_equal(kvm_layout_read(&layout, dir, &error), -ENOTSUP);
	assert_non_null(strstr(error.text, "arch"));
	remove_btf("vmlinux");
}

/* No BTF, and invalid BTF */
static void test_none(void **state)
{
	struct kvm_layout layout;
	struct error error = { 0 };
	char path[64];
	FILE *file;

	assert_int_equal(kvm_layout_read(&layout, dir, &error), -ENOENT);
	path_of(path, sizeof(path), "vmlinux");
	file = fopen(path, "we");
	fputs("no BTF in here, but long enough for a header", file);
	fclose(file);
	error = (struct error) { 0 };
	assert_true(kvm_layout_read(&layout, dir, &error) < 0);
	assert_int_not_equal(error.code, 0);
	remove_btf("vmlinux");
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built_in),
		cmocka_unit_test(test_module),
		cmocka_unit_test(test_other_kernel),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
