// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * parallel-port: copy stdin to the first parallel port, as to a printer.
 *
 * The fast way out of an emulated machine without network and shared directories: three port writes for each byte, and
 * no baud rate. The emulator writes the output to a file outside.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#define DATA		0x378
#define STATUS		0x379
#define CONTROL		0x37a

/* Bits of CONTROL. INIT is active low: while it is set, the printer works. */
#define STROBE		0x01
#define INIT		0x04
#define SELECT		0x08

static int fail(const char *what)
{
	fprintf(stderr, "parallel-port: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(void)
{
	unsigned char bytes[4096];
	ssize_t len;

	if (ioperm(DATA, 3, 1))
		return fail("ioperm");
	outb(SELECT | INIT, CONTROL);
	/* Reading it ends the printer's initialisation */
	inb(STATUS);
	while ((len = read(0, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < len; i++) {
			outb(bytes[i], DATA);
			outb(SELECT | INIT | STROBE, CONTROL);
			outb(SELECT | INIT, CONTROL);
		}
	}
	return len ? fail("stdin") : 0;
}
