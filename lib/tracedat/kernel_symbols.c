// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "kernel_symbols.h"
#include "order.h"

/* A kernel has 120,000 to 400,000, with names of up to 511 bytes */
#define MAX_SYMBOLS	(1U << 20)
#define MAX_NAME	511
#define MAX_DIGITS	16
/*
 * Words of formats that can be names of functions: preemptirq's events have _stext, and hardly any other event has one
 */
#define MAX_WORDS	256

/* Names in the computations of formats */
struct words {
	const char	*words[MAX_WORDS];
	size_t		nr;
};

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* @calculated: it is an operand, not one of several texts */
static void find_words(struct words *words, const struct tep_print_arg *arg, bool calculated)
{
	if (!arg || words->nr == MAX_WORDS)
		return;
	switch (arg->type) {
	case TEP_PRINT_ATOM:
		if (calculated && (isalpha((unsigned char)*arg->atom.atom) || *arg->atom.atom == '_'))
			words->words[words->nr++] = arg->atom.atom;
		break;
	case TEP_PRINT_TYPE:
		find_words(words, arg->typecast.item, true);
		break;
	case TEP_PRINT_OP:
		calculated = *arg->op.op != '?' && *arg->op.op != ':';
		find_words(words, arg->op.left, calculated);
		find_words(words, arg->op.right, calculated);
		break;
	default:
		break;
	}
}

static void find_all_words(struct words *words, struct tep_handle *tep)
{
	struct tep_event *event;

	for (int i = 0; (event = tep_get_event(tep, i)); i++) {
		/* Other events are nested too deeply for the search, or malformed */
		if (event->flags & (TEP_EVENT_FL_PRINTRAW | TEP_EVENT_FL_FAILED))
			continue;
		for (const struct tep_print_arg *arg = event->print_fmt.args; arg; arg = arg->next)
			find_words(words, arg, false);
	}
	array_sort(words->words, words->nr, compare_words);
}

/* Returns: the byte after an address, or NULL */
static char *take_address(char *at, uint64_t *address)
{
	char *start = at;

	for (*address = 0; isxdigit((unsigned char)*at) && at - start < MAX_DIGITS; at++)
		*address =
			*address << 4 | (uint64_t)(isdigit((unsigned char)*at) ? *at - '0' : (*at | 0x20) - 'a' + 10);
	return at > start && *at == ' ' ? at + 1 : NULL;
}

/* "ffffffff810001c8 T name", sometimes followed by a tab and "[module]". Returns: false for a line of another form. */
static bool take_line(struct kernel_symbols *symbols, struct tep_handle *tep, const struct words *words, char *line)
{
	uint64_t address;
	char *type = take_address(line, &address), *name;
	size_t length;

	if (!type || !*type || type[1] != ' ')
		return false;
	name = type + 2;
	length = strcspn(name, " \t");
	if (!length || length > MAX_NAME)
		return false;
	name[length] = '\0';
	/* libtraceevent skips these too: per-CPU addresses, and symbols of other architectures */
	if (*name == '$' || *type == 'A' || *type == 'a')
		return true;
	symbols->symbols[symbols->nr++] = (struct kernel_symbol) { address, (uint32_t)(name - symbols->text) };
	if (bsearch(&name, words->words, words->nr, sizeof(name), compare_words))
		tep_register_function(tep, name, address, NULL);
	return true;
}

static size_t count_lines(const char *text)
{
	size_t nr = 0;

	for (; *text && nr <= MAX_SYMBOLS; nr++) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return nr;
}

static ORDER_BY(compare_symbols, struct kernel_symbol, address)

/* Of several with one address, libtraceevent uses the first in the reverse order of the text */
static void sort(struct kernel_symbols *symbols)
{
	for (size_t i = 0; i < symbols->nr / 2; i++) {
		struct kernel_symbol moved = symbols->symbols[i];

		symbols->symbols[i] = symbols->symbols[symbols->nr - 1 - i];
		symbols->symbols[symbols->nr - 1 - i] = moved;
	}
	array_sort(symbols->symbols, symbols->nr, compare_symbols);
}

/* Does it belong to this symbol, or between it and the next? Nothing follows the last. */
static int compare_place(const void *key, const void *element)
{
	const struct kernel_symbol *symbol = element;
	uint64_t address = *(const uint64_t *)key;

	if (address == symbol[0].address || (address > symbol[0].address && address < symbol[1].address))
		return 0;
	return address < symbol->address ? -1 : 1;
}

/* The callback of libtraceevent */
static char *resolve(void *priv, unsigned long long *address, char **module)
{
	const struct kernel_symbols *symbols = priv;
	uint64_t key = *address;
	const struct kernel_symbol *found;

	found = bsearch(&key, symbols->symbols, symbols->nr, sizeof(*symbols->symbols), compare_place);
	if (!found)
		return NULL;
	*address = found->address;
	return symbols->text + found->name;
}

/**
 * kernel_symbols_take - give a kernel's functions to libtraceevent
 * @symbols: result; must be released in any case, after @tep is freed
 * @tep: receives the functions; has all formats already
 * @text: /proc/kallsyms; owned by @symbols afterwards
 *
 * A line that does not have the form of /proc/kallsyms ends the list.
 *
 * Returns: 0, -E2BIG if there are more than any kernel has, or -ENOMEM.
 */
int kernel_symbols_take(struct kernel_symbols *symbols, struct tep_handle *tep, char *text)
{
	size_t nr = count_lines(text);
	struct words words = { .nr = 0 };

	*symbols = (struct kernel_symbols) { .text = text };
	if (nr > MAX_SYMBOLS)
		return -E2BIG;
	symbols->symbols = calloc(nr + 1, sizeof(*symbols->symbols));
	if (!symbols->symbols)
		return -ENOMEM;
	find_all_words(&words, tep);
	while (*text) {
		char *line = text;

		text += strcspn(text, "\n");
		if (*text)
			*text++ = '\0';
		if (*line && !take_line(symbols, tep, &words, line))
			break;
	}
	sort(symbols);
	return tep_set_function_resolver(tep, resolve, symbols) ? -ENOMEM : 0;
}

/**
 * kernel_symbols_release - free the functions
 * @symbols: the functions, also after a failure, or all zeros
 */
void kernel_symbols_release(struct kernel_symbols *symbols)
{
	free(symbols->symbols);
	free(symbols->text);
	*symbols = (struct kernel_symbols) { 0 };
}
