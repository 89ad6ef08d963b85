/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
#ifndef TSC_OFFSET_EXPLAIN_H
#define TSC_OFFSET_EXPLAIN_H

#include "verb.h"

extern const struct verb explain_verb;

#endif /* TSC_OFFSET_EXPLAIN_H */
