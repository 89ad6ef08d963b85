/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Writes JSON. Callers check nothing before json_finish(): after the first error, further calls do nothing. json-c is
 * used here only for reading, because its output lacks parts without an error when it finds no memory.
 */
#ifndef TSC_OFFSET_JSON_WRITER_H
#define TSC_OFFSET_JSON_WRITER_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* For json_begin(): the brackets and the space inside them */
#define JSON_OBJECT		"{ }"
#define JSON_ARRAY		"[ ]"
#define JSON_DENSE_ARRAY	"[]"

/* In each document; larger after a member gets another meaning or disappears, but not for new ones */
#define JSON_SCHEMA		1

/* Limit of open containers: more than any of our documents has */
#define JSON_DEPTH		16

/**
 * struct json_writer - a document being written; the caller sets @pretty, all other members are zero at first
 * @pretty: one line for each member, instead of one line for all
 * @text: the document; owned
 * @size: its length in bytes
 * @capacity: bytes allocated at @text
 * @closing: the end of each open container
 * @depth: number of open containers
 * @empty: the innermost container is empty
 * @error: the first error, a negative errno
 */
struct json_writer {
	bool		pretty;
	char		*text;
	size_t		size;
	size_t		capacity;
	const char	*closing[JSON_DEPTH];
	unsigned int	depth;
	bool		empty;
	int		error;
};

void json_begin_document(struct json_writer *json);
void json_begin(struct json_writer *json, const char *key, const char *brackets);
void json_end(struct json_writer *json);
void json_add(struct json_writer *json, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void json_add_text(struct json_writer *json, const char *key, const char *text);
void json_fail(struct json_writer *json, int error);
int json_finish(struct json_writer *json, FILE *file);

static inline void json_add_int(struct json_writer *json, const char *key, int64_t value)
{
	json_add(json, key, "%" PRId64, value);
}

static inline void json_add_uint(struct json_writer *json, const char *key, uint64_t value)
{
	json_add(json, key, "%" PRIu64, value);
}

static inline void json_add_bool(struct json_writer *json, const char *key, bool value)
{
	json_add(json, key, value ? "true" : "false");
}

static inline void json_add_null(struct json_writer *json, const char *key)
{
	json_add(json, key, "null");
}

/* A number, or null if unknown */
static inline void json_add_known(struct json_writer *json, const char *key, bool known, uint64_t value)
{
	if (known)
		json_add_uint(json, key, value);
	else
		json_add_null(json, key);
}

#endif /* TSC_OFFSET_JSON_WRITER_H */
