/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_PLUGIN_FILE_H
#define TSC_OFFSET_PLUGIN_FILE_H

char *plugin_file_find(const char **why);

#endif /* TSC_OFFSET_PLUGIN_FILE_H */
