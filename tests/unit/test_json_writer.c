// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The output is JSON in the layout of json-c, with the added values. If the document failed, the first error is kept
 * and nothing is written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "json_writer.h"
#include "sanitize.h"

void *__real_reallocarray(void *array, size_t nr, size_t size);
void *__wrap_reallocarray(void *array, size_t nr, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

/* The number of allocations since the last reset, and the one that fails, counted from 0 */
static size_t nr_allocations, failing = SIZE_MAX;

void *__wrap_reallocarray(void *array, size_t nr, size_t size)
{
	return nr_allocations++ == failing ? NULL : __real_reallocarray(array, nr, size);
}

char *__wrap_strdup(const char *text)
{
	return nr_allocations++ == failing ? NULL : __real_strdup(text);
}

/* A stream in memory; close_stream() sets these to what was written */
static char *text;
static size_t size;

static FILE *open_stream(void)
{
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	return file;
}

static void close_stream(FILE *file)
{
	assert_int_equal(fclose(file), 0);
}

static void add_all(struct json_writer *json)
{
	json_begin(json, NULL, JSON_OBJECT);
	json_add_text(json, "text", "a \"b\" \\ /\n\x01\x1b\xff \xc3\xbc");
	json_add_int(json, "least", INT64_MIN);
	json_add_int(json, "greatest", INT64_MAX);
	json_add_uint(json, "unsigned", UINT64_MAX);
	json_add_known(json, "known", true, 0);
	json_add_known(json, "unknown", false, 5);
	json_add_bool(json, "yes", true);
	json_add_bool(json, "no", false);
	json_add_null(json, "null");
	json_add_text(json, "no text", NULL);
	json_begin(json, "array", JSON_ARRAY);
	json_add_uint(json, NULL, 1);
	json_add_text(json, NULL, "");
	json_begin(json, NULL, JSON_OBJECT);
	json_add_int(json, "deep", -1);
	json_end(json);
	json_begin(json, NULL, JSON_ARRAY);
	json_add_null(json, NULL);
	json_end(json);
	json_end(json);
	json_end(json);
}

static const char spaced[] =
	"{ \"text\": \"a \\\"b\\\" \\\\ /\\n\\u0001\\u001b? \xc3\xbc\", \"least\": -9223372036854775808, "
	"\"greatest\": 9223372036854775807, \"unsigned\": 18446744073709551615, \"known\": 0, \"unknown\": null, "
	"\"yes\": true, \"no\": false, \"null\": null, \"no text\": null, \"array\": [ 1, \"\", { \"deep\": -1 }, [ null ] ] }\n";

/* json-c can read the text and would write the same */
static void assert_as_json_c(int flags)
{
	struct json_object *object = json_tokener_parse(text);

	assert_non_null(object);
	assert_int_equal(text[size - 1], '\n');
	text[size - 1] = '\0';
	assert_string_equal(text, json_object_to_json_string_ext(object, flags | JSON_C_TO_STRING_SPACED |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void test_layout(void **state)
{
	for (int i = 0; i < 2; i++) {
		FILE *file = open_stream();
		struct json_writer json = { .pretty = i };

		add_all(&json);
		assert_int_equal(json_finish(&json, file), 0);
		close_stream(file);
		if (!json.pretty)
			assert_string_equal(text, spaced);
		assert_as_json_c(json.pretty ? JSON_C_TO_STRING_PRETTY : 0);
		free(text);
	}
}

static void test_empty_and_dense(void **state)
{
	FILE *file = open_stream();
	struct json_writer json = { 0 };

	json_begin(&json, NULL, JSON_ARRAY);
	json_begin(&json, NULL, JSON_ARRAY);
	json_end(&json);
	json_begin(&json, NULL, JSON_OBJECT);
	json_end(&json);
	json_begin(&json, NULL, JSON_DENSE_ARRAY);
	json_end(&json);
	json_begin(&json, NULL, JSON_DENSE_ARRAY);
	json_begin(&json, NULL, JSON_OBJECT);
	json_add_uint(&json, "a", 1);
	json_end(&json);
	json_begin(&json, NULL, JSON_ARRAY);
	json_end(&json);
	json_end(&json);
	json_end(&json);
	assert_int_equal(json_finish(&json, file), 0);
	close_stream(file);
	assert_string_equal(text, "[ [ ], { }, [], [{ \"a\": 1 }, [ ]] ]\n");
	free(text);
}

/* A name with every possible byte: the output has what sanitized_json() leaves of it */
static void test_bytes(void **state)
{
	FILE *file = open_stream();
	struct json_writer json = { 0 };
	struct json_tokener *tokener = json_tokener_new();
	char name[256] = "", *valid;
	struct json_object *array;

	for (int i = 1; i < 256; i++)
		name[i - 1] = (char)i;
	valid = sanitized_json(name);
	json_begin(&json, NULL, JSON_ARRAY);
	json_add_text(&json, NULL, name);
	json_end(&json);
	assert_int_equal(json_finish(&json, file), 0);
	close_stream(file);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	array = json_tokener_parse_ex(tokener, text, (int)size);
	assert_int_equal(json_object_array_length(array), 1);
	assert_string_equal(json_object_get_string(json_object_array_get_idx(array, 0)), valid);
	json_object_put(array);
	json_tokener_free(tokener);
	free(valid);
	free(text);
}

/* Any failing allocation is reported, and nothing is written */
static void test_no_memory(void **state)
{
	size_t nr = 0;
	int ret;

	do {
		FILE *file = open_stream();
		struct json_writer json = { 0 };

		nr_allocations = 0;
		failing = nr++;
		add_all(&json);
		ret = json_finish(&json, file);
		/* No call allocates after the failing one */
		assert_int_equal(nr_allocations, ret ? nr : nr - 1);
		failing = SIZE_MAX;
		close_stream(file);
		assert_string_equal(text, ret ? "" : spaced);
		if (ret)
			assert_int_equal(ret, -ENOMEM);
		free(text);
	} while (ret);
	/* Two strings, and an array that grows from 4 to 512 bytes */
	assert_int_equal(nr - 1, 2 + 8);
}

static void test_first_error_stays(void **state)
{
	FILE *file = open_stream();
	struct json_writer json = { 0 };

	json_begin(&json, NULL, JSON_OBJECT);
	json_fail(&json, 0);
	json_add_uint(&json, "a", 1);
	json_fail(&json, -EIO);
	json_fail(&json, -ENOMEM);
	json_end(&json);
	assert_int_equal(json_finish(&json, file), -EIO);
	close_stream(file);
	assert_string_equal(text, "");
	free(text);
}

static void test_too_deep(void **state)
{
	for (int depth = JSON_DEPTH; depth <= JSON_DEPTH + 2; depth++) {
		FILE *file = open_stream();
		struct json_writer json = { 0 };

		for (int i = 0; i < depth; i++)
			json_begin(&json, NULL, JSON_ARRAY);
		for (int i = 0; i < depth; i++)
			json_end(&json);
		assert_int_equal(json_finish(&json, file), depth > JSON_DEPTH ? -E2BIG : 0);
		close_stream(file);
		assert_int_equal(size, depth > JSON_DEPTH ? 0 : 4 * JSON_DEPTH);
		free(text);
	}
}

/* A full disk: detected when the stream's buffer is full, or at the end */
static void test_short_write(void **state)
{
	static const size_t numbers[] = { 0, 10, 100000 };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		FILE *file = fopen("/dev/full", "w");
		struct json_writer json = { 0 };

		assert_non_null(file);
		json_begin(&json, NULL, JSON_ARRAY);
		for (size_t n = 0; n < numbers[i]; n++)
			json_add_uint(&json, NULL, n);
		json_end(&json);
		assert_int_equal(json_finish(&json, file), -ENOSPC);
		fclose(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_empty_and_dense),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_first_error_stays),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_short_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
