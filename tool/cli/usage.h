/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What verbs share of their command lines: the line that says what is wrong and where the help is. */
#ifndef TSC_OFFSET_USAGE_H
#define TSC_OFFSET_USAGE_H

#include "verb.h"

struct option;

enum exit_status misuse(const char *verb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
enum exit_status misuse_option(char **argv, const struct option *options);
enum exit_status misuse_no_value(char **argv);

#endif /* TSC_OFFSET_USAGE_H */
