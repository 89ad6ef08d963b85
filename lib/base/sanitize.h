/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_SANITIZE_H
#define TSC_OFFSET_SANITIZE_H

void sanitize(char *text);
char *sanitized(const char *text);
char *sanitized_json(const char *text);

#endif /* TSC_OFFSET_SANITIZE_H */
