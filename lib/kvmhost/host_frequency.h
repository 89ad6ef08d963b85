/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The frequency of this machine's TSC. */
#ifndef TSC_OFFSET_HOST_FREQUENCY_H
#define TSC_OFFSET_HOST_FREQUENCY_H

#include <stdbool.h>

struct tsc_frequency;

bool host_frequency_read(struct tsc_frequency *frequency);

#endif /* TSC_OFFSET_HOST_FREQUENCY_H */
