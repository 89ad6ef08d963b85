/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the command line of a VMM says of its VM: the name that users know it by, and its vsock device. Any process can
 * have any command line: it is only what the process claims.
 */
#ifndef TSC_OFFSET_VMM_COMMAND_LINE_H
#define TSC_OFFSET_VMM_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct vmm_command_line - a command line that was read
 * @vmm: which VMM it is of; NULL if it is none that is known
 * @program: file name of the program, NULL without one; owned
 * @name: of the VM, NULL without one; owned
 * @has_cid: the VM's vsock has an address
 * @cid: that address
 * @hybrid: the vsock of this VMM is a UNIX socket on the host, and the host does not use @cid
 * @socket: path of that socket, NULL if it does not say it; owned
 * @api_socket: path of the UNIX socket on which the VMM takes commands, NULL if it does not say it; owned
 * @config_file: path of a file that says more, NULL without; owned
 *
 * Texts are as the process has them: they may have any character but zero. Relative paths are from the process's
 * working directory, and all are in its own root directory.
 */
struct vmm_command_line {
	const char	*vmm;
	char		*program;
	char		*name;
	bool		has_cid;
	uint32_t	cid;
	bool		hybrid;
	char		*socket;
	char		*api_socket;
	char		*config_file;
};

int vmm_command_line_parse(struct vmm_command_line *line, const char *text, size_t size);
int vmm_command_line_read(struct vmm_command_line *line, pid_t pid);
void vmm_command_line_release(struct vmm_command_line *line);

#endif /* TSC_OFFSET_VMM_COMMAND_LINE_H */
