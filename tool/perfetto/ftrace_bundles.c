// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ftrace_bundles.h"
#include "perfetto_writer.h"

/* Size of a bundle, and limit for the bundles of all CPUs together */
#define LIMIT		(32UL << 10)
#define LIMIT_OF_ALL	(4UL << 20)

/* Fields of FtraceEventBundle */
enum {
	BUNDLE_CPU		= 1,
	BUNDLE_LOST		= 3,
	BUNDLE_DESCRIPTION	= 11,
};

/**
 * ftrace_bundles_init - begin without events
 * @bundles: result; must be released in any case
 * @machine: number of the machine
 * @nr_cpus: number of CPUs with events
 *
 * Returns: 0 or -ENOMEM.
 */
int ftrace_bundles_init(struct ftrace_bundles *bundles, uint32_t machine, size_t nr_cpus)
{
	*bundles = (struct ftrace_bundles) {
		.machine = machine, .cpus = calloc(FTRACE_BUNDLES_MAX_CPUS, sizeof(*bundles->cpus)), .limit = LIMIT,
	};
	if (nr_cpus && LIMIT_OF_ALL / nr_cpus < LIMIT)
		bundles->limit = LIMIT_OF_ALL / nr_cpus;
	return bundles->cpus ? 0 : -ENOMEM;
}

static void begin_bundle(struct wire *fields, uint32_t cpu)
{
	fields->size = 0;
	if (wire_reserve(fields, 4 * WIRE_NUMBER_SIZE))
		wire_number(fields, BUNDLE_CPU, cpu);
}

static void flush(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu)
{
	struct wire *fields = &bundles->cpus[cpu].fields;

	if (fields->failed)
		writer->error = -ENOMEM;
	else if (fields->size)
		perfetto_writer_bundle(writer, bundles->machine, fields);
	fields->size = 0;
}

/**
 * ftrace_bundles_begin - get the place for the next event of a CPU
 * @bundles: bundles of the machine
 * @writer: the file; receives earlier events if there are many
 * @cpu: the CPU, less than FTRACE_BUNDLES_MAX_CPUS
 *
 * Returns: the fields of the bundle; events are field FTRACE_BUNDLES_EVENT of it.
 */
struct wire *ftrace_bundles_begin(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu)
{
	struct wire *fields = &bundles->cpus[cpu].fields;

	if (fields->size > bundles->limit)
		flush(bundles, writer, cpu);
	if (!fields->size)
		begin_bundle(fields, cpu);
	return fields;
}

/**
 * ftrace_bundles_lose - record that events of a CPU were lost before the next one
 * @bundles: bundles of the machine
 * @writer: the file
 * @cpu: the CPU, less than FTRACE_BUNDLES_MAX_CPUS
 */
void ftrace_bundles_lose(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu)
{
	struct wire *fields = &bundles->cpus[cpu].fields;

	flush(bundles, writer, cpu);
	begin_bundle(fields, cpu);
	if (!fields->failed)
		wire_number(fields, BUNDLE_LOST, true);
}

/**
 * ftrace_bundles_describe - write the description of an event before its first use
 * @bundles: bundles of the machine
 * @writer: the file
 * @cpu: the CPU of the event
 * @description: a GenericEventDescriptor
 */
void ftrace_bundles_describe(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu,
			     struct wire *description)
{
	struct wire fields = { 0 };

	begin_bundle(&fields, cpu);
	if (!wire_reserve(&fields, description->size + WIRE_KEY_SIZE + WIRE_NUMBER_SIZE)) {
		writer->error = -ENOMEM;
	} else {
		wire_varint(&fields, BUNDLE_DESCRIPTION << 3 | 2);
		wire_varint(&fields, description->size);
		memcpy(fields.bytes + fields.size, description->bytes, description->size);
		fields.size += description->size;
		perfetto_writer_bundle(writer, bundles->machine, &fields);
	}
	wire_release(&fields);
}

/**
 * ftrace_bundles_flush - write all pending events
 * @bundles: bundles of the machine
 * @writer: the file
 */
void ftrace_bundles_flush(struct ftrace_bundles *bundles, struct perfetto_writer *writer)
{
	for (uint32_t i = 0; i < FTRACE_BUNDLES_MAX_CPUS; i++)
		flush(bundles, writer, i);
}

/**
 * ftrace_bundles_release - free the bundles
 * @bundles: the bundles, also after a failed init
 */
void ftrace_bundles_release(struct ftrace_bundles *bundles)
{
	for (uint32_t i = 0; bundles->cpus && i < FTRACE_BUNDLES_MAX_CPUS; i++)
		wire_release(&bundles->cpus[i].fields);
	free(bundles->cpus);
	*bundles = (struct ftrace_bundles) { 0 };
}
