/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What a trace.dat says of the machine that it is of. */
#ifndef TSC_OFFSET_MACHINE_INFO_H
#define TSC_OFFSET_MACHINE_INFO_H

struct trace_dat;

/* uname(2) has no longer ones */
#define MACHINE_INFO_SIZE	80

/**
 * struct machine_info - a machine
 * @name: what it is called
 * @sysname, @release, @machine: as uname(2) has them
 */
struct machine_info {
	char	name[4 * MACHINE_INFO_SIZE];
	char	sysname[MACHINE_INFO_SIZE];
	char	release[MACHINE_INFO_SIZE];
	char	machine[MACHINE_INFO_SIZE];
};

void machine_info_read(struct machine_info *info, const struct trace_dat *dat, const char *guest_name);

#endif /* TSC_OFFSET_MACHINE_INFO_H */
