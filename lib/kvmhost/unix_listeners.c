// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "any.h"
#include "array.h"
#include "cleanup.h"
#include "unix_listeners.h"

/* __SO_ACCEPTCON of the kernel's include/linux/net.h, and SOCK_STREAM */
#define LISTENS		0x10000
#define STREAM		1

/**
 * struct inodes - the sockets of a process
 * @inodes: their numbers; owned
 * @nr: number of @inodes
 */
struct inodes {
	unsigned long	*inodes;
	size_t		nr;
};

static int read_inodes(struct inodes *inodes, pid_t pid)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	size_t capacity = 0;
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char target[64];
		unsigned long inode;
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		size = readlink(path, target, sizeof(target) - 1);
		if (size < 0)
			continue;
		target[size] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		if (array_reserve(inodes->inodes, inodes->nr, capacity))
			return -ENOMEM;
		inodes->inodes[inodes->nr++] = inode;
	}
	return 0;
}

static bool has_inode(const struct inodes *inodes, unsigned long inode)
{
	return any_of(i, inodes->nr, inodes->inodes[i] == inode);
}

/*
 * Parses a line "Num: RefCount Protocol Flags Type St Inode Path". Returns: the path of a listener of these, or NULL.
 */
static const char *listener_of_line(char *line, const struct inodes *inodes)
{
	unsigned long inode;
	unsigned int flags, type;
	int path = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%*s %*x %*x %x %x %*x %lu %n", &flags, &type, &inode, &path) != 3 || !path || !line[path])
		return NULL;
	/* An abstract address begins with an @ */
	if (!(flags & LISTENS) || type != STREAM || line[path] == '@' || !has_inode(inodes, inode))
		return NULL;
	return line + path;
}

/**
 * unix_listeners_other - find the UNIX socket at which a process listens, other than a known one
 * @path: result: its path as the process set it, to be freed
 * @pid: the process
 * @known: path of the known one, NULL without
 *
 * Returns: 0, -ENOENT without one, -EEXIST if there are several, or another negative errno.
 */
int unix_listeners_other(char **path, pid_t pid, const char *known)
{
	_cleanup_(fclosep) FILE *file = NULL;
	_cleanup_(freep) char *line = NULL;
	struct inodes inodes = { 0 };
	_cleanup_(freep) char *found = NULL;
	size_t capacity = 0;
	char name[64];
	int ret;

	ret = read_inodes(&inodes, pid);
	snprintf(name, sizeof(name), "/proc/%d/net/unix", pid);
	if (!ret)
		file = fopen(name, "re");
	if (!ret && !file)
		ret = -errno;
	while (!ret && getline(&line, &capacity, file) > 0) {
		const char *listener = listener_of_line(line, &inodes);

		if (!listener || (known && !strcmp(listener, known)))
			continue;
		if (found)
			ret = -EEXIST;
		else if (!(found = strdup(listener)))
			ret = -ENOMEM;
	}
	free(inodes.inodes);
	if (ret || !found)
		return ret ? ret : -ENOENT;
	*path = found;
	found = NULL;
	return 0;
}
