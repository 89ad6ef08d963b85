/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A guest's packets as those of a machine in its host's trace: with host times. It knows which fields of Perfetto's
 * messages are times. Packets of a kind of which that is not known are left out and counted.
 */
#ifndef TSC_OFFSET_PACKET_REWRITE_H
#define TSC_OFFSET_PACKET_REWRITE_H

#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "guest_times.h"
#include "sequences.h"
#include "wire_reader.h"

/* Kinds of packets that are counted each on its own: fields of TracePacket up to this one */
#define PACKET_KINDS	256

/**
 * enum left_out - why something was left out
 * @LEFT_OUT_NOTHING: it was not
 * @LEFT_OUT_KIND: such packets may have times that are not known here
 * @LEFT_OUT_CLOCK: its time is by a clock, or at a moment, at which host times are not known
 * @LEFT_OUT_MACHINE: it is of another machine
 * @LEFT_OUT_EVENT: an ftrace event with times of its own, or with a time that is not known
 */
enum left_out {
	LEFT_OUT_NOTHING, LEFT_OUT_KIND, LEFT_OUT_CLOCK, LEFT_OUT_MACHINE, LEFT_OUT_EVENT, LEFT_OUT_REASONS,
};

/**
 * struct packet_rewrite - the packets of a guest while they are rewritten
 * @times: the guest's times; the caller's
 * @machine_id: which machine they become
 * @out: the packet that was written last
 * @sequences: the state of each sequence
 * @left_out: how many packets were left out, by reason; LEFT_OUT_EVENT has the number of events
 * @kinds: those of LEFT_OUT_KIND by the field that is the reason; 0 for those of fields that are not counted
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
