/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_XML_TEXT_H
#define TSC_OFFSET_XML_TEXT_H

#include <stdio.h>

void xml_text_write(const char *text, FILE *file);

#endif /* TSC_OFFSET_XML_TEXT_H */
