// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * free() does nothing. This is for trace-cmd agent 3.3 and 3.3.1: they use the arguments of a recording after they have
 * freed them, and then free a pointer that was not allocated. trace-cmd 3.3.2 has this fixed.
 */
void free(void *block);

void free(void *block)
{
}
