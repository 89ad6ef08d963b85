/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The proof of a recording of guests right after it was made. */
#ifndef TSC_OFFSET_RECORD_PROOF_H
#define TSC_OFFSET_RECORD_PROOF_H

#include <time.h>

void record_proof_say(const char *host_path, const struct timespec *begin);

#endif /* TSC_OFFSET_RECORD_PROOF_H */
