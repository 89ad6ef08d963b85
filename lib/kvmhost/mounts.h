/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Mount points of the kernel's own file systems, found without side effects. libtracefs mounts what it searches for,
 * and a look-up of <debugfs>/tracing makes the kernel mount tracefs there.
 */
#ifndef TSC_OFFSET_MOUNTS_H
#define TSC_OFFSET_MOUNTS_H

int find_mount(const char *type, char **dir);

#endif /* TSC_OFFSET_MOUNTS_H */
