// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "findings.h"

/* used: with -flto, gcc does not see the references that the linker makes */
void __wrap_message(const char *format, ...) __attribute__((used, format(printf, 1, 2)));

static char said[256];

void __wrap_message(const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static void test_list(void **state)
{
	struct findings findings = { 0 }, more = { 0 };

	findings_note(&findings, FINDING_OFFSET, "vCPU %d", 1);
	findings_doubt(&more, FINDING_BACKWARD, "100%%");
	findings_move(&findings, &more);
	assert_true(!more.nr && !more.nr_doubts && !more.list);
	assert_int_equal(findings.nr, 2);
	assert_int_equal(findings.nr_doubts, 1);
	assert_true(!findings.list[0].doubt && findings.list[1].doubt);
	assert_string_equal(finding_kind_name(findings.list[1].kind), "backward");
	/* Each line is printed once; a printed doubt still counts */
	findings_print(&findings);
	findings_print(&findings);
	assert_string_equal(said, "vCPU 1\n100%\n");
	assert_int_equal(findings.nr_doubts, 1);
	findings_release(&findings);
	assert_int_equal(findings.nr_doubts, 0);
}

/* After notes are dropped, doubts remain in their order */
static void test_doubts_alone(void **state)
{
	struct findings findings = { 0 };

	findings_note(&findings, FINDING_OFFSET, "first");
	findings_doubt(&findings, FINDING_PROOF, "second");
	findings_note(&findings, FINDING_OFFSET, "third");
	findings_doubt(&findings, FINDING_PROOF, "fourth");
	findings_drop_notes(&findings);
	*said = '\0';
	findings_print(&findings);
	assert_string_equal(said, "second\nfourth\n");
	assert_int_equal(findings.nr_doubts, 2);
	findings_release(&findings);
}

/* Each kind has a unique name in JSON */
static void test_names(void **state)
{
	for (int i = 0; i <= FINDING_TEXT; i++) {
		assert_non_null(finding_kind_name(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(finding_kind_name(i), finding_kind_name(j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_doubts_alone),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
