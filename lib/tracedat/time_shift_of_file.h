/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Selects the TIME_SHIFT options of a file that stock readers apply. */
#ifndef TSC_OFFSET_TIME_SHIFT_OF_FILE_H
#define TSC_OFFSET_TIME_SHIFT_OF_FILE_H

#include "time_shift_reader.h"

struct trace_dat;

int time_shift_of_file(struct time_shift_reader *reader, struct trace_dat *dat);

#endif /* TSC_OFFSET_TIME_SHIFT_OF_FILE_H */
