/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* tsc-offset stamp: synchronise a guest's file that was recorded without an agent. */
#ifndef TSC_OFFSET_STAMP_H
#define TSC_OFFSET_STAMP_H

#include "verb.h"

extern const struct verb stamp_verb;

#endif /* TSC_OFFSET_STAMP_H */
