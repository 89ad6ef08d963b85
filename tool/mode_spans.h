/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When each vCPU of a VM was in guest mode, as far as kvm_entry, kvm_exit and lost events tell.
 *
 * Host time is cut into spans, for each vCPU one after the other and without a gap between them. An entry
 * without an exit since the last one is a fast path of KVM: the vCPU was in guest mode all along. Where the
 * ring buffer lost events nothing is taken for known that a lost event could contradict:
 *
 * - a vCPU that is out of guest mode may enter on any CPU: from the first loss on, nothing is known;
 * - one in guest mode leaves it on the CPU on which it entered, so that losses of others do not matter if
 *   its kvm_exit is on that CPU as well. Only kvm_exit itself may come from another CPU: on AMD it is
 *   recorded when the thread can be moved already. A thread to which that happens twice in one loss, so
 *   that it is back again, is taken to have been in guest mode all the time.
 */
#ifndef TSC_OFFSET_MODE_SPANS_H
#define TSC_OFFSET_MODE_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum span_mode - what is known of a vCPU in a span
 * @SPAN_GUEST: it was in guest mode
 * @SPAN_HOST: it was not
 * @SPAN_UNKNOWN: events were lost
 * @SPAN_OUTSIDE: before its first event or after its last one
 */
enum span_mode {
	SPAN_GUEST,
	SPAN_HOST,
	SPAN_UNKNOWN,
	SPAN_OUTSIDE,
};

/**
 * struct mode_span - a span of host time
 * @vcpu: number of the vCPU
 * @mode: what is known
 * @open: guest mode went on beyond @to, nobody knows how long
 * @from, @to: first and last host TSC of it, in cycles. Of guest mode: those of kvm_entry and kvm_exit.
 */
struct mode_span {
	uint32_t	vcpu;
	enum span_mode	mode;
	bool		open;
	uint64_t	from;
	uint64_t	to;
};

/* A transition ends at most one span and what is unknown behind it */
#define MODE_SPANS_AT_ONCE 2

/**
 * struct mode_spans - the spans while they are made
 * @vcpus: what is known of each vCPU now; owned
 * @nr_vcpus: how many
 * @lost_until: for each of the host's CPUs, when its first event after a loss was; owned
 * @nr_cpus: how many
 * @last_loss: the latest of them
 * @ready: spans that ended
 * @nr_ready: how many
 */
struct mode_spans {
	struct vcpu_mode	*vcpus;
	size_t			nr_vcpus;
	uint64_t		*lost_until;
	size_t			nr_cpus;
	uint64_t		last_loss;
	struct mode_span	ready[MODE_SPANS_AT_ONCE];
	size_t			nr_ready;
};

int mode_spans_init(struct mode_spans *spans, size_t nr_vcpus, size_t nr_cpus);
void mode_spans_release(struct mode_spans *spans);
void mode_spans_lose(struct mode_spans *spans, size_t cpu, uint64_t from, uint64_t to);
void mode_spans_enter(struct mode_spans *spans, uint32_t vcpu, size_t cpu, uint64_t host_tsc);
void mode_spans_exit(struct mode_spans *spans, uint32_t vcpu, size_t cpu, uint64_t host_tsc);
void mode_spans_end(struct mode_spans *spans, uint32_t vcpu);
bool mode_spans_in_guest(const struct mode_spans *spans, uint32_t vcpu);

#endif /* TSC_OFFSET_MODE_SPANS_H */
