/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Estimates initial offsets that are unknown: those with which a guest's events are at times its vCPUs ran
 * (estimate.h).
 */
#ifndef TSC_OFFSET_INITIAL_ESTIMATE_H
#define TSC_OFFSET_INITIAL_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_vcpus;
struct initial_offsets;
struct findings;
struct trace_dat;

/**
 * struct estimate_limit - the largest permitted error of an estimate
 * @amount: in cycles or nanoseconds
 * @in_ns: @amount is in nanoseconds
 */
struct estimate_limit {
	uint64_t	amount;
	bool		in_ns;
};

/* The default of stamp --max-error: 1 ms */
#define ESTIMATE_LIMIT_DEFAULT ((struct estimate_limit) { 1000000, true })

/* Describes valid input of estimate_limit_parse(), as in "--max-error requires ..." */
#define ESTIMATE_LIMIT_WANTS "a number of ns, us, ms or s, or of cycles"

int estimate_limit_parse(void *result, const char *text);
size_t initial_offsets_lacking(const struct guest_vcpus *vcpus);
int initial_offsets_estimate(struct initial_offsets *initial, const struct trace_dat *host,
			    const struct guest_vcpus *vcpus, struct trace_dat *guest, bool any_clock,
			    const struct estimate_limit *limit, struct findings *findings);

#endif /* TSC_OFFSET_INITIAL_ESTIMATE_H */
