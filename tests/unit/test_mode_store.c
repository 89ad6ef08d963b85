// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Modes that exceed the memory limit are the same as those within it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "mode_store.h"
#include "vcpu_modes.h"

#define VCPUS	3
#define SLOTS	4
/* More blocks than slots, and an incomplete block; the last mode is unknown */
#define SPANS	(6 * MODE_BLOCK + 99)

struct made {
	struct mode_store	store;
	struct vcpu_modes	vcpus[VCPUS];
};

/* The begin of a vCPU's span; each vCPU has other times */
static uint64_t begin_of(size_t vcpu, size_t span)
{
	return 1000 + span * (20 + vcpu) + span % 7;
}

static enum vcpu_mode mode_of(size_t span)
{
	static const enum vcpu_mode modes[] = { MODE_GUEST, MODE_HOST, MODE_GUEST, MODE_HOST, MODE_UNKNOWN };

	return modes[span % 5];
}

static void add_spans(struct made *made, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		for (size_t v = 0; v < VCPUS; v++)
			assert_int_equal(vcpu_modes_add(&made->vcpus[v], begin_of(v, i), UINT64_MAX, mode_of(i)), 0);
	}
}

static void begin(struct made *made, size_t slots)
{
	*made = (struct made) { 0 };
	mode_store_begin(&made->store, slots);
	for (size_t v = 0; v < VCPUS; v++)
		made->vcpus[v].store = &made->store;
}

static void release(struct made *made)
{
	for (size_t v = 0; v < VCPUS; v++)
		vcpu_modes_release(&made->vcpus[v]);
	mode_store_release(&made->store);
}

static size_t blocks_in_memory(const struct made *made)
{
	size_t nr = 0;

	for (size_t v = 0; v < VCPUS; v++) {
		for (size_t i = 0; i < made->vcpus[v].nr_blocks; i++)
			nr += !!made->vcpus[v].blocks[i]->from;
	}
	return nr;
}

static void check_span(const struct made *made, size_t v, size_t i)
{
	const struct vcpu_modes *modes = &made->vcpus[v];

	if (vcpu_modes_from(modes, i) != begin_of(v, i) || vcpu_modes_at(modes, i) != mode_of(i))
		fail_msg("vCPU %zu, span %zu: mode %d from %lu", v, i, vcpu_modes_at(modes, i),
			 (unsigned long)vcpu_modes_from(modes, i));
}

/* Check all spans in order, then at random */
static void check_all(const struct made *made)
{
	uint64_t random = 1;

	for (size_t i = 0; i < SPANS; i++) {
		for (size_t v = 0; v < VCPUS; v++)
			check_span(made, v, i);
	}
	for (size_t n = 0; n < 5000; n++) {
		size_t v = n % VCPUS, i;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		i = (random >> 33) % SPANS;
		check_span(made, v, i);
		for (uint64_t time = begin_of(v, i); time < begin_of(v, i + 1);
		     time += begin_of(v, i + 1) - time - 1 ?: 1) {
			size_t hint = n & 1 ? (random >> 20) % (SPANS + 10) : MODE_SPAN_NONE;

			assert_int_equal(vcpu_modes_find(&made->vcpus[v], time, hint), i);
		}
	}
	for (size_t v = 0; v < VCPUS; v++) {
		assert_int_equal(vcpu_modes_find(&made->vcpus[v], begin_of(v, 0) - 1, 0), MODE_SPAN_NONE);
		assert_int_equal(vcpu_modes_find(&made->vcpus[v], UINT64_MAX, 0), SPANS - 1);
	}
}

static void test_limit(void **state)
{
	struct made made;

	begin(&made, SLOTS);
	add_spans(&made, 0, SPANS);
	assert_true(made.store.has_file);
	assert_int_equal(blocks_in_memory(&made), SLOTS);
	check_all(&made);
	assert_int_equal(blocks_in_memory(&made), SLOTS);
	assert_int_equal(made.store.failed, 0);
	assert_int_equal(made.store.read_error, 0);
	release(&made);

	/* Control: with more slots, no file */
	begin(&made, VCPUS * SPANS / MODE_BLOCK);
	add_spans(&made, 0, SPANS);
	assert_false(made.store.has_file);
	check_all(&made);
	release(&made);
}

/* The file cannot be created: all blocks remain in memory */
static void test_no_directory(void **state)
{
	struct made made;
	const char *before = getenv("TMPDIR");
	char *kept = before ? strdup(before) : NULL;

	setenv("TMPDIR", "/nonexistent", 1);
	begin(&made, SLOTS);
	add_spans(&made, 0, SPANS);
	if (kept)
		setenv("TMPDIR", kept, 1);
	else
		unsetenv("TMPDIR");
	free(kept);
	assert_int_equal(made.store.failed, -ENOENT);
	assert_int_equal(blocks_in_memory(&made), VCPUS * (SPANS / MODE_BLOCK));
	check_all(&made);
	release(&made);
}

/* The disk is full: later blocks remain in memory, and earlier ones can still be read */
static void test_full(void **state)
{
	struct made made;
	int fd, full = open("/dev/full", O_RDWR);

	begin(&made, SLOTS);
	add_spans(&made, 0, SPANS / 2);
	assert_true(made.store.has_file);
	fd = dup(made.store.fd);
	assert_true(dup2(full, made.store.fd) >= 0);
	add_spans(&made, SPANS / 2, SPANS);
	assert_true(dup2(fd, made.store.fd) >= 0);
	assert_int_equal(made.store.failed, -ENOSPC);
	check_all(&made);
	assert_int_equal(made.store.read_error, 0);
	close(full);
	close(fd);
	release(&made);
}

/* The file cannot be read: its modes are unknown, and the spans are still in order */
static void test_read_error(void **state)
{
	struct made made;
	size_t unknown = 0;

	begin(&made, SLOTS);
	add_spans(&made, 0, SPANS);
	assert_int_equal(ftruncate(made.store.fd, 0), 0);
	for (size_t i = 0; i < SPANS; i++) {
		enum vcpu_mode mode = vcpu_modes_at(&made.vcpus[0], i);

		assert_true(mode == mode_of(i) || mode == MODE_UNKNOWN);
		unknown += mode != mode_of(i);
		assert_true(!i || vcpu_modes_from(&made.vcpus[0], i) > vcpu_modes_from(&made.vcpus[0], i - 1));
	}
	assert_true(unknown > MODE_BLOCK / 2);
	assert_int_equal(made.store.read_error, -EIO);
	release(&made);
}

/*
 * Joined modes can share the store of their vCPUs, and be released before or
 * after them. A vCPU joined with itself is unchanged.
 */
static void test_join(void **state)
{
	for (int first = 0; first < 2; first++) {
		struct vcpu_modes joined = { 0 };
		struct made made;

		begin(&made, SLOTS);
		add_spans(&made, 0, SPANS);
		joined.store = &made.store;
		assert_int_equal(vcpu_modes_join(&joined, &made.vcpus[0], &made.vcpus[0]), 0);
		assert_true(blocks_in_memory(&made) < SLOTS);	/* its own are in the other slots */
		assert_int_equal(joined.nr, SPANS);
		for (size_t i = 0; i < SPANS; i++) {
			assert_int_equal(vcpu_modes_from(&joined, i), begin_of(0, i));
			assert_int_equal(vcpu_modes_at(&joined, i), mode_of(i));
		}
		assert_int_equal(joined.guest_time, made.vcpus[0].guest_time);
		if (first) {
			vcpu_modes_release(&joined);
			check_all(&made);
			release(&made);
			continue;
		}
		for (size_t v = 0; v < VCPUS; v++)
			vcpu_modes_release(&made.vcpus[v]);
		assert_int_equal(vcpu_modes_from(&joined, 5), begin_of(0, 5));
		vcpu_modes_release(&joined);
		mode_store_release(&made.store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_join),
	};

	return cmocka_run_group_tests_name("mode_store", tests, NULL, NULL);
}
