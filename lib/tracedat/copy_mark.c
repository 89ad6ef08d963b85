// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "any.h"
#include "copy_mark.h"
#include "recorder_version.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

/* A version has no newline: this one is never taken for a recorder's */
#define MARK	"tsc-offset copy 1\n"

/**
 * copy_mark_add - mark a copy
 * @edit: what the copy gets
 * @dat: the original, open
 *
 * Returns: 0 or -ENOMEM.
 */
int copy_mark_add(struct trace_dat_edit *edit, const struct trace_dat *dat)
{
	const char *version = recorder_version(dat);
	int ret = trace_dat_edit_add(edit, TRACE_DAT_VERSION, MARK, sizeof(MARK));

	if (ret || !*version)
		return ret;
	return trace_dat_edit_add(edit, TRACE_DAT_VERSION, version, strlen(version) + 1);
}

static bool is_mark(const struct trace_dat_option *option)
{
	return option->id == TRACE_DAT_VERSION && option->size == sizeof(MARK) &&
		!memcmp(option->data, MARK, sizeof(MARK));
}

/**
 * copy_mark_read - is a file a copy that stamp wrote?
 * @dat: open
 *
 * This is a claim of the file: any program may have written it.
 *
 * Returns: true if the file says so.
 */
bool copy_mark_read(const struct trace_dat *dat)
{
	return any_of(i, dat->nr_options, is_mark(&dat->options[i]));
}
