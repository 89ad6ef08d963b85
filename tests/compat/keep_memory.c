// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * For trace-cmd agent 3.3 and 3.3.1, which use the arguments of a recording after they have been freed, and then free a
 * pointer that was not allocated (fixed in 3.3.2): free() does nothing.
 */
void free(void *block);

void free(void *block)
{
}
