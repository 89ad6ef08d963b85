// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "cleanup.h"
#include "vm_process.h"
#include "vmm_command_line.h"

/**
 * vm_process_exists - does a process or thread exist?
 * @tid: its number
 *
 * Returns: true if so, also for a zombie.
 */
bool vm_process_exists(pid_t tid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", tid);
	return !access(path, F_OK);
}

/**
 * vm_process_has_thread - does a thread belong to a process?
 * @pid: the process
 * @tid: the thread
 *
 * Returns: true if so.
 */
bool vm_process_has_thread(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return !access(path, F_OK);
}

/**
 * vm_process_of_thread - find the process of a thread
 * @tid: the thread
 *
 * Returns: the process, or 0 if the thread has ended.
 */
pid_t vm_process_of_thread(pid_t tid)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_(freep) char *line = NULL;
	size_t capacity = 0;
	pid_t pid = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	while (file && getline(&line, &capacity, file) > 0) {
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			return pid;
	}
	return 0;
}

#define KVM_VM	"anon_inode:kvm-vm"

/* No file has this name: files have a path, which begins with a slash */
static bool is_vm(const char *path)
{
	char target[64];
	ssize_t size = readlink(path, target, sizeof(target));

	return size == strlen(KVM_VM) && !memcmp(target, KVM_VM, size);
}

/* From include/linux/miscdevice.h. In its own mount namespace, a process can give any file the device's name. */
#define MISC_MAJOR		10
#define VHOST_VSOCK_MINOR	241

/* AT_STATX_DONT_SYNC: do not query a user's file system (FUSE), which might never answer */
static bool is_vhost_vsock(const char *path)
{
	struct statx stat;

	return !statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stat) &&
	       S_ISCHR(stat.stx_mode) && stat.stx_rdev_major == MISC_MAJOR &&
	       stat.stx_rdev_minor == VHOST_VSOCK_MINOR;
}

/* Number of file descriptors of a kind */
static size_t count_fds(pid_t pid, bool (*is_one)(const char *path))
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	size_t found = 0;
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		found += is_one(path);
	}
	return found;
}

/**
 * vm_process_has_vm - is a file descriptor of a process a KVM VM?
 * @pid: the process
 * @fd: the descriptor's number in it
 *
 * Returns: true if so; false also without permission.
 */
bool vm_process_has_vm(pid_t pid, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return is_vm(path);
}

/**
 * vm_process_nr_vms - count the KVM VMs of a process
 * @pid: the process
 *
 * Returns: the number of its file descriptors that are VMs; 0 also without permission.
 */
size_t vm_process_nr_vms(pid_t pid)
{
	return count_fds(pid, is_vm);
}

/**
 * vm_process_of_event - find the process whose VM an event belongs to
 * @tid: the thread that wrote it, usually the vCPU's
 * @vm_pid, @vm_fd: the VM as the event names it, 0 and -1 if it does not
 *
 * The name counts more than the thread, which may belong to another process. But the creator of the VM may have ended.
 *
 * Returns: the process now; 0 if it has ended, or if it does not have that VM any more. If the event does not name the
 * VM, the process may have none, see vm_process_nr_vms(): the number of the thread may belong to another process's
 * thread now.
 */
pid_t vm_process_of_event(pid_t tid, pid_t vm_pid, int vm_fd)
{
	bool named = vm_pid && vm_fd >= 0;
	pid_t pid = named ? vm_process_of_thread(vm_pid) : 0;

	if (pid && vm_process_has_vm(pid, vm_fd))
		return pid;
	pid = vm_process_of_thread(tid);
	return !named || (pid && vm_process_has_vm(pid, vm_fd)) ? pid : 0;
}

/* Does a process's command line have a vsock CID? */
static bool named_cid(pid_t pid, unsigned int *cid)
{
	_cleanup_(vmm_command_line_release) struct vmm_command_line line;

	if (vmm_command_line_read(&line, pid) || !line.has_cid)
		return false;
	*cid = line.cid;
	return true;
}

/**
 * vm_process_has_vsock - does a process have a vhost-vsock device?
 * @pid: the process
 *
 * Returns: true if so; false also without permission.
 */
bool vm_process_has_vsock(pid_t pid)
{
	return count_fds(pid, is_vhost_vsock);
}

/**
 * vm_process_may_have_cid - can a process's VM have this vsock CID?
 * @pid: the process
 * @cid: the CID
 *
 * Returns: false if it has no VM or no vhost-vsock device, or if its command line has another CID.
 */
bool vm_process_may_have_cid(pid_t pid, unsigned int cid)
{
	unsigned int named;

	return pid > 0 && vm_process_nr_vms(pid) && vm_process_has_vsock(pid) &&
	       (!named_cid(pid, &named) || named == cid);
}

/**
 * vm_process_by_cid - find the process of the VM with a vsock CID
 * @cid: the CID
 * @pid: result
 *
 * The kernel does not report the owner of a CID. A process qualifies if it may have the CID; if one has it on its
 * command line, that one is used. Any user with access to both devices can run such a process, so if two have the CID
 * on their command lines, neither is used.
 *
 * Returns: 0, -ENOENT if none qualifies, -EEXIST if several do.
 */
int vm_process_by_cid(unsigned int cid, pid_t *pid)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;
	int naming = 0, others = 0;

	while (dir && (entry = readdir(dir))) {
		pid_t candidate = atoi(entry->d_name);
		unsigned int named;

		if (!vm_process_may_have_cid(candidate, cid))
			continue;
		if (named_cid(candidate, &named))
			naming++;
		else if (naming)
			continue;
		else
			others++;
		*pid = candidate;
	}
	if (naming)
		return naming > 1 ? -EEXIST : 0;
	return !others ? -ENOENT : others > 1 ? -EEXIST : 0;
}

static bool can_open(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 || (errno != EACCES && errno != EPERM);
}

/**
 * vm_process_list - find all processes that have a VM
 * @pids: result: to be freed, also after an error
 * @nr: result: number of @pids
 * @all: result: false if some processes cannot be inspected without more permissions
 *
 * Returns: 0 or a negative errno.
 */
int vm_process_list(pid_t **pids, size_t *nr, bool *all)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t capacity = 0;

	*pids = NULL;
	*nr = 0;
	*all = true;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);
		char path[64];

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
		*all &= can_open(path);
		if (!vm_process_nr_vms(pid))
			continue;
		if (array_reserve(*pids, *nr, capacity))
			return -ENOMEM;
		(*pids)[(*nr)++] = pid;
	}
	return 0;
}

/* In clock ticks since the begin of CLOCK_BOOTTIME; 0 if it has ended */
static uint64_t start_ticks(pid_t pid)
{
	_cleanup_(fclosep) FILE *file = NULL;
	unsigned long long ticks = 0;
	char path[64], line[4096];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return 0;
	/* The name in parentheses can have parentheses and blanks itself */
	end = strrchr(line, ')');
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			   &ticks) != 1)
		return 0;
	return ticks;
}

/**
 * vm_process_age - get the age of a process
 * @pid: the process
 * @seconds: result: age in seconds
 *
 * Returns: 0 or -ENOENT if it has ended.
 */
int vm_process_age(pid_t pid, uint64_t *seconds)
{
	uint64_t ticks = start_ticks(pid), started;
	struct timespec now;

	if (!ticks || clock_gettime(CLOCK_BOOTTIME, &now))
		return -ENOENT;
	started = ticks / (uint64_t)sysconf(_SC_CLK_TCK);
	*seconds = (uint64_t)now.tv_sec > started ? (uint64_t)now.tv_sec - started : 0;
	return 0;
}

/**
 * vm_process_path - make the path by which this process finds another process's file
 * @path: result: to be freed
 * @pid: the process
 * @name: path of the file in that process, from its root or its working directory
 *
 * Returns: 0 or -ENOMEM.
 */
int vm_process_path(char **path, pid_t pid, const char *name)
{
	if (asprintf(path, "/proc/%d/%s/%s", pid, *name == '/' ? "root" : "cwd", name) >= 0)
		return 0;
	*path = NULL;
	return -ENOMEM;
}
