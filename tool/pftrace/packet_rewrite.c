// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "packet.h"
#include "packet_rewrite.h"

/* Bits of TracePacket.sequence_flags */
enum { STATE_CLEARED = 1, NEEDS_STATE = 2 };

/* Fields of TracePacket that only this file uses */
enum {
	PACKET_FLAGS = 13, PACKET_CLEARED = 41, PACKET_DROPPED = 42, PACKET_DEFAULTS = 59,
};

/* Of TracePacketDefaults */
#define DEFAULTS_CLOCK_ID	58

/* Messages with fields that are not only copied */
enum message {
	TRACE_PACKET, BUNDLE, EVENT, FTRACE_ERROR, COMPACT_SCHED, PROCESS_TREE, PROCESS, PROCESS_STATS, SYS_STATS,
	FTRACE_STATS, FTRACE_CPU_STATS, TRACK_EVENT, TRACK_DESCRIPTOR, PROCESS_DESCRIPTOR, THREAD_DESCRIPTOR,
};

/*
 * The action for a field, in this order: copy it; process it as a message; convert it as a time of CLOCK_ID_BOOTTIME;
 * the same, but drop it if unknown, because nothing depends on it; convert packed differences of such times; process it
 * as an ftrace event, which can be dropped alone; drop it; refuse its message; refuse its message unless it is zero;
 * write it anew.
 */
enum action {
	KEEP, LOOK_INTO, TIME, TIME_OR_DROP, TIME_DELTAS, FTRACE_EVENT, DROP, REFUSE, REFUSE_NONZERO, ANEW,
};

struct rule {
	enum message	message;
	uint32_t	field;
	enum action	action;
	enum message	into;
};

/*
 * As in protos/perfetto/trace of Perfetto 58. Fields of a packet that are not listed are refused; those of other
 * messages are kept. Dropped are times that are not times of events, and the configuration and name of the recording,
 * which do not belong to the machine.
 */
static const struct rule rules[] = {
	{ TRACE_PACKET, 1, LOOK_INTO, BUNDLE },
	{ TRACE_PACKET, 2, LOOK_INTO, PROCESS_TREE },
	{ TRACE_PACKET, 3, KEEP, 0 },			/* trusted_uid */
	{ TRACE_PACKET, 4, KEEP, 0 },			/* inode_file_map */
	{ TRACE_PACKET, PACKET_CLOCK_SNAPSHOT, DROP, 0 },
	{ TRACE_PACKET, 7, LOOK_INTO, SYS_STATS },
	{ TRACE_PACKET, PACKET_TIMESTAMP, ANEW, 0 },
	{ TRACE_PACKET, 9, LOOK_INTO, PROCESS_STATS },
	{ TRACE_PACKET, PACKET_SEQUENCE, KEEP, 0 },
	{ TRACE_PACKET, 11, LOOK_INTO, TRACK_EVENT },
	{ TRACE_PACKET, 12, KEEP, 0 },			/* interned_data */
	{ TRACE_PACKET, PACKET_FLAGS, KEEP, 0 },
	{ TRACE_PACKET, 33, DROP, 0 },			/* trace_config */
	{ TRACE_PACKET, 34, LOOK_INTO, FTRACE_STATS },
	{ TRACE_PACKET, 35, KEEP, 0 },			/* trace_stats */
	{ TRACE_PACKET, 36, DROP, 0 },			/* synchronization_marker */
	{ TRACE_PACKET, PACKET_CLEARED, KEEP, 0 },
	{ TRACE_PACKET, PACKET_DROPPED, KEEP, 0 },
	{ TRACE_PACKET, 43, LOOK_INTO, PROCESS_DESCRIPTOR },
	{ TRACE_PACKET, 44, LOOK_INTO, THREAD_DESCRIPTOR },
	{ TRACE_PACKET, 45, KEEP, 0 },			/* system_info */
	{ TRACE_PACKET, 46, KEEP, 0 },			/* trigger */
	{ TRACE_PACKET, 47, KEEP, 0 },			/* packages_list */
	{ TRACE_PACKET, PACKET_CLOCK_ID, ANEW, 0 },
	{ TRACE_PACKET, PACKET_DEFAULTS, KEEP, 0 },
	{ TRACE_PACKET, 60, LOOK_INTO, TRACK_DESCRIPTOR },
	{ TRACE_PACKET, 61, KEEP, 0 },			/* module_symbols */
	{ TRACE_PACKET, 64, KEEP, 0 },			/* deobfuscation_mapping */
	{ TRACE_PACKET, 66, KEEP, 0 },			/* perf_sample */
	{ TRACE_PACKET, 67, KEEP, 0 },			/* cpu_info */
	{ TRACE_PACKET, 68, KEEP, 0 },			/* smaps_packet */
	{ TRACE_PACKET, PACKET_SERVICE_EVENT, KEEP, 0 },
	{ TRACE_PACKET, 72, KEEP, 0 },			/* extension_descriptor */
	{ TRACE_PACKET, 79, KEEP, 0 },			/* trusted_pid */
	{ TRACE_PACKET, 82, KEEP, 0 },			/* translation_table */
	{ TRACE_PACKET, 87, KEEP, 0 },			/* first_packet_on_sequence */
	{ TRACE_PACKET, 89, DROP, 0 },			/* trace_uuid */
	{ TRACE_PACKET, PACKET_MACHINE_ID, ANEW, 0 },
	{ TRACE_PACKET, PACKET_CLOCK_SYNC, DROP, 0 },
	{ TRACE_PACKET, 117, KEEP, 0 },			/* generic_kernel_task_state_event */
	{ TRACE_PACKET, 118, KEEP, 0 },			/* generic_kernel_cpu_freq_event */
	{ TRACE_PACKET, 120, KEEP, 0 },			/* generic_kernel_task_rename_event */
	{ TRACE_PACKET, 122, KEEP, 0 },			/* generic_kernel_process_tree */
	{ TRACE_PACKET, 124, DROP, 0 },			/* trace_provenance */
	{ TRACE_PACKET, 126, DROP, 0 },			/* trace_attributes */
	{ TRACE_PACKET, 130, KEEP, 0 },			/* interrupt_info */

	{ BUNDLE, 2, FTRACE_EVENT, EVENT },
	{ BUNDLE, 4, LOOK_INTO, COMPACT_SCHED },
	{ BUNDLE, 5, REFUSE_NONZERO, 0 },		/* ftrace_clock: another one than CLOCK_ID_BOOTTIME */
	{ BUNDLE, 6, DROP, 0 },				/* ftrace_timestamp, of that clock */
	{ BUNDLE, 7, DROP, 0 },				/* boot_timestamp, likewise */
	{ BUNDLE, 8, LOOK_INTO, FTRACE_ERROR },
	{ BUNDLE, 9, TIME_OR_DROP, 0 },			/* last_read_event_timestamp */
	{ BUNDLE, 10, TIME_OR_DROP, 0 },		/* previous_bundle_end_timestamp */
	{ BUNDLE, 512, DROP, 0 },			/* broken_abi_trace_page: as the kernel wrote it */

	{ EVENT, 1, TIME, 0 },
	{ EVENT, 488, REFUSE, 0 },			/* gpu_work_period */
	{ EVENT, 506, REFUSE, 0 },			/* thermal_exynos_acpm_bulk */
	{ EVENT, 536, REFUSE, 0 },			/* kgsl_adreno_cmdbatch_sync */
	{ EVENT, 537, REFUSE, 0 },			/* kgsl_adreno_cmdbatch_retired */
	{ EVENT, 543, REFUSE, 0 },			/* param_set_value_cpm */
	{ EVENT, 596, REFUSE, 0 },			/* fwtp_perfetto_counter */
	{ EVENT, 600, REFUSE, 0 },			/* fwtp_perfetto_slice */
	{ FTRACE_ERROR, 1, TIME_OR_DROP, 0 },
	{ COMPACT_SCHED, 1, TIME_DELTAS, 0 },		/* switch_timestamp */
	{ COMPACT_SCHED, 7, TIME_DELTAS, 0 },		/* waking_timestamp */

	{ PROCESS_TREE, 1, LOOK_INTO, PROCESS },
	{ PROCESS_TREE, 3, DROP, 0 },			/* collection_end_timestamp */
	{ PROCESS, 7, DROP, 0 },			/* process_start_from_boot: long before the recording */
	{ PROCESS_STATS, 2, DROP, 0 },			/* collection_end_timestamp */
	{ SYS_STATS, 9, DROP, 0 },			/* likewise */
	{ FTRACE_STATS, 2, LOOK_INTO, FTRACE_CPU_STATS },
	{ FTRACE_CPU_STATS, 6, DROP, 0 },		/* oldest_event_ts */
	{ FTRACE_CPU_STATS, 7, DROP, 0 },		/* now_ts */
	{ TRACK_EVENT, 1, REFUSE, 0 },			/* timestamp_delta_us: older than TracePacket's own time */
	{ TRACK_EVENT, 16, REFUSE, 0 },			/* timestamp_absolute_us: likewise */
	{ TRACK_DESCRIPTOR, 3, LOOK_INTO, PROCESS_DESCRIPTOR },
	{ TRACK_DESCRIPTOR, 4, LOOK_INTO, THREAD_DESCRIPTOR },
	{ PROCESS_DESCRIPTOR, 7, DROP, 0 },		/* start_timestamp_ns */
	{ THREAD_DESCRIPTOR, 6, DROP, 0 },		/* reference_timestamp_us */
};

/* The metadata of a packet */
struct head {
	uint64_t	sequence;
	uint64_t	flags;
	bool		dropped;
	bool		has_time;
	uint64_t	time;
	uint64_t	clock;
	uint64_t	machine;
	bool		has_snapshot;
	struct cursor	snapshot;
	bool		has_defaults;
	uint64_t	default_clock;
};

static const struct rule *rule_of(enum message message, uint32_t field)
{
	static const struct rule keep = { .action = KEEP }, refuse = { .action = REFUSE };

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].message == message && rules[i].field == field)
			return &rules[i];
	}
	return message == TRACE_PACKET ? &refuse : &keep;
}

static int read_defaults(struct head *head, struct cursor defaults)
{
	struct wire_field field;
	int ret;

	head->has_defaults = true;
	head->default_clock = 0;
	while ((ret = wire_take_field(&defaults, &field)) > 0) {
		if (field.number == DEFAULTS_CLOCK_ID && field.type == WIRE_NUMBER)
			head->default_clock = field.value;
	}
	return ret;
}

static void read_number(struct head *head, const struct wire_field *field)
{
	switch (field->number) {
	case PACKET_SEQUENCE:
		head->sequence = field->value;
		break;
	case PACKET_FLAGS:
		head->flags |= field->value;
		break;
	case PACKET_CLEARED:
		head->flags |= field->value ? STATE_CLEARED : 0;
		break;
	case PACKET_DROPPED:
		head->dropped |= field->value;
		break;
	case PACKET_TIMESTAMP:
		head->has_time = true;
		head->time = field->value;
		break;
	case PACKET_CLOCK_ID:
		head->clock = field->value;
		break;
	case PACKET_MACHINE_ID:
		head->machine = field->value;
		break;
	}
}

static int read_bytes(struct head *head, const struct wire_field *field)
{
	switch (field->number) {
	case PACKET_CLOCK_SNAPSHOT:
		head->has_snapshot = true;
		head->snapshot = field->bytes;
		return 0;
	case PACKET_DEFAULTS:
		return read_defaults(head, field->bytes);
	default:
		return 0;
	}
}

static int read_head(struct head *head, struct cursor packet)
{
	struct wire_field field;
	int ret;

	*head = (struct head) { 0 };
	while ((ret = wire_take_field(&packet, &field)) > 0) {
		if (field.type == WIRE_NUMBER)
			read_number(head, &field);
		/* Perfetto would misinterpret a time or a clock of another type, or ignore it */
		else if (field.number == PACKET_TIMESTAMP || field.number == PACKET_CLOCK_ID ||
			 (field.type == WIRE_BYTES && read_bytes(head, &field)))
			return -EBADMSG;
	}
	return ret;
}

static enum left_out rewrite_message(struct packet_rewrite *rewrite, enum message message, struct cursor bytes,
				     uint32_t *kind);

/* Differences of times in the order of their events, each from the time before */
static enum left_out rewrite_deltas(struct packet_rewrite *rewrite, const struct wire_field *field)
{
	struct cursor packed = field->bytes;
	size_t begin = wire_put_begin(&rewrite->out, field->number);
	uint64_t time = 0, last = 0, delta, at;

	while (packed.left) {
		if (!wire_take_number(&packed, &delta))
			return LEFT_OUT_KIND;
		time += delta;
		if (!guest_times_at(rewrite->times, CLOCK_ID_BOOTTIME, time, &at))
			return LEFT_OUT_CLOCK;
		wire_put_number(&rewrite->out, at - last);
		last = at;
	}
	wire_put_end(&rewrite->out, begin);
	return LEFT_OUT_NOTHING;
}

static enum left_out look_into(struct packet_rewrite *rewrite, const struct wire_field *field, enum message into)
{
	size_t begin = wire_put_begin(&rewrite->out, field->number);
	enum left_out why;
	uint32_t kind;

	why = rewrite_message(rewrite, into, field->bytes, &kind);
	wire_put_end(&rewrite->out, begin);
	return why;
}

static enum left_out rewrite_time(struct packet_rewrite *rewrite, const struct wire_field *field, bool needed)
{
	uint64_t at;

	/* Perfetto writes 0 for unknown values */
	if (!needed && !field->value)
		return LEFT_OUT_NOTHING;
	if (!guest_times_at(rewrite->times, CLOCK_ID_BOOTTIME, field->value, &at))
		return needed ? LEFT_OUT_CLOCK : LEFT_OUT_NOTHING;
	wire_put_field(&rewrite->out, field->number, at);
	return LEFT_OUT_NOTHING;
}

static enum left_out rewrite_event(struct packet_rewrite *rewrite, const struct wire_field *field, enum message into)
{
	size_t size = rewrite->out.size;

	if (look_into(rewrite, field, into)) {
		rewrite->out.size = size;
		rewrite->left_out[LEFT_OUT_EVENT]++;
	}
	return LEFT_OUT_NOTHING;
}

static enum wire_type type_of(enum action action)
{
	return action == TIME || action == TIME_OR_DROP || action == REFUSE_NONZERO ? WIRE_NUMBER : WIRE_BYTES;
}

static enum left_out rewrite_field(struct packet_rewrite *rewrite, const struct rule *rule,
				   const struct wire_field *field)
{
	switch (rule->action) {
	case KEEP:
		wire_put_bytes(&rewrite->out, field->whole.at, field->whole.left);
		return LEFT_OUT_NOTHING;
	case DROP:
	case ANEW:
		return LEFT_OUT_NOTHING;
	case REFUSE:
		return LEFT_OUT_KIND;
	default:
		break;
	}
	if (field->type != type_of(rule->action))
		return LEFT_OUT_KIND;
	switch (rule->action) {
	case LOOK_INTO:
		return look_into(rewrite, field, rule->into);
	case FTRACE_EVENT:
		return rewrite_event(rewrite, field, rule->into);
	case TIME_DELTAS:
		return rewrite_deltas(rewrite, field);
	case REFUSE_NONZERO:
		return field->value ? LEFT_OUT_CLOCK : LEFT_OUT_NOTHING;
	default:
		return rewrite_time(rewrite, field, rule->action == TIME);
	}
}

/* @kind: result: the field that is the reason */
static enum left_out rewrite_message(struct packet_rewrite *rewrite, enum message message, struct cursor bytes,
				     uint32_t *kind)
{
	struct wire_field field;
	int ret;

	*kind = 0;
	while ((ret = wire_take_field(&bytes, &field)) > 0) {
		enum left_out why = rewrite_field(rewrite, rule_of(message, field.number), &field);

		if (why) {
			*kind = field.number;
			return why;
		}
	}
	return ret ? LEFT_OUT_KIND : LEFT_OUT_NOTHING;
}

/*
 * Events of the service after which Perfetto's trace processor would process everything so far, even without all guests
 */
static int is_marker(struct cursor packet, bool *marker)
{
	struct wire_field field, event;
	int ret, inner = 0;

	*marker = false;
	while ((ret = wire_take_field(&packet, &field)) > 0) {
		if (field.number != PACKET_SERVICE_EVENT || field.type != WIRE_BYTES)
			continue;
		while ((inner = wire_take_field(&field.bytes, &event)) > 0)
			*marker |= event.number == SERVICE_FLUSHED || event.number == SERVICE_READ_BUFFERS;
		if (inner)
			return inner;
	}
	return ret;
}

/* The parts of a dropped packet that other packets of its sequence need */
static int put_state(struct packet_rewrite *rewrite, struct cursor packet)
{
	static const uint32_t fields[] = { 3, PACKET_SEQUENCE, 12, PACKET_FLAGS, PACKET_CLEARED, PACKET_DROPPED,
					   PACKET_DEFAULTS, 79, 87 };
	struct wire_field field;
	int ret;

	while ((ret = wire_take_field(&packet, &field)) > 0) {
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			if (field.number == fields[i])
				wire_put_bytes(&rewrite->out, field.whole.at, field.whole.left);
		}
	}
	return ret;
}

static void leave_out(struct packet_rewrite *rewrite, enum left_out why, uint32_t kind)
{
	rewrite->left_out[why]++;
	if (why == LEFT_OUT_KIND)
		rewrite->kinds[kind < PACKET_KINDS ? kind : 0]++;
}

/* The state of its sequence, as Perfetto's trace processor keeps it */
static int take_head(struct packet_rewrite *rewrite, const struct head *head, struct sequence **sequence)
{
	int ret = sequences_get(&rewrite->sequences, head->sequence, sequence);

	if (ret)
		return ret;
	if (head->flags & STATE_CLEARED) {
		(*sequence)->valid = true;
		(*sequence)->default_clock = 0;
	} else if (head->dropped) {
		(*sequence)->valid = false;
	}
	if (head->has_defaults)
		(*sequence)->default_clock = head->default_clock;
	return head->has_snapshot ? sequence_take_snapshot(*sequence, head->snapshot) : 0;
}

static enum left_out rewrite_head(struct packet_rewrite *rewrite, const struct head *head, struct sequence *sequence)
{
	uint64_t clock = head->clock ?: sequence->default_clock ?: CLOCK_ID_BOOTTIME, ns = head->time, at;

	if (!head->has_time || head->has_snapshot)
		return LEFT_OUT_NOTHING;
	if (!sequence_time(sequence, &clock, &ns) || !guest_times_at(rewrite->times, clock, ns, &at))
		return LEFT_OUT_CLOCK;
	wire_put_field(&rewrite->out, PACKET_TIMESTAMP, at);
	wire_put_field(&rewrite->out, PACKET_CLOCK_ID, CLOCK_ID_BOOTTIME);
	return LEFT_OUT_NOTHING;
}

static int rewrite_packet(struct packet_rewrite *rewrite, struct cursor packet)
{
	struct sequence *sequence;
	struct head head;
	enum left_out why;
	uint32_t kind = 0;
	bool marker;
	size_t begin;
	int ret;

	ret = read_head(&head, packet) ?: is_marker(packet, &marker);
	if (ret)
		return ret;
	if (head.machine) {
		leave_out(rewrite, LEFT_OUT_MACHINE, 0);
		return 0;
	}
	ret = take_head(rewrite, &head, &sequence);
	if (ret)
		return ret;
	begin = wire_put_begin(&rewrite->out, 1);
	wire_put_field(&rewrite->out, PACKET_MACHINE_ID, rewrite->machine_id);
	/* Perfetto's trace processor does not use it either, and its time may be a difference to a lost one */
	if (marker || (head.flags & NEEDS_STATE && !sequence->valid)) {
		ret = put_state(rewrite, packet);
	} else {
		why = rewrite_head(rewrite, &head, sequence);
		if (!why)
			why = rewrite_message(rewrite, TRACE_PACKET, packet, &kind);
		if (why) {
			leave_out(rewrite, why, kind);
			rewrite->out.size = begin;
			wire_put_field(&rewrite->out, PACKET_MACHINE_ID, rewrite->machine_id);
			ret = put_state(rewrite, packet);
		}
	}
	wire_put_end(&rewrite->out, begin);
	return ret;
}

/**
 * packet_rewrite - rewrite the next packet of a guest
 * @rewrite: the packets; all earlier ones must have been rewritten
 * @packet: the packet, from packet_file_next()
 *
 * Afterwards, @rewrite's @out has it with its tag and length, or is empty if nothing is left.
 *
 * Returns: 0, -EBADMSG if it is not a packet, -E2BIG if there are too many sequences, or -ENOMEM.
 */
int packet_rewrite(struct packet_rewrite *rewrite, struct cursor packet)
{
	int ret;

	rewrite->out.size = 0;
	ret = rewrite_packet(rewrite, packet);
	return ret ? ret : rewrite->out.failed ? -ENOMEM : 0;
}

/**
 * packet_copy_host - copy a packet of the host
 * @out: result: the packet with its tag and length
 * @packet: the packet, from packet_file_next()
 *
 * It is unchanged, except for events of the service after which Perfetto would not accept the guest's packets.
 *
 * Returns: 0, -EBADMSG or -ENOMEM.
 */
int packet_copy_host(struct wire *out, struct cursor packet)
{
	struct wire_field field;
	bool marker;
	size_t begin;
	int ret = is_marker(packet, &marker);

	out->size = 0;
	begin = wire_put_begin(out, 1);
	while (!ret && (ret = wire_take_field(&packet, &field)) > 0) {
		ret = 0;
		if (!marker || field.number != PACKET_SERVICE_EVENT)
			wire_put_bytes(out, field.whole.at, field.whole.left);
	}
	wire_put_end(out, begin);
	return ret ? ret : out->failed ? -ENOMEM : 0;
}

/**
 * packet_rewrite_release - free the packets
 * @rewrite: the packets, in any state
 */
void packet_rewrite_release(struct packet_rewrite *rewrite)
{
	wire_release(&rewrite->out);
	sequences_release(&rewrite->sequences);
}
