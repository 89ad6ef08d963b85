/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds the host TSC of each snapshot of a guest's clocks by the history of its TSC, and from that the guest's clocks
 * as functions of the host's TSC.
 *
 * A snapshot has the TSC of the vCPU that took it, but not the number of that vCPU. After a jump backward, one value
 * may also mean two times. Clocks decide: those of host and guest run at the same speed.
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
 * enum clock_model - the reaction of all clocks of a guest to a jump of its TSC
 * @CLOCK_RUNS_ON: they continue, like those of kvm-clock, which the host corrects
 * @CLOCK_JUMPS: they jump as well, like those of the clocksource tsc
 */
enum clock_model {
	CLOCK_RUNS_ON, CLOCK_JUMPS,
};

/**
 * struct guest_place - a snapshot of the guest
 * @row: index of its row
 * @host_tsc: its time, in host cycles
 * @vcpu: index of a vCPU whose history gives this time
 * @segment: the segment at that time: index of the first segment of that vCPU that had not begun
 * @map: the mapping at that time
 * @broken: between it and the next, the guest's clock did neither: for example, it stopped
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
 * @rows: the snapshots; not owned
 * @vm: the history; not owned
 * @places: places of the snapshots that have one, in the order of host time; owned
 * @nr: number of @places
 * @nr_impossible: number of other snapshots: no vCPU ever had that TSC
 * @nr_broken: number of @places that are broken
 * @nr_jumps: number of pairs of neighbours between which the TSC jumped
 * @model: the reaction of the guest's clocks
 * @unclear: jumps too small to decide the model: host times may be wrong by that many host cycles
 * @rivals: the largest difference, in host cycles, to another possible place of a snapshot
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
 * struct clock_rate - the speed of a clock
 * @ns: nanoseconds of the clock
 * @cycles: host TSC cycles in the same time
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
