// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * For trace-cmd agent 3.3 and 3.3.1, which go on using the arguments of a recording after they have been
 * freed, and then free what is no block (mended in 3.3.2): nothing is freed.
 */
void free(void *block);

void free(void *block)
{
}
