/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Names in commands that users copy into a shell. */
#ifndef TSC_OFFSET_SHELL_WORD_H
#define TSC_OFFSET_SHELL_WORD_H

char *shell_word(const char *name);

#endif /* TSC_OFFSET_SHELL_WORD_H */
