/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The kernel's functions by address, for events that have an address. libtraceevent has the same with more memory for
 * each function, and searches all of them for each word of a format that is not a number.
 */
#ifndef TSC_OFFSET_KERNEL_SYMBOLS_H
#define TSC_OFFSET_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct tep_handle;

/**
 * struct kernel_symbol - a function
 * @address: its first address
 * @name: place of its name in the text
 */
struct kernel_symbol {
	uint64_t	address;
	uint32_t	name;
};

/**
 * struct kernel_symbols - all functions
 * @text: the text of /proc/kallsyms, with a NUL after each name; owned
 * @symbols: functions in the order of addresses; owned
 * @nr: number of @symbols
 */
struct kernel_symbols {
	char			*text;
	struct kernel_symbol	*symbols;
	size_t			nr;
};

int kernel_symbols_take(struct kernel_symbols *symbols, struct tep_handle *tep, char *text);
void kernel_symbols_release(struct kernel_symbols *symbols);

#endif /* TSC_OFFSET_KERNEL_SYMBOLS_H */
