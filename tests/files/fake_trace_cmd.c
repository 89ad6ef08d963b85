// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A program in the place of trace-cmd that tells how it was started. It exports nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

int main(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD");

	printf("secure=%lu\npreload=%s\n", getauxval(AT_SECURE), preload ? preload : "");
	for (int i = 1; i < argc; i++)
		printf("argument=%s\n", argv[i]);
	return 0;
}
