/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds the ratio by which a guest's TSC is scaled if neither events nor files have it. With the right ratio, all
 * events lie in guest mode. Offsets must be known: for each span of guest mode, each event then permits a range of
 * ratios, and few ratios satisfy all events.
 */
#ifndef TSC_OFFSET_FIT_RATIO_H
#define TSC_OFFSET_FIT_RATIO_H

#include <stddef.h>
#include <stdint.h>

struct fit_host;

/* Ratios are fixed-point numbers with this many fraction bits */
#define FIT_RATIO_BITS	60
/* Range of the search: from a quarter to eight */
#define FIT_RATIO_MIN	(1ULL << (FIT_RATIO_BITS - 2))
#define FIT_RATIO_MAX	(1ULL << (FIT_RATIO_BITS + 3))

/**
 * struct fit_ratios - the ratios that remain
 * @low, @high: lowest and highest ratio of each range, in order, without touching ranges; owned
 * @nr: number of ranges
 */
struct fit_ratios {
	uint64_t	*low;
	uint64_t	*high;
	size_t		nr;
};

int fit_ratios_begin(struct fit_ratios *ratios);
int fit_ratios_narrow(struct fit_ratios *ratios, const struct fit_host *host, size_t vcpu, const uint64_t *times,
		      size_t nr_times);
void fit_ratios_release(struct fit_ratios *ratios);

#endif /* TSC_OFFSET_FIT_RATIO_H */
