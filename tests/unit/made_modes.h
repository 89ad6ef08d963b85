/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The modes of a vCPU, written as a string of letters. */
#ifndef TEST_MADE_MODES_H
#define TEST_MADE_MODES_H

#include "vcpu_modes.h"

struct vcpu_modes made_modes(const char *letters);

#endif /* TEST_MADE_MODES_H */
