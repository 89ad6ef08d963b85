/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Converts a recording of version 6 into a copy of version 7, to which options can be added. trace-cmd does the
 * conversion.
 */
#ifndef TSC_OFFSET_CONVERT_V6_H
#define TSC_OFFSET_CONVERT_V6_H

int convert_v6(const char *path, const char *beside, char **converted);

#endif /* TSC_OFFSET_CONVERT_V6_H */
