// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "sanitize.h"
#include "shell_word.h"

#define PLAIN	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+:,@%/"

/**
 * shell_word - write a name as a word of a shell's command
 * @name: the name
 *
 * Control characters are replaced, because terminals would obey them. The command then fails to find the file. A name
 * that begins like an option gets a directory.
 *
 * Returns: the name, in quotes if a shell needs them, to be freed; NULL without memory.
 */
char *shell_word(const char *name)
{
	_cleanup_(freep) char *text = sanitized(name);
	const char *directory = *name == '-' ? "./" : "";
	char *word = NULL;
	bool quoted;
	size_t size;
	FILE *stream;

	if (!text)
		return NULL;
	stream = open_memstream(&word, &size);
	if (!stream)
		return NULL;
	fputs(directory, stream);
	quoted = !*text || text[strspn(text, PLAIN)];
	if (quoted)
		putc('\'', stream);
	for (const char *c = text; *c; c++)
		fputs(*c == '\'' ? "'\\''" : (char[]) { *c, '\0' }, stream);
	if (quoted)
		putc('\'', stream);
	if (fclose(stream)) {
		free(word);
		return NULL;
	}
	return word;
}
