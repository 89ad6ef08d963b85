// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Lines of tsc-offset mark: each written line is read back, and no other line is accepted. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "vcpu_mark.h"

#define REST	"vm=583-12 vcpu=0 thread=590 offset=-1304078728685 ratio=4294967296 bits=32 protected=0 from=1 until=2"
#define END	"bits=32 protected=0 from=1 until=2"
#define LINE	"tsc-offset mark 1 " REST

static const struct vcpu_mark mark = {
	.vm_pid = 583, .vm_fd = 12, .tid = 590, .map = { -1304078728685, 1ULL << 32, 32 }, .from = 1, .until = 2,
};

static bool is_equal(const struct vcpu_mark *a, const struct vcpu_mark *b)
{
	return a->vm_pid == b->vm_pid && a->vm_fd == b->vm_fd && a->vm_id == b->vm_id && a->vcpu_id == b->vcpu_id &&
	       a->tid == b->tid && tsc_mapping_equal(&a->map, &b->map) && a->map.ratio == b->map.ratio &&
	       a->map.frac_bits == b->map.frac_bits && a->tsc_protected == b->tsc_protected &&
	       a->from == b->from && a->until == b->until;
}

/* Parse an allocation of the exact size, so that a sanitizer detects reads beyond it */
static int parse(const char *text, size_t size, struct vcpu_mark *result)
{
	char *copy = malloc(size ? size : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, size);
	ret = vcpu_mark_parse(result, copy, size);
	free(copy);
	return ret;
}

static int parse_text(const char *text)
{
	struct vcpu_mark unused;

	return parse(text, strlen(text), &unused);
}

/* Other programs rely on this format */
static void test_format(void **state)
{
	char line[VCPU_MARK_SIZE];

	assert_int_equal(vcpu_mark_print(line, &mark), strlen(LINE "\n"));
	assert_string_equal(line, LINE "\n");
	assert_int_equal(parse_text(VCPU_MARK_BEGIN "\n"), 0);
}

/* On a kernel that numbers VMs */
static void test_number(void **state)
{
	struct vcpu_mark numbered = mark, result;
	char line[VCPU_MARK_SIZE];

	numbered.vm_id = 7;
	assert_int_equal(vcpu_mark_print(line, &numbered), strlen(LINE " id=7\n"));
	assert_string_equal(line, "tsc-offset mark 2 " REST " id=7\n");
	assert_int_equal(parse(line, strlen(line), &result), 1);
	assert_true(is_equal(&numbered, &result));
	assert_false(is_equal(&mark, &result));
}

static void test_extremes(void **state)
{
	struct vcpu_mark longest = {
		.vm_pid = INT_MAX, .vm_fd = INT_MAX, .vm_id = UINT64_MAX, .vcpu_id = UINT32_MAX, .tid = INT_MAX,
		.map = { INT64_MIN, UINT64_MAX, 63 }, .tsc_protected = true, .from = UINT64_MAX, .until = UINT64_MAX,
	};
	struct vcpu_mark shortest = { .vm_pid = 1, .map = { INT64_MAX, 1, 0 } }, result;
	char line[VCPU_MARK_SIZE];
	size_t size = vcpu_mark_print(line, &longest);

	assert_true(size < VCPU_MARK_SIZE - 1);
	assert_int_equal(parse(line, size, &result), 1);
	assert_true(is_equal(&longest, &result));
	size = vcpu_mark_print(line, &shortest);
	assert_int_equal(parse(line, size, &result), 1);
	assert_true(is_equal(&shortest, &result));
}

static void test_random(void **state)
{
	uint64_t seed = 1;

	for (int i = 0; i < 2000; i++) {
		struct vcpu_mark made = {
			.vm_pid = 1 + (int)(prng(&seed) % INT_MAX), .vm_fd = (int)(prng(&seed) % INT_MAX),
			.vcpu_id = (uint32_t)prng(&seed), .tid = (int)(prng(&seed) % INT_MAX),
			.map = { (int64_t)prng(&seed), prng(&seed) | 1, (uint32_t)(prng(&seed) % 64) },
			.tsc_protected = prng(&seed) & 1, .from = prng(&seed) >> 1,
		}, result;
		char line[VCPU_MARK_SIZE];
		size_t size;

		made.until = made.from + prng(&seed) % 1000;
		size = vcpu_mark_print(line, &made);
		assert_int_equal(parse(line, size, &result), 1);
		assert_true(is_equal(&made, &result));
		/* A truncated line is invalid; only the last number may be shorter */
		for (size_t cut = strlen(VCPU_MARK_WORDS); cut < size - 25; cut++)
			assert_int_equal(parse(line, cut, &result), -EBADMSG);
	}
}

/* The ends of a line, as the kernel stores it and as it may be read */
static void test_ends(void **state)
{
	static const char *const ends[] = { "", "\n", "\n\0", "\0", "\n\0\0\0", "\0\0\0" };
	static const size_t sizes[] = { 0, 1, 2, 1, 4, 3 };
	struct vcpu_mark result;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char text[sizeof(LINE) + 8] = LINE;

		memcpy(text + strlen(LINE), ends[i], sizes[i]);
		assert_int_equal(parse(text, strlen(LINE) + sizes[i], &result), 1);
		assert_true(is_equal(&mark, &result));
	}
	assert_int_equal(parse_text(LINE "\n" LINE), -EBADMSG);
	/* The ring buffer pads a record with arbitrary bytes */
	assert_int_equal(parse(LINE "\n\0x", sizeof(LINE) + 2, &result), 1);
	assert_true(is_equal(&mark, &result));
}

static void test_wrong(void **state)
{
	static const char *const wrong[] = {
		"tsc-offset mark 1", "tsc-offset mark ", "tsc-offset mark x " REST, "tsc-offset mark -1 " REST,
		"tsc-offset mark  1 " REST, "tsc-offset mark 1  " REST, LINE " ", LINE "x", LINE " more=1",
		"tsc-offset mark 1 begin ", "tsc-offset mark 1 beginning",
		"tsc-offset mark 1 vm=0-12 vcpu=0 thread=590 offset=-1 ratio=1 " END,
		"tsc-offset mark 1 vm=2147483648-12 vcpu=0 thread=590 offset=-1 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=4294967296 thread=590 offset=-1 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=-1 offset=-1 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=9223372036854775808 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-9223372036854775809 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=--1 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=+1 ratio=1 " END,
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1 ratio=0 bits=32 protected=0 from=1 until=2",
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1 ratio=1 bits=64 protected=0 from=1 until=2",
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1 ratio=1 bits=32 protected=2 from=1 until=2",
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1 ratio=1 bits=32 protected=0 from=3 until=2",
		"tsc-offset mark 1 vm=583-12 vcpu=0 thread=590 offset=-1 ratio=1 bits=32 protected=0 from=1",
		"tsc-offset mark 1 vcpu=0 vm=583-12 thread=590 offset=-1 ratio=1 " END,
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(parse_text(wrong[i]), -EBADMSG);
	assert_int_equal(parse_text("tsc-offset mark 3 anything"), -ENOTSUP);
	/* All lines of one version have the number of the VM, and no lines of the other */
	assert_int_equal(parse_text(LINE " id=7"), -EBADMSG);
	assert_int_equal(parse_text("tsc-offset mark 2 " REST), -EBADMSG);
	assert_int_equal(parse_text("tsc-offset mark 2 " REST " id=0"), -EBADMSG);
	assert_int_equal(parse_text("tsc-offset mark 2 " REST " id=7 "), -EBADMSG);
	assert_int_equal(parse_text("tsc-offset mark 0 " REST), -ENOTSUP);
}

static void test_others(void **state)
{
	static const char *const others[] = {
		"", "t", "tsc-offset", "tsc-offset mark", " " LINE, "hello", ("Tsc-offset mark 1 " REST),
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_int_equal(parse_text(others[i]), 0);
}

static void test_long(void **state)
{
	char text[4096];

	memset(text, '1', sizeof(text));
	memcpy(text, VCPU_MARK_WORDS, strlen(VCPU_MARK_WORDS));
	assert_int_equal(parse(text, sizeof(text), &(struct vcpu_mark) { 0 }), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests_name("vcpu_mark", tests, NULL, NULL);
}
