// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "any.h"
#include "format_text.h"

/*
 * None of the 2323 events of a distribution's Linux 6.18 exceeds 1.4 KiB of fields, 24 fields, lines of 83 bytes, a
 * print format of 4.8 KiB with 2335 words, or three words in a row.
 */
#define MAX_FIELDS_SIZE	(64UL << 10)
#define MAX_FIELDS	256
#define MAX_LINE	1024
#define MAX_NAME	255
#define MAX_PRINT_SIZE	(64UL << 10)
#define MAX_WORDS	16384
#define MAX_IN_A_ROW	16
#define MAX_DEPTH	128
/* Digits of an offset or a size: libtraceevent sums them as signed 32-bit numbers */
#define MAX_DIGITS	9

static const char print_format[] = "\nprint fmt:";

/* The unread rest of a text, or of one of its lines */
struct rest {
	const char	*at;
	const char	*end;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* libtraceevent takes any other byte for the end of the text */
static bool is_text(char c)
{
	return isprint((unsigned char)c) || c == '\t' || c == '\n';
}

static bool take(struct rest *rest, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, text, length))
		return false;
	rest->at += length;
	return true;
}

static void skip_blanks(struct rest *rest)
{
	while (rest->at < rest->end && (*rest->at == ' ' || *rest->at == '\t'))
		rest->at++;
}

/* Returns: length of a word, 0 without one */
static size_t take_word(struct rest *rest)
{
	const char *start = rest->at;

	while (rest->at < rest->end && is_word(*rest->at))
		rest->at++;
	return (size_t)(rest->at - start);
}

/* As kernels print it: a leading zero would make it octal */
static bool take_number(struct rest *rest, long *number)
{
	const char *start = rest->at;

	for (*number = 0; rest->at < rest->end && isdigit((unsigned char)*rest->at); rest->at++) {
		if (rest->at - start == MAX_DIGITS || (rest->at > start && !*number))
			return false;
		*number = 10 * *number + (*rest->at - '0');
	}
	return rest->at > start;
}

/* "\toffset:8;" */
static bool take_property(struct rest *rest, const char *name)
{
	long number;

	skip_blanks(rest);
	return take(rest, name) && take(rest, ":") && take_number(rest, &number) && take(rest, ";");
}

/*
 * The type and the name of a field, up to a semicolon. libtraceevent requires a word before the first attribute, a
 * closing bracket for each opening one, and the end of each string.
 */
static bool take_declaration(struct rest *rest)
{
	static const char attribute[] = "__attribute__";
	const char *start = rest->at;
	bool open = false, quoted = false;
	size_t depth = 0, length;

	length = take_word(rest);
	if (!length || (length == strlen(attribute) && !memcmp(start, attribute, length)))
		return false;
	for (; rest->at < rest->end; rest->at++) {
		char c = *rest->at;

		if (c == '"')
			quoted = !quoted;
		if (quoted)
			continue;
		if (c == ';')
			return !open && !depth && take(rest, ";");
		if ((c == '[' && open) || (c == ']' && !open) || (c == ')' && !depth--) || c == '\'' || c == '\\')
			return false;
		open = c == '[' || (open && c != ']');
		depth += c == '(';
	}
	return false;
}

/* "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;": old kernels lack the last property */
static bool is_field(struct rest line)
{
	if (line.end - line.at > MAX_LINE || !take(&line, "\tfield"))
		return false;
	/* Some of ftrace's own events */
	take(&line, " special");
	if (!take(&line, ":") || !take_declaration(&line) || !take_property(&line, "offset") ||
	    !take_property(&line, "size"))
		return false;
	take_property(&line, "signed");
	return line.at == line.end;
}

/* Common fields, an empty line, and the other fields */
static bool scan_fields(struct format_text *format, struct rest rest)
{
	unsigned int groups = 0;

	while (rest.at < rest.end) {
		struct rest line = { rest.at, memchr(rest.at, '\n', (size_t)(rest.end - rest.at)) };

		if (!line.end)
			line.end = rest.end;
		rest.at = line.end + (line.end < rest.end);
		if (line.at == line.end) {
			groups++;
			continue;
		}
		if (groups > 1 || ++format->nr_fields > MAX_FIELDS || !is_field(line))
			return false;
	}
	return true;
}

static bool scan_head(struct format_text *format, struct rest *rest)
{
	long id;

	if (!take(rest, "name: "))
		return false;
	format->name = rest->at;
	format->name_length = take_word(rest);
	if (!format->name_length || format->name_length > MAX_NAME || !take(rest, "\nID: ") ||
	    !take_number(rest, &id) || id > FORMAT_TEXT_MAX_ID || !take(rest, "\nformat:\n"))
		return false;
	format->id = (int)id;
	return true;
}

/* Number of items of the print format, in a row and in total */
struct tally {
	size_t	words;
	size_t	signs;
	size_t	depth;
};

/* Returns: whether the string ends */
static bool take_string(struct rest *rest)
{
	char quote = *rest->at++;

	for (; rest->at < rest->end && *rest->at != '\t'; rest->at++) {
		if (*rest->at == quote) {
			rest->at++;
			return true;
		}
		rest->at += *rest->at == '\\' && rest->at + 1 < rest->end;
	}
	return false;
}

/* Each word or sign in a row makes libtraceevent process those before again, or one call deeper */
static bool take_print_word(struct format_text *format, struct rest *rest, struct tally *tally)
{
	char c = *rest->at;

	format->nr_words++;
	if (c == '"' || c == '\'') {
		tally->words = tally->signs = 0;
		return take_string(rest);
	}
	if (is_word(c)) {
		take_word(rest);
		tally->signs = 0;
		return ++tally->words <= MAX_IN_A_ROW;
	}
	format->nr_names += c == '-' && rest->at + 1 < rest->end && rest->at[1] == '>';
	rest->at++;
	tally->words = 0;
	if (c == '(')
		return ++tally->depth <= MAX_DEPTH;
	tally->signs = c == ',' || c == ')' ? 0 : tally->signs + 1;
	tally->depth -= c == ')' && tally->depth;
	return tally->signs <= MAX_IN_A_ROW;
}

static bool scan_print(struct format_text *format, struct rest rest)
{
	struct tally tally = { 0 };

	if (rest.end - rest.at > (long)MAX_PRINT_SIZE)
		return false;
	while (rest.at < rest.end) {
		if (isspace((unsigned char)*rest.at))
			rest.at++;
		else if (!take_print_word(format, &rest, &tally) || format->nr_words > MAX_WORDS)
			return false;
	}
	return true;
}

static bool is_all_text(const char *text, size_t size)
{
	return !any_of(i, size, !is_text(text[i]));
}

/**
 * format_text_scan - check whether a format has the form of kernels
 * @format: result; valid while @text is
 * @text: the text in the file
 * @size: size of @text in bytes; a NUL ends it earlier
 *
 * Returns: false if its fields are malformed: then libtraceevent must not parse it.
 */
bool format_text_scan(struct format_text *format, const char *text, size_t size)
{
	struct rest rest;
	const char *print;

	size = strnlen(text, size);
	*format = (struct format_text) { .text = text, .fields_size = size, .size = size };
	print = memmem(text, size, print_format, strlen(print_format));
	if (print)
		format->fields_size = (size_t)(print - text);
	rest = (struct rest) { text, text + format->fields_size };
	if (format->fields_size > MAX_FIELDS_SIZE || !is_all_text(text, format->fields_size) ||
	    !scan_head(format, &rest) || !scan_fields(format, rest))
		return false;
	if (print) {
		rest = (struct rest) { print + strlen(print_format), text + size };
		format->printed = is_all_text(rest.at, (size_t)(rest.end - rest.at)) && scan_print(format, rest);
	}
	return true;
}

/**
 * format_text_copy - make a text for tep_parse_event()
 * @format: a scanned format
 * @printed: with its print format, which must be well-formed; else with one that prints nothing
 * @size: result: size of the copy in bytes
 *
 * Returns: the NUL-terminated copy, to be freed with free(); NULL without memory.
 */
char *format_text_copy(const struct format_text *format, bool printed, size_t *size)
{
	char *copy;
	int length;

	if (printed)
		length = asprintf(&copy, "%.*s", (int)format->size, format->text);
	else
		length = asprintf(&copy, "%.*s%s \"\"\n", (int)format->fields_size, format->text, print_format);
	*size = length < 0 ? 0 : (size_t)length;
	return length < 0 ? NULL : copy;
}
