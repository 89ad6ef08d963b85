/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Messages: whole lines on stderr. In the plugin, stdout belongs to the program that loaded it. */
#ifndef TSC_OFFSET_MESSAGE_H
#define TSC_OFFSET_MESSAGE_H

void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* TSC_OFFSET_MESSAGE_H */
