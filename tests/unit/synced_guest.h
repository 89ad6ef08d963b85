/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A recorded guest of fake_kvmhost. Stock readers' results with the hook's
 * sync points are compared with the fake host.
 */
#ifndef TEST_SYNCED_GUEST_H
#define TEST_SYNCED_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

#define OFFSET		(-1000000000LL)
#define FAR		1000000
#define SCALED(speed)	(struct tsc_mapping) { OFFSET, (uint64_t)((speed) * (1ULL << 48)), 48 }

struct guest_clock;
struct time_shift_reader;

struct guest_clock *open_clock(size_t nr_cpus);
void sync_clock(struct guest_clock *clock, struct time_shift_reader *reader);
void check_time(const struct time_shift_reader *reader, size_t cpu, const struct tsc_mapping *map, uint64_t host_tsc);
bool has_offset(struct guest_clock *clock, size_t cpu, int64_t offset);
void check_vcpu(const struct time_shift_reader *reader, size_t cpu, size_t vcpu, uint64_t from);
void check_sync(struct guest_clock *clock, uint64_t from);
void check_close(struct guest_clock *clock, size_t lines);
void move_all(void);
bool wait_for(bool (*condition)(struct guest_clock *clock), struct guest_clock *clock);
bool has_drained(struct guest_clock *clock);

#endif /* TEST_SYNCED_GUEST_H */
