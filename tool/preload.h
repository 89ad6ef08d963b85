/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_PRELOAD_H
#define TSC_OFFSET_PRELOAD_H

const char *preload_obstacle(const char *program, const char *symbol, const char *prefix);
int preload_add(const char *object);

#endif /* TSC_OFFSET_PRELOAD_H */
