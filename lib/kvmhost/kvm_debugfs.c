// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "kvm_debugfs.h"
#include "order.h"
#include "vm_process.h"

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return order_of(x, y);
}

/*
 * Offsets are printed as signed, ratios as unsigned numbers: strtoll() would clip a ratio, strtoull()
 * takes both.
 */
static int read_file(const char *path, uint64_t *value)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32], *end;
	ssize_t size;

	if (fd < 0)
		return -errno;
	size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		return -errno;
	text[size] = 0;
	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text)
		return -EBADMSG;
	return 0;
}

static int read_number(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, const char *name,
		       uint64_t *value)
{
	_cleanup_(freep) char *path = NULL;

	if (asprintf(&path, "%s/vcpu%u/%s", vm->path, vcpu_id, name) < 0)
		return -ENOMEM;
	return read_file(path, value);
}

/* The kernel has no such file without our patches, and not while it makes or removes the directory */
static int read_id(struct kvm_debugfs_vm *vm)
{
	_cleanup_(freep) char *path = NULL;
	int ret;

	if (asprintf(&path, "%s/id", vm->path) < 0)
		return -ENOMEM;
	ret = read_file(path, &vm->id);
	return ret == -ENOENT || ret == -EBADMSG ? 0 : ret;
}

/* All vCPUs of a VM's directory, sorted */
static int read_vcpu_ids(struct kvm_debugfs_vm *vm)
{
	_cleanup_(closedirp) DIR *dir = opendir(vm->path);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		unsigned int id;
		uint32_t *ids;
		int end = 0;

		if (sscanf(entry->d_name, "vcpu%u%n", &id, &end) != 1 || entry->d_name[end])
			continue;
		ids = reallocarray(vm->vcpu_ids, vm->nr_vcpus + 1, sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		vm->vcpu_ids = ids;
		ids[vm->nr_vcpus++] = id;
	}
	array_sort(vm->vcpu_ids, vm->nr_vcpus, compare_u32);
	return 0;
}

static bool names_vm(const char *name, pid_t *creator, int *fd)
{
	int end = 0;

	return sscanf(name, "%d-%d%n", creator, fd, &end) == 2 && !name[end];
}

/**
 * kvm_debugfs_process - find the process of a VM
 * @vm: the VM
 *
 * Uses the threads that ran its vCPUs, because the thread that created it may have ended, and its number may belong to
 * another thread.
 *
 * Returns: the process, or 0 if no vCPU has run yet, if all their threads have ended, without permission, or on a
 * kernel that does not show the threads.
 */
pid_t kvm_debugfs_process(const struct kvm_debugfs_vm *vm)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		pid_t tid = kvm_debugfs_thread(vm, vm->vcpu_ids[i]);
		pid_t pid = tid ? vm_process_of_thread(tid) : 0;

		if (pid && vm_process_has_vm(pid, vm->fd))
			return pid;
	}
	return 0;
}

/**
 * kvm_debugfs_list - find the directories of all VMs
 * @vms: result; free with kvm_debugfs_list_free(), also after an error
 * @nr: result: number of VMs
 * @kvm_dir: <debugfs>/kvm
 *
 * Returns: 0 or a negative errno.
 */
int kvm_debugfs_list(struct kvm_debugfs_vm **vms, size_t *nr, const char *kvm_dir)
{
	_cleanup_(closedirp) DIR *dir = opendir(kvm_dir);
	struct dirent *entry;

	*vms = NULL;
	*nr = 0;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct kvm_debugfs_vm vm = { 0 }, *grown;
		int ret;

		if (!names_vm(entry->d_name, &vm.creator, &vm.fd))
			continue;
		grown = reallocarray(*vms, *nr + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*vms = grown;
		if (asprintf(&vm.path, "%s/%s", kvm_dir, entry->d_name) < 0)
			return -ENOMEM;
		ret = read_vcpu_ids(&vm);
		if (!ret)
			ret = read_id(&vm);
		if (!ret) {
			grown[(*nr)++] = vm;
			continue;
		}
		kvm_debugfs_close(&vm);
		/* It may have ended meanwhile */
		if (ret != -ENOENT)
			return ret;
	}
	return 0;
}

/**
 * kvm_debugfs_list_free - free a list of VMs
 * @vms: the list
 * @nr: number of VMs
 */
void kvm_debugfs_list_free(struct kvm_debugfs_vm *vms, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		kvm_debugfs_close(&vms[i]);
	free(vms);
}

/* @by_thread: decide by a thread that exists; otherwise it may be the VM, because its creator has ended */
static bool is_vm_of(const struct kvm_debugfs_vm *vm, pid_t pid, bool by_thread)
{
	pid_t runner;

	if (!vm_process_has_vm(pid, vm->fd))
		return false;
	runner = kvm_debugfs_process(vm);
	if (runner)
		return by_thread && runner == pid;
	return by_thread ? vm_process_has_thread(pid, vm->creator) : !vm_process_exists(vm->creator);
}

static int take_vm_of(struct kvm_debugfs_vm *vm, struct kvm_debugfs_vm *vms, size_t nr, pid_t pid, bool by_thread)
{
	struct kvm_debugfs_vm *found = NULL;

	for (size_t i = 0; i < nr; i++) {
		if (!is_vm_of(&vms[i], pid, by_thread))
			continue;
		if (found)
			return -EEXIST;
		found = &vms[i];
	}
	if (!found)
		return -ENOENT;
	*vm = *found;
	*found = (struct kvm_debugfs_vm) { 0 };
	return 0;
}

/**
 * kvm_debugfs_open - find the directory of a process's VM
 * @vm: result; close with kvm_debugfs_close()
 * @kvm_dir: <debugfs>/kvm
 * @pid: the process
 *
 * The name of the directory has the VM's file descriptor, which the process must have, and the thread that created it.
 * The threads that ran its vCPUs decide which process it belongs to. Without them, the creating thread decides. This
 * may be another than the main thread, and may have ended.
 *
 * Returns: 0, -ENOENT without a VM, -EEXIST if the process has several VMs, or another negative errno.
 */
int kvm_debugfs_open(struct kvm_debugfs_vm *vm, const char *kvm_dir, pid_t pid)
{
	struct kvm_debugfs_vm *vms;
	size_t nr;
	int ret = kvm_debugfs_list(&vms, &nr, kvm_dir);

	*vm = (struct kvm_debugfs_vm) { 0 };
	if (!ret)
		ret = take_vm_of(vm, vms, nr, pid, true);
	if (ret == -ENOENT)
		ret = take_vm_of(vm, vms, nr, pid, false);
	kvm_debugfs_list_free(vms, nr);
	return ret;
}

/**
 * kvm_debugfs_shows_vm - does debugfs have any VM?
 * @kvm_dir: <debugfs>/kvm
 *
 * Returns: true if there is a VM with a vCPU.
 */
bool kvm_debugfs_shows_vm(const char *kvm_dir)
{
	_cleanup_(freep) char *pattern = NULL;
	bool found;
	glob_t vcpus;

	if (asprintf(&pattern, "%s/*-*/vcpu*/tsc-offset", kvm_dir) < 0)
		return false;
	found = !glob(pattern, GLOB_NOSORT, NULL, &vcpus);
	if (found)
		globfree(&vcpus);
	return found;
}

/**
 * kvm_debugfs_age - get the age of a VM
 * @kvm_dir: <debugfs>/kvm
 * @creator, @fd: the VM, as in the name of its directory
 * @seconds: result: age in seconds
 *
 * KVM creates the directory with the VM, and its time does not change later. The time is that of the machine's clock as
 * it was set at that moment.
 *
 * Returns: 0 or a negative errno.
 */
int kvm_debugfs_age(const char *kvm_dir, pid_t creator, int fd, uint64_t *seconds)
{
	_cleanup_(freep) char *path = NULL;
	struct timespec now;
	struct stat made;

	if (asprintf(&path, "%s/%d-%d", kvm_dir, creator, fd) < 0)
		return -ENOMEM;
	if (stat(path, &made))
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	*seconds = now.tv_sec > made.st_mtim.tv_sec ? (uint64_t)(now.tv_sec - made.st_mtim.tv_sec) : 0;
	return 0;
}

/**
 * kvm_debugfs_close - free the members of a VM's directory
 * @vm: reusable afterwards
 */
void kvm_debugfs_close(struct kvm_debugfs_vm *vm)
{
	free(vm->path);
	free(vm->vcpu_ids);
	*vm = (struct kvm_debugfs_vm) { 0 };
}

/* The two ratio files exist only if the hardware scales the TSC */
static int read_scaling(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, const char *name,
			struct tsc_mapping *map)
{
	uint64_t frac_bits = 0;
	int ret = read_number(vm, vcpu_id, name, &map->ratio);

	if (!ret)
		ret = read_number(vm, vcpu_id, "tsc-scaling-ratio-frac-bits", &frac_bits);
	if (ret == -ENOENT) {
		map->ratio = 0;
		ret = 0;
	}
	map->frac_bits = frac_bits <= UINT32_MAX ? frac_bits : UINT32_MAX;
	return ret ? ret : tsc_mapping_valid(map) ? 0 : -EBADMSG;
}

/**
 * kvm_debugfs_thread - get the thread of a vCPU
 * @vm: the VM
 * @vcpu_id: the vCPU
 *
 * Returns: the thread that ran it last; 0 if it has not run yet, or on older kernels, which do not show it.
 */
pid_t kvm_debugfs_thread(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	uint64_t tid = 0;

	return read_number(vm, vcpu_id, "pid", &tid) || tid > INT_MAX ? 0 : (pid_t)tid;
}

/**
 * kvm_debugfs_active - get the active offset and scaling
 * @vm: the VM
 * @vcpu_id: the vCPU
 * @map: result
 *
 * While the vCPU runs a nested guest, the result is not the L1 offset but the sum of both.
 *
 * Returns: 0 or a negative errno.
 */
int kvm_debugfs_active(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	uint64_t offset;
	int ret = read_number(vm, vcpu_id, "tsc-offset", &offset);

	if (ret)
		return ret;
	map->offset = (int64_t)offset;
	return read_scaling(vm, vcpu_id, "tsc-scaling-ratio", map);
}

/**
 * kvm_debugfs_tsc_protected - does debugfs show that a vCPU's TSC is protected?
 * @vm: the VM
 * @vcpu_id: the vCPU
 *
 * Returns: true if a kernel with our patches shows it; others do not show it.
 */
bool kvm_debugfs_tsc_protected(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	uint64_t value = 0;

	return !read_number(vm, vcpu_id, "tsc-protected", &value) && value;
}

/**
 * kvm_debugfs_shows_l1 - does debugfs have L1's offset as well as the active one?
 * @vm: the VM
 *
 * Returns: true on a kernel with our patches; false also if the VM has no vCPU.
 */
bool kvm_debugfs_shows_l1(const struct kvm_debugfs_vm *vm)
{
	uint64_t offset;

	return vm->nr_vcpus && !read_number(vm, vm->vcpu_ids[0], "l1-tsc-offset", &offset);
}

/**
 * kvm_debugfs_l1 - get L1's offset and scaling of a vCPU
 * @vm: the VM
 * @vcpu_id: the vCPU
 * @map: result
 *
 * A kernel with our patches has files for them. On others, the active values are L1's if the vCPU is out of guest mode,
 * which is checked before and after the read.
 *
 * Returns: 0, -EAGAIN if the vCPU runs a nested guest, -EOPNOTSUPP if its TSC is protected, so that the guest's values
 * may differ, or another negative errno.
 */
int kvm_debugfs_l1(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	uint64_t offset, guest_mode;
	int ret;

	if (kvm_debugfs_tsc_protected(vm, vcpu_id))
		return -EOPNOTSUPP;
	ret = read_number(vm, vcpu_id, "l1-tsc-offset", &offset);
	if (!ret) {
		map->offset = (int64_t)offset;
		return read_scaling(vm, vcpu_id, "l1-tsc-scaling-ratio", map);
	}

	ret = read_number(vm, vcpu_id, "guest_mode", &guest_mode);
	/* Kernels before 5.17 do not show it */
	if (ret == -ENOENT)
		return kvm_debugfs_active(vm, vcpu_id, map);
	if (!ret && !guest_mode)
		ret = kvm_debugfs_active(vm, vcpu_id, map);
	if (!ret && !guest_mode)
		ret = read_number(vm, vcpu_id, "guest_mode", &guest_mode);
	return ret ? ret : guest_mode ? -EAGAIN : 0;
}
