// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <mntent.h>
#include <string.h>

#include "cleanup.h"
#include "mounts.h"

static void endmntentp(FILE **mounts)
{
	if (*mounts)
		endmntent(*mounts);
}

/**
 * find_mount - find where a file system is mounted
 * @type: its type: "tracefs", "debugfs"
 * @dir: result: its first mount point, to be freed with free()
 *
 * Returns: 0, -ENODEV if it is not mounted, or -ENOMEM.
 */
int find_mount(const char *type, char **dir)
{
	_cleanup_(endmntentp) FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	while (mounts && (mount = getmntent(mounts))) {
		if (!strcmp(mount->mnt_type, type)) {
			*dir = strdup(mount->mnt_dir);
			return *dir ? 0 : -ENOMEM;
		}
	}
	return -ENODEV;
}
