// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The layout of json-c, with JSON_C_TO_STRING_SPACED alone or with JSON_C_TO_STRING_PRETTY. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "json_writer.h"
#include "sanitize.h"

static void put(struct json_writer *json, const char *text)
{
	for (; *text && !json->error; text++) {
		json_fail(json, array_reserve(json->text, json->size, json->capacity));
		if (!json->error)
			json->text[json->size++] = *text;
	}
}

static void put_escaped(struct json_writer *json, unsigned char byte)
{
	static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = strchr(special, byte);
	char text[8];

	if (found)
		snprintf(text, sizeof(text), "\\%c", letters[found - special]);
	else
		snprintf(text, sizeof(text), byte < ' ' ? "\\u%04x" : "%c", byte);
	put(json, text);
}

static void put_line(struct json_writer *json)
{
	put(json, "\n");
	for (unsigned int i = 0; i < json->depth; i++)
		put(json, "  ");
}

/* Everything before a value */
static void put_key(struct json_writer *json, const char *key)
{
	if (json->depth) {
		put(json, json->empty ? "" : ",");
		if (json->pretty)
			put_line(json);
		else if (!json->empty || *json->closing[json->depth - 1] == ' ')
			put(json, " ");
	}
	json->empty = false;
	if (key) {
		put(json, "\"");
		put(json, key);
		put(json, "\": ");
	}
}

/**
 * json_begin - begin an object or an array
 * @json: the document; additions go into the new container until json_end()
 * @key: its name, which needs no escapes; NULL in an array, and for the document itself
 * @brackets: JSON_OBJECT, JSON_ARRAY or JSON_DENSE_ARRAY
 */
void json_begin(struct json_writer *json, const char *key, const char *brackets)
{
	const char opening[] = { *brackets, '\0' };

	if (json->depth == JSON_DEPTH)
		json_fail(json, -E2BIG);
	if (json->error)
		return;
	put_key(json, key);
	put(json, opening);
	json->closing[json->depth++] = brackets + 1;
	json->empty = true;
}

/**
 * json_begin_document - begin the object of a document, with the number of its schema
 * @json: the document
 */
void json_begin_document(struct json_writer *json)
{
	json_begin(json, NULL, JSON_OBJECT);
	json_add_int(json, "schema", JSON_SCHEMA);
}

/**
 * json_end - end the innermost object or array
 * @json: the document, with an open container
 */
void json_end(struct json_writer *json)
{
	const char *closing;

	if (json->error)
		return;
	closing = json->closing[--json->depth];
	if (json->pretty)
		put_line(json);
	put(json, json->pretty ? closing + strspn(closing, " ") : closing);
	json->empty = false;
	if (!json->depth)
		put(json, "\n");
}

/**
 * json_add - add a number, true, false or null
 * @json: the document
 * @key: as for json_begin()
 * @format: the value, as for printf(), at most 23 bytes
 */
void json_add(struct json_writer *json, const char *key, const char *format, ...)
{
	char text[24];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_key(json, key);
	put(json, text);
}

/**
 * json_add_text - add a string
 * @json: the document
 * @key: as for json_begin()
 * @text: any bytes, see sanitized_json(); NULL for null
 */
void json_add_text(struct json_writer *json, const char *key, const char *text)
{
	_cleanup_(freep) char *valid = text && !json->error ? sanitized_json(text) : NULL;

	if (!text)
		json_add_null(json, key);
	if (text && !valid)
		json_fail(json, -ENOMEM);
	if (!valid)
		return;
	put_key(json, key);
	put(json, "\"");
	for (const char *at = valid; *at; at++)
		put_escaped(json, (unsigned char)*at);
	put(json, "\"");
}

/**
 * json_fail - make a document fail
 * @json: the document; an earlier error stays
 * @error: a negative errno, or 0 to change nothing
 */
void json_fail(struct json_writer *json, int error)
{
	if (!json->error)
		json->error = error;
}

/**
 * json_finish - write a document and free it
 * @json: the document
 * @file: the output; a failed document is not written
 *
 * Returns: 0, or the first error: -ENOMEM, or a negative errno of writing @file.
 */
int json_finish(struct json_writer *json, FILE *file)
{
	errno = EIO;
	if (!json->error && (fwrite(json->text, 1, json->size, file) < json->size || fflush(file)))
		json_fail(json, -errno);
	free(json->text);
	json->text = NULL;
	return json->error;
}
