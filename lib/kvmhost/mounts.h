/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Where the kernel's own file systems are mounted. What only looks asks here: libtracefs mounts what it looks for, and
 * to look for <debugfs>/tracing makes the kernel mount tracefs there.
 */
#ifndef TSC_OFFSET_MOUNTS_H
#define TSC_OFFSET_MOUNTS_H

int find_mount(const char *type, char **dir);

#endif /* TSC_OFFSET_MOUNTS_H */
