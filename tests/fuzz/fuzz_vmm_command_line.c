// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Command lines of any words: nothing after them is read, and all results lie within them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm_command_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size)
{
	if (text && (!*text || strlen(text) > size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_command_line line;
	char *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	if (vmm_command_line_parse(&line, copy, size))
		abort();
	free(copy);
	check(line.name, size);
	check(line.socket, size);
	check(line.config_file, size);
	if (line.has_cid != (line.cid > 2) || line.cid == UINT32_MAX || (line.vmm && !*line.program))
		abort();
	vmm_command_line_release(&line);
	return 0;
}
