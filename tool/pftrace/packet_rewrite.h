/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Rewrites a guest's packets as packets of a machine in its host's trace, with host times. It knows which fields of
 * Perfetto's messages are times. Packets of unknown kinds are left out and counted.
 */
#ifndef TSC_OFFSET_PACKET_REWRITE_H
#define TSC_OFFSET_PACKET_REWRITE_H

#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "guest_times.h"
#include "sequences.h"
#include "wire_reader.h"

/* Kinds of packets that have their own counters: fields of TracePacket up to this one */
#define PACKET_KINDS	256

/**
 * enum left_out - why something was left out
 * @LEFT_OUT_NOTHING: not left out
 * @LEFT_OUT_KIND: a packet of a kind that may have unknown times
 * @LEFT_OUT_CLOCK: the clock or the moment of its time has no host times
 * @LEFT_OUT_MACHINE: it belongs to another machine
 * @LEFT_OUT_EVENT: an ftrace event with times of its own, or with an unknown time
 */
enum left_out {
	LEFT_OUT_NOTHING, LEFT_OUT_KIND, LEFT_OUT_CLOCK, LEFT_OUT_MACHINE, LEFT_OUT_EVENT, LEFT_OUT_REASONS,
};

/**
 * struct packet_rewrite - the packets of a guest being rewritten
 * @times: the guest's times; not owned
 * @machine_id: the machine that they become
 * @out: the last packet that was written
 * @sequences: the state of each sequence
 * @left_out: number of packets left out, by reason; for LEFT_OUT_EVENT the number of events
 * @kinds: for LEFT_OUT_KIND, numbers by the field that is the reason; 0 for fields without a counter
 */
struct packet_rewrite {
	struct guest_times	*times;
	uint32_t		machine_id;
	struct wire	out;
	struct sequences	sequences;
	uint64_t		left_out[LEFT_OUT_REASONS];
	uint64_t		kinds[PACKET_KINDS];
};

int packet_rewrite(struct packet_rewrite *rewrite, struct cursor packet);
int packet_copy_host(struct wire *out, struct cursor packet);
void packet_rewrite_release(struct packet_rewrite *rewrite);

#endif /* TSC_OFFSET_PACKET_REWRITE_H */
