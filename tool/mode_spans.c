// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "mode_spans.h"

/* No event is missing */
#define NEVER UINT64_MAX

/**
 * struct vcpu_mode - what is known of a vCPU now
 * @mode: in which mode it is
 * @since: first host TSC of that
 * @cpu: where it entered guest mode
 * @sure_until: last host TSC for which @mode is certain, whatever comes: events are missing after it
 * @sure_here: the same for guest mode, if it ends on @cpu
 */
struct vcpu_mode {
	enum span_mode	mode;
	uint64_t	since;
	size_t		cpu;
	uint64_t	sure_until;
	uint64_t	sure_here;
};

/**
 * mode_spans_init - begin with nothing known
 * @spans: result; to be released in any case
 * @nr_vcpus: how many vCPUs the VM has
 * @nr_cpus: how many CPUs of the host have recorded
 *
 * Returns: 0 or -ENOMEM.
 */
int mode_spans_init(struct mode_spans *spans, size_t nr_vcpus, size_t nr_cpus)
{
	*spans = (struct mode_spans) {
		.vcpus = calloc(nr_vcpus + 1, sizeof(*spans->vcpus)), .nr_vcpus = nr_vcpus,
		.lost_until = calloc(nr_cpus + 1, sizeof(*spans->lost_until)), .nr_cpus = nr_cpus,
	};
	if (!spans->vcpus || !spans->lost_until)
		return -ENOMEM;
	for (size_t i = 0; i < nr_vcpus; i++)
		spans->vcpus[i] = (struct vcpu_mode) { .mode = SPAN_OUTSIDE, .cpu = SIZE_MAX };
	return 0;
}

/**
 * mode_spans_release - free what belongs to the spans
 * @spans: begun, or failed to
 */
void mode_spans_release(struct mode_spans *spans)
{
	free(spans->vcpus);
	free(spans->lost_until);
	*spans = (struct mode_spans) { 0 };
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A span that has no cycle is none */
static void put(struct mode_spans *spans, uint32_t vcpu, enum span_mode mode, uint64_t from,
		uint64_t to, bool open)
{
	if (from <= to)
		spans->ready[spans->nr_ready++] = (struct mode_span) {
			.vcpu = vcpu, .mode = mode, .open = open, .from = from, .to = to
		};
}

/* What is known up to @sure, and what is not from there to @to */
static void put_uncertain(struct mode_spans *spans, uint32_t vcpu, uint64_t sure, uint64_t to)
{
	const struct vcpu_mode *v = &spans->vcpus[vcpu];

	put(spans, vcpu, v->mode, v->since, earlier(sure, to), v->mode == SPAN_GUEST);
	if (sure < to)
		put(spans, vcpu, SPAN_UNKNOWN, later(sure + 1, v->since), to, false);
}

/* Does this CPU miss events at this time, or for SIZE_MAX any? */
static bool is_lossy(const struct mode_spans *spans, size_t cpu, uint64_t host_tsc)
{
	return (cpu == SIZE_MAX ? spans->last_loss : spans->lost_until[cpu]) > host_tsc;
}

/**
 * mode_spans_lose - events of one of the host's CPUs are missing
 * @spans: begun
 * @cpu: number of the CPU
 * @from: host TSC of its last event before. To be said when all events up to it have been, and none later.
 * @to: host TSC of its first event after, UINT64_MAX if there is none
 */
void mode_spans_lose(struct mode_spans *spans, size_t cpu, uint64_t from, uint64_t to)
{
	spans->lost_until[cpu] = later(spans->lost_until[cpu], to);
	spans->last_loss = later(spans->last_loss, to);
	for (size_t i = 0; i < spans->nr_vcpus; i++) {
		struct vcpu_mode *v = &spans->vcpus[i];

		v->sure_until = earlier(v->sure_until, from);
		if (v->cpu == cpu)
			v->sure_here = earlier(v->sure_here, from);
	}
}

/**
 * mode_spans_enter - a vCPU enters guest mode
 * @spans: begun; the spans that end now are in @spans->ready, instead of those that were there
 * @vcpu: number of the vCPU
 * @cpu: number of the host's CPU that recorded it
 * @host_tsc: when
 */
void mode_spans_enter(struct mode_spans *spans, uint32_t vcpu, size_t cpu, uint64_t host_tsc)
{
	struct vcpu_mode *v = &spans->vcpus[vcpu];
	uint64_t before = host_tsc ? host_tsc - 1 : 0;

	spans->nr_ready = 0;
	if (v->mode == SPAN_GUEST && v->cpu == cpu && v->sure_until == NEVER)
		return;
	if (v->mode == SPAN_GUEST && v->sure_until == NEVER)
		/* It left guest mode at any time since, and nobody saw it */
		put_uncertain(spans, vcpu, v->since, before);
	else if (v->mode != SPAN_OUTSIDE && (v->mode == SPAN_GUEST || v->sure_until < before))
		put_uncertain(spans, vcpu, v->sure_until, before);
	else
		put(spans, vcpu, v->mode, v->since, before, false);
	*v = (struct vcpu_mode) {
		.mode		= SPAN_GUEST,
		.since		= host_tsc,
		.cpu		= cpu,
		.sure_until	= is_lossy(spans, SIZE_MAX, host_tsc) ? host_tsc : NEVER,
		.sure_here	= is_lossy(spans, cpu, host_tsc) ? host_tsc : NEVER,
	};
}

/**
 * mode_spans_exit - a vCPU leaves guest mode
 * @spans: begun; the spans that end now are in @spans->ready, instead of those that were there
 * @vcpu: number of the vCPU
 * @cpu: number of the host's CPU that recorded it
 * @host_tsc: when
 */
void mode_spans_exit(struct mode_spans *spans, uint32_t vcpu, size_t cpu, uint64_t host_tsc)
{
	struct vcpu_mode *v = &spans->vcpus[vcpu];
	uint64_t sure = v->cpu == cpu ? v->sure_here : v->sure_until;

	spans->nr_ready = 0;
	if (v->mode == SPAN_GUEST && sure < host_tsc) {
		put_uncertain(spans, vcpu, sure, host_tsc);
	} else if (v->mode == SPAN_HOST && v->sure_until == NEVER) {
		/* It entered guest mode at any time since, and nobody saw it */
		put(spans, vcpu, SPAN_UNKNOWN, v->since, host_tsc, false);
	} else if (v->mode == SPAN_HOST) {
		put_uncertain(spans, vcpu, v->sure_until, host_tsc);
	} else {
		put(spans, vcpu, v->mode, v->since, host_tsc, false);
	}
	*v = (struct vcpu_mode) {
		.mode		= SPAN_HOST,
		.since		= host_tsc < UINT64_MAX ? host_tsc + 1 : host_tsc,
		.cpu		= SIZE_MAX,
		.sure_until	= is_lossy(spans, SIZE_MAX, host_tsc) ? host_tsc : NEVER,
	};
}

/**
 * mode_spans_end - there are no more events of a vCPU
 * @spans: begun; the last span is in @spans->ready, instead of those that were there
 * @vcpu: number of the vCPU
 */
void mode_spans_end(struct mode_spans *spans, uint32_t vcpu)
{
	spans->nr_ready = 0;
	put(spans, vcpu, SPAN_OUTSIDE, spans->vcpus[vcpu].since, UINT64_MAX, false);
}

/**
 * mode_spans_in_guest - is a vCPU in guest mode now, as far as is known?
 * @spans: begun
 * @vcpu: number of the vCPU
 */
bool mode_spans_in_guest(const struct mode_spans *spans, uint32_t vcpu)
{
	return spans->vcpus[vcpu].mode == SPAN_GUEST;
}
