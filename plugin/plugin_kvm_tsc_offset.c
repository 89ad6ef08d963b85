// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * libtraceevent plugin: shows kvm:kvm_write_tsc_offset with signed offsets and their difference.
 *
 *	vcpu=0 prev=-19918635167 next=-19866635167 delta=+52000000 (+20.030 ms)
 *
 * The time in brackets requires the option tsc_khz; ratio and vm follow if the kernel reports them. Such a kernel also
 * has kvm:kvm_write_tsc_multiplier, shown with ratios as numbers:
 *
 *	vcpu=0 prev=1.000000000 next=1.250000000 offset=-19918635167 vm=1234-12
 *
 * followed by "protected" for a vCPU whose TSC KVM cannot change.
 *
 * A line depends only on its record: KernelShark requests rows in any order and from several threads, and the buffers
 * of one file share a handle.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <traceevent/event-parse.h>
#include <traceevent/trace-seq.h>

#include "duration.h"
#include "event.h"
#include "mapping.h"

#include "weak_tep.h"

#define PLUGIN_ALIAS	"kvm_tsc_offset"
#define EXPORT		__attribute__((visibility("default")))

/* What libtraceevent does with a record after the handler */
enum {
	HANDLED		= 0,
	PRINT_DEFAULT	= 1,
};

typedef unsigned __int128 u128;

int TEP_PLUGIN_LOADER(struct tep_handle *tep);
int TEP_PLUGIN_UNLOADER(struct tep_handle *tep);

/*
 * libtraceevent keeps options per process, not per handle. A value that is not NULL marks an option with a value. priv
 * belongs to the plugin: the last value that caused a message.
 */
static struct tep_plugin_option plugin_options[] = {
	{
		.name = "tsc_khz",
		.plugin_alias = PLUGIN_ALIAS,
		.description = "TSC frequency of the guest in kHz: shows changes in time units too",
		.value = "",
	},
	{
		.name = NULL,
	},
};

/*
 * Number of handles with the plugin loaded; the options are registered while it is not 0. Loading and unloading have no
 * locks in libtraceevent, so its callers must not run them in parallel.
 */
static unsigned int nr_handles;

/* Of several threads, only the first with an invalid value prints the message */
static void complain_once(struct tep_plugin_option *option, const char *value)
{
	if (__atomic_exchange_n(&option->priv, (void *)value, __ATOMIC_RELAXED) == value)
		return;
	fprintf(stderr, "%s: %s=%s ignored: not a frequency in kHz (1 to %u)\n",
		PLUGIN_ALIAS, option->name, value, UINT32_MAX);
}

/*
 * Read anew for each record: an option can be set at any time, by a text that libtraceevent owns. Returns 0 without a
 * valid value.
 */
static uint32_t option_tsc_khz(void)
{
	struct tep_plugin_option *option = &plugin_options[0];
	const char *value = __atomic_load_n(&option->value, __ATOMIC_RELAXED);
	uint64_t khz = 0;
	const char *digit;

	if (!value || !*value)
		return 0;

	for (digit = value; isdigit((unsigned char)*digit) && khz <= UINT32_MAX; digit++)
		khz = khz * 10 + (uint64_t)(*digit - '0');
	if (*digit || !khz || khz > UINT32_MAX) {
		complain_once(option, value);
		return 0;
	}
	return (uint32_t)khz;
}

static void print_ratio(struct trace_seq *s, uint64_t ratio, uint32_t frac_bits)
{
	const uint64_t billion = 1000000000;
	u128 half = frac_bits ? (u128)1 << (frac_bits - 1) : 0;
	u128 billionths = ((u128)ratio * billion + half) >> frac_bits;

	trace_seq_printf(s, "%llu.%09llu", (unsigned long long)(billionths / billion),
			 (unsigned long long)(billionths % billion));
}

/* Its number, or, with earlier patches, the name of its directory in KVM's debugfs */
static void print_vm(struct trace_seq *s, const struct tsc_offset_event *change)
{
	if (change->vm_id)
		trace_seq_printf(s, " vm_id=%llu", (unsigned long long)change->vm_id);
	if (!change->vm_pid)
		return;
	trace_seq_printf(s, " vm=%d", change->vm_pid);
	if (change->vm_fd >= 0)
		trace_seq_printf(s, "-%d", change->vm_fd);
}

/* Writes nothing before the record is known to be valid, because the default formatter starts from the beginning */
static bool decode(const struct tep_record *record, struct tep_event *event, struct tsc_offset_event *change)
{
	struct tsc_offset_format format;

	return record->size >= 0 && !tsc_offset_format_init(&format, event) &&
	       !tsc_offset_event_decode(&format, record->ts, record->data, (size_t)record->size, change);
}

static int print_tsc_offset(struct trace_seq *s, struct tep_record *record,
			    struct tep_event *event, void *context)
{
	struct tsc_duration duration;
	struct tsc_offset_event change;
	struct tsc_mapping map;
	int64_t delta;
	uint32_t khz;

	if (!decode(record, event, &change))
		return PRINT_DEFAULT;

	/* Offsets are modulo 2^64, and so is their difference */
	delta = (int64_t)((uint64_t)change.next - (uint64_t)change.previous);
	trace_seq_printf(s, "vcpu=%u prev=%lld next=%lld delta=%+lld", change.vcpu_id,
			 (long long)change.previous, (long long)change.next, (long long)delta);

	khz = option_tsc_khz();
	if (khz)
		trace_seq_printf(s, " (%s)", tsc_duration(&duration, delta, khz));

	map = (struct tsc_mapping) {
		.offset		= change.next,
		.ratio		= change.ratio,
		.frac_bits	= change.frac_bits,
	};
	if (tsc_mapping_scaled(&map)) {
		trace_seq_printf(s, " ratio=");
		print_ratio(s, map.ratio, map.frac_bits);
	}
	print_vm(s, &change);
	return HANDLED;
}

static int print_tsc_multiplier(struct trace_seq *s, struct tep_record *record,
				struct tep_event *event, void *context)
{
	struct tsc_offset_event change;

	if (!decode(record, event, &change))
		return PRINT_DEFAULT;
	trace_seq_printf(s, "vcpu=%u prev=", change.vcpu_id);
	print_ratio(s, change.previous_ratio, change.frac_bits);
	trace_seq_printf(s, " next=");
	print_ratio(s, change.ratio, change.frac_bits);
	trace_seq_printf(s, " offset=%lld", (long long)change.next);
	print_vm(s, &change);
	if (change.tsc_protected)
		trace_seq_printf(s, " protected");
	return HANDLED;
}

/* Programs with their own libtraceevent may hide a part of it. NULL if nothing is missing. */
static const char *missing_symbol(void)
{
#define RETURN_IF_MISSING(symbol)	\
	if (!symbol)			\
		return #symbol;
	TSC_OFFSET_TEP_SYMBOLS(RETURN_IF_MISSING)
#undef RETURN_IF_MISSING
	return NULL;
}

/**
 * TEP_PLUGIN_LOADER - called by libtraceevent for each handle that loads plugins
 * @tep: the handle
 *
 * Returns: 0; if symbols are missing, the plugin prints a message and does not change the event.
 */
EXPORT int TEP_PLUGIN_LOADER(struct tep_handle *tep)
{
	const char *missing = missing_symbol();

	if (missing) {
		fprintf(stderr, "%s: not used, this program does not export %s\n", PLUGIN_ALIAS,
			missing);
		return 0;
	}

	if (!nr_handles++)
		tep_plugin_add_options(PLUGIN_ALIAS, plugin_options);
	tep_register_event_handler(tep, -1, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT, print_tsc_offset,
				   NULL);
	tep_register_event_handler(tep, -1, TSC_OFFSET_SYSTEM, TSC_MULTIPLIER_EVENT,
				   print_tsc_multiplier, NULL);
	return 0;
}

/**
 * TEP_PLUGIN_UNLOADER - called by libtraceevent before it closes the plugin
 * @tep: the handle given to the loader
 *
 * Returns: 0.
 */
EXPORT int TEP_PLUGIN_UNLOADER(struct tep_handle *tep)
{
	if (missing_symbol())
		return 0;

	tep_unregister_event_handler(tep, -1, TSC_OFFSET_SYSTEM, TSC_OFFSET_EVENT, print_tsc_offset,
				     NULL);
	tep_unregister_event_handler(tep, -1, TSC_OFFSET_SYSTEM, TSC_MULTIPLIER_EVENT,
				     print_tsc_multiplier, NULL);
	/* With the last handle: libtraceevent must not keep pointers into an unloaded object */
	if (nr_handles && !--nr_handles)
		tep_plugin_remove_options(plugin_options);
	return 0;
}
