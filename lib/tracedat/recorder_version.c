// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdbool.h>
#include <string.h>

#include "recorder_version.h"
#include "trace_dat.h"

/* Retired options have this number as well, and anything in them */
static bool is_text(const struct trace_dat_option *option)
{
	const char *text = (const char *)option->data;
	size_t length = strnlen(text, option->size);

	if (option->id != TRACE_DAT_VERSION || !length || length + 1 < option->size || length > RECORDER_VERSION_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return true;
}

/**
 * recorder_version - which program recorded a file?
 * @dat: open
 *
 * Returns: what readers show, which is the last of these options that is a text; "" without one.
 */
const char *recorder_version(const struct trace_dat *dat)
{
	for (size_t i = dat->nr_options; i; i--) {
		if (is_text(&dat->options[i - 1]))
			return (const char *)dat->options[i - 1].data;
	}
	return "";
}
