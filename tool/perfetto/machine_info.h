/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The machine of a trace.dat. */
#ifndef TSC_OFFSET_MACHINE_INFO_H
#define TSC_OFFSET_MACHINE_INFO_H

struct trace_dat;

/* Longest string of uname(2) */
#define MACHINE_INFO_SIZE	80

/**
 * struct machine_info - a machine
 * @name: its name
 * @sysname, @release, @machine: as in uname(2)
 */
struct machine_info {
	char	name[4 * MACHINE_INFO_SIZE];
	char	sysname[MACHINE_INFO_SIZE];
	char	release[MACHINE_INFO_SIZE];
	char	machine[MACHINE_INFO_SIZE];
};

void machine_info_read(struct machine_info *info, const struct trace_dat *dat, const char *guest_name);

#endif /* TSC_OFFSET_MACHINE_INFO_H */
