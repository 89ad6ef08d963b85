/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The UNIX sockets at which a process listens. */
#ifndef TSC_OFFSET_UNIX_LISTENERS_H
#define TSC_OFFSET_UNIX_LISTENERS_H

#include <sys/types.h>

int unix_listeners_other(char **path, pid_t pid, const char *known);

#endif /* TSC_OFFSET_UNIX_LISTENERS_H */
