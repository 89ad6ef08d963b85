// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* What debugfs showed and what the boot instance recorded, reconciled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "current_offsets.h"
#include "event.h"
#include "history.h"

/* debugfs was read between 1000 and 1010 */
#define ASKED	1000
#define READ	1010
#define RATIO	(1ULL << 47)

static const struct {
	const char		*name;
	bool			shown;		/* debugfs shows -7 */
	bool			lost;
	struct {
		uint64_t	host_tsc;	/* 0: none */
		int64_t		offset;
		int64_t		previous;
	}			changes[2];
	int64_t			offset;
	uint64_t		host_tsc;
	bool			agree;
} cases[] = {
	{ "no events", true, false, { }, -7, READ, true },
	{ "nothing at all", false, false, { }, 0, 0, true },
	{ "both say so", true, false, { { 100, -7, 0 } }, -7, READ, true },
	{ "the instance alone", false, false, { { 100, -5, 0 } }, -5, 100, true },
	{ "the instance alone, with losses", false, true, { { 100, -5, 0 } }, -5, 100, true },
	{ "both, and differ", true, false, { { 100, -5, 0 } }, -5, READ, false },
	{ "the last one counts", true, false,
	  { { 100, -7, 0 }, { 200, -5, -7 } }, -5, READ, false },
	{ "they differ, and the instance lost events", true, true, { { 100, -5, 0 } }, -7, READ, true },
	{ "a change right before debugfs was read", true, false, { { ASKED - 1, -5, 0 } }, -5, READ, false },
	{ "a change meanwhile", true, false, { { ASKED, -5, 0 } }, -5, READ, true },
	{ "a change afterwards", true, false, { { READ + 1, -5, 0 } }, -5, READ + 1, true },
	{ "events that are not complete", true, false,
	  { { 100, -6, 0 }, { 200, -5, 0 } }, -5, READ, true },
};

static void test_settle(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu_history boot = { .lost_after = cases[i].lost };
		struct current_offset offset = { 0 };

		if (cases[i].shown)
			offset = (struct current_offset) {
				.offset_known = true, .scaling_known = true, .map = { -7, RATIO, 48 },
				.asked = ASKED, .host_tsc = READ,
			};
		for (size_t c = 0; c < 2 && cases[i].changes[c].host_tsc; c++) {
			const struct tsc_mapping map = { .offset = cases[i].changes[c].offset };
			const struct tsc_mapping previous = { .offset = cases[i].changes[c].previous };

			assert_int_equal(vcpu_history_add(&boot, cases[i].changes[c].host_tsc, &map, &previous), 0);
		}
		if (current_offset_settle(&offset, &boot) != cases[i].agree || offset.map.offset != cases[i].offset ||
		    offset.host_tsc != cases[i].host_tsc)
			fail_msg("%s: %ld since %lu", cases[i].name, (long)offset.map.offset,
				 (unsigned long)offset.host_tsc);
		assert_int_equal(offset.offset_known, cases[i].shown || boot.nr_segments);
		/* A stock kernel's events do not report the scaling */
		assert_int_equal(offset.scaling_known, cases[i].shown);
		assert_int_equal(offset.map.ratio, cases[i].shown ? RATIO : 0);
		free(boot.segments);
	}
}

/* A patched kernel's events report the scaling */
static void test_scaling(void **state)
{
	const struct tsc_mapping map = { -5, RATIO, 48 };

	for (int shown = 0; shown < 2; shown++) {
		struct current_offset offset = { .offset_known = shown, .scaling_known = shown, .map = { -5, 1, 3 } };
		struct vcpu_history boot = { 0 };

		assert_int_equal(vcpu_history_add(&boot, 100, &map, &map), 0);
		assert_true(current_offset_settle(&offset, &boot));
		assert_true(offset.scaling_known);
		assert_true(tsc_mapping_equal(&offset.map, &map));
		free(boot.segments);
	}
}

/* A value that a probe read is the one in force, until a later change */
static void test_settle_probe(void **state)
{
	static const struct {
		uint64_t	host_tsc;
		int64_t		changed, offset;
		bool		agree;
	} probed[] = {
		{ ASKED - 1, -7, -7, true }, { ASKED - 1, -5, -7, false }, { ASKED, -5, -5, true },
	};

	for (size_t i = 0; i < sizeof(probed) / sizeof(*probed); i++) {
		const struct tsc_mapping map = { .offset = probed[i].changed }, none = { 0 };
		struct current_offset offset = {
			.offset_known = true, .scaling_known = true, .map = { -7, RATIO, 48 },
			.asked = ASKED, .host_tsc = ASKED, .by_probe = true,
		};
		struct vcpu_history boot = { 0 };

		assert_int_equal(vcpu_history_add(&boot, probed[i].host_tsc, &map, &none), 0);
		assert_int_equal(current_offset_settle(&offset, &boot), probed[i].agree);
		assert_int_equal(offset.map.offset, probed[i].offset);
		assert_true(offset.map.ratio == RATIO);
		free(boot.segments);
	}
}

static void test_take(void **state)
{
	struct current_offset offsets[] = { { .vcpu_id = 1 }, { .vcpu_id = 4, .map = { .offset = 9 } },
					    { .vcpu_id = 7 } };
	struct tsc_offset_event event = {
		.host_tsc = 100, .kind = TSC_EVENT_STATE, .tid = 3, .vcpu_id = 4, .next = -5, .ratio = RATIO,
		.frac_bits = 48, .vm = 77,
	};

	current_offsets_take(offsets, 3, &event);
	assert_true(offsets[1].offset_known && offsets[1].scaling_known && offsets[1].by_probe);
	assert_int_equal(offsets[1].map.offset, -5);
	assert_true(offsets[1].map.ratio == RATIO && offsets[1].map.frac_bits == 48);
	assert_true(offsets[1].asked == 100 && offsets[1].host_tsc == 100 && offsets[1].vm == 77);
	/* A vCPU that does not exist, and one that KVM is still making */
	event.vcpu_id = 5;
	current_offsets_take(offsets, 3, &event);
	event.vcpu_id = 7;
	event.ratio = 0;
	current_offsets_take(offsets, 3, &event);
	assert_false(offsets[0].offset_known || offsets[2].offset_known);
	/* Protected TSC: KVM's values may differ from the guest's */
	event.ratio = RATIO;
	event.tsc_protected = true;
	current_offsets_take(offsets, 3, &event);
	assert_true(offsets[2].tsc_protected && !offsets[2].offset_known && offsets[2].error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_settle_probe),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests_name("current_offsets", tests, NULL, NULL);
}
