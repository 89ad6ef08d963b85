// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Words with each kind of error, and words that are too far from any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "spelling.h"

static const char *const words[] = { "show", "stamp", "check", "export", "explain", "vms", "a-word-of-many-letters-and-more-yet" };

static struct spelling search(const char *word)
{
	struct spelling spelling = { .word = word };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		spelling_try(&spelling, words[i]);
	return spelling;
}

static void test_near(void **state)
{
	static const struct { const char *word, *nearest; size_t errors; } cases[] = {
		{ "show", "show", 0 }, { "SHOW", "show", 0 },
		/* A letter is missing, extra, wrong, or swapped */
		{ "sho", "show", 1 }, { "shoow", "show", 1 }, { "shew", "show", 1 }, { "hsow", "show", 1 }, { "shwo", "show", 1 },
		{ "chcek", "check", 1 }, { "ckech", "check", 2 }, { "exprt", "export", 1 }, { "xeprot", "export", 2 },
		/* The nearer one of two */
		{ "explort", "export", 1 }, { "vm", "vms", 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct spelling spelling = search(cases[i].word);

		if (!spelling.nearest || strcmp(spelling.nearest, cases[i].nearest) ||
		    spelling.errors != cases[i].errors)
			fail_msg("%s: %s, %zu errors", cases[i].word, spelling.nearest, spelling.errors);
	}
}

static void test_far(void **state)
{
	/* Two errors are too many in a short word. The last word is longer than the longest that is compared. */
	static const char *const far[] = {
		"", "x", "ls", "hosw?", "shovel", "spread", "expert-mode", "a-word-of-many-letters-and-more-ye",
	};

	for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++) {
		struct spelling spelling = search(far[i]);

		if (spelling.nearest)
			fail_msg("%s: %s", far[i], spelling.nearest);
	}
}

static void test_hint(void **state)
{
	char hint[SPELLING_HINT_SIZE] = "x";
	struct spelling near = search("shwo"), far = search("nothing");

	assert_string_equal(spelling_hint(&near, "", hint), " (did you mean 'show'?)");
	assert_string_equal(spelling_hint(&near, "--", hint), " (did you mean '--show'?)");
	assert_string_equal(spelling_hint(&far, "", hint), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
