/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A VM's name and vsock by its VMM's command line. Any process can have any command line: these are only claims.
 */
#ifndef TSC_OFFSET_VMM_COMMAND_LINE_H
#define TSC_OFFSET_VMM_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct vmm_command_line - a parsed command line
 * @vmm: its VMM; NULL if unknown
 * @program: file name of the program, or NULL; owned
 * @name: name of the VM, or NULL; owned
 * @has_cid: @cid is valid
 * @cid: CID of the VM's vsock
 * @hybrid: the vsock of this VMM is a UNIX socket on the host, and the host does not use @cid
 * @socket: path of that socket, NULL if not given; owned
 * @api_socket: path of the UNIX socket of the VMM's API, NULL if not given; owned
 * @config_file: path of a configuration file, or NULL; owned
 *
 * Texts are as in the process and can have any character but NUL. Relative paths start at the process's working
 * directory, and all paths are in its root directory.
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
