/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * When, by the host's TSC, a guest took its snapshots of clocks, by the history of its TSC; and with that the guest's
 * clocks as functions of the host's TSC.
 *
 * A snapshot has the TSC of the vCPU that took it, and does not say which vCPU that was. After a jump backward one
 * value may also mean two times. Clocks decide: those of host and guest run equally fast.
 */
#ifndef TSC_OFFSET_GUEST_PLACES_H
#define TSC_OFFSET_GUEST_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock_line.h"
#include "mapping.h"

struct clock_rows;
struct vm_history;

/**
 * enum clock_model - what a guest's clocks do when its TSC jumps; all of them do the same
 * @CLOCK_RUNS_ON: they run on, as those of kvm-clock, which the host corrects
 * @CLOCK_JUMPS: they jump as well, as those of the clocksource tsc
 */
enum clock_model {
	CLOCK_RUNS_ON, CLOCK_JUMPS,
};

/**
 * struct guest_place - a snapshot of the guest
 * @row: its number
 * @host_tsc: when, in host cycles
 * @vcpu: number of a vCPU in the history by which it is so
 * @segment: what held then: number of the first segment of that vCPU that had not begun
 * @map: likewise
 * @broken: between it and the next the guest's clock did neither: it did not run, say
 */
struct guest_place {
	size_t			row;
	uint64_t		host_tsc;
	size_t			vcpu;
	size_t			segment;
	struct tsc_mapping	map;
	bool			broken;
};

/**
 * struct guest_places - all snapshots of a guest
 * @rows: these; the caller's
 * @vm: the history; the caller's
 * @places: those that have a place, in the order of host time; owned
 * @nr: how many
 * @nr_impossible: how many others there are: no vCPU ever had that TSC
 * @nr_broken: how many of @places are broken
 * @nr_jumps: between how many of them the TSC jumped
 * @model: what the guest's clocks did then
 * @unclear: the jumps are so small that it may be the other: then host times may be wrong by that many host cycles
 * @rivals: that many host cycles is the greatest difference to another place that a snapshot can have as well
 */
struct guest_places {
	const struct clock_rows		*rows;
	const struct vm_history		*vm;
	struct guest_place		*places;
	size_t				nr;
	size_t				nr_impossible;
	size_t				nr_broken;
	size_t				nr_jumps;
	enum clock_model		model;
	uint64_t			unclear;
	uint64_t			rivals;
};

/**
 * struct clock_rate - how fast a clock runs
 * @ns: in so many nanoseconds of it
 * @cycles: so many of the host's TSC
 */
struct clock_rate {
	uint64_t	ns;
	uint64_t	cycles;
};

int guest_places_find(struct guest_places *places, const struct clock_rows *rows, const struct vm_history *vm,
		      const struct clock_rate *host);
uint64_t guest_places_correct(struct guest_places *places);
int guest_places_line(const struct guest_places *places, unsigned int clock, struct clock_line *line);
void guest_places_limits(const struct guest_places *places, uint64_t *from, uint64_t *to);
void guest_places_release(struct guest_places *places);

#endif /* TSC_OFFSET_GUEST_PLACES_H */
