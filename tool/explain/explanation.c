// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "event_ids.h"
#include "event_texts.h"
#include "explanation.h"
#include "findings.h"
#include "guest_file.h"
#include "host.h"
#include "host_vcpus.h"
#include "merged_events.h"
#include "merged_recording.h"
#include "number.h"
#include "order.h"
#include "progress.h"
#include "sched_events.h"
#include "trace_dat.h"
#include "vcpu_events.h"

/* Events between two updates of the progress */
#define PROGRESS_STEPS	(1UL << 14)

/**
 * struct explained_guest - a guest's file
 * @formats: its scheduler events
 * @wakeups: wake-ups of its tasks; owned
 * @vcpus: for each of its CPUs the index of its vCPU, the last of several; VCPU_NONE if unknown; owned
 * @first: for each of its CPUs the first of these vCPUs; owned
 * @cpus: for each of its CPUs the current task; owned
 * @nr_cpus: how many
 * @usable: its events have host times
 * @nr_live: number of CPUs of its buffers that have more events
 */
struct explained_guest {
	struct sched_formats	formats;
	struct wakeups		wakeups;
	uint32_t		*vcpus;
	uint32_t		*first;
	struct task		*cpus;
	size_t			nr_cpus;
	bool			usable;
	size_t			nr_live;
};

/**
 * struct ctx - the events being read
 * @explanation: the results
 * @host: the host
 * @events: all of them
 * @texts: texts of the host's file
 * @kvm: finds the vCPU of a kvm_entry or kvm_exit; owned
 * @formats: the host's scheduler events
 * @has_switches: the host recorded sched_switch
 * @matters: for each buffer of the host: it has events of kvm or sched, so its losses matter
 * @nr_live: number of CPUs of the host's buffers that have more events
 * @lost_until: latest end of the host's losses so far, host TSC
 */
struct ctx {
	struct explanation	*explanation;
	const struct host	*host;
	struct merged_events	events;
	struct event_texts	texts;
	struct vcpu_events	kvm;
	struct sched_formats	formats;
	bool			has_switches;
	bool			*matters;
	size_t			nr_live;
	uint64_t		lost_until;
};

/* As in an export: Perfetto's times are nanoseconds of 63 bits, and larger times are limited */
static struct moment moment_of(const struct ctx *ctx, uint64_t host_tsc)
{
	return (struct moment) { host_tsc, tsc_frequency_time(&ctx->explanation->request->frequency, host_tsc) };
}

static struct task task_of(const struct sched_event *event)
{
	struct task task = { .pid = event->pid };

	_Static_assert(sizeof(task.comm) == sizeof(event->comm), "a comm is a comm");
	memcpy(task.comm, event->comm, sizeof(task.comm));
	return task;
}

static int begin_states(struct ctx *ctx, const struct vcpu_states_sink *sink, size_t nr_cpus)
{
	struct explanation *explanation = ctx->explanation;
	_cleanup_(freep) int *tids = calloc(ctx->kvm.threads.nr + 1, sizeof(*tids));
	int ret;

	if (!tids)
		return -ENOMEM;
	for (size_t i = 0; i < ctx->kvm.threads.nr; i++)
		tids[i] = ctx->kvm.threads.list[i].tid;
	ret = vcpu_states_init(&explanation->states, sink, explanation->begin, explanation->nr_vcpus, nr_cpus, tids,
			       ctx->kvm.threads.nr, ctx->has_switches);
	if (ret)
		return ret;
	/* The first thread of each vCPU */
	for (size_t i = 0; i < ctx->kvm.threads.nr; i++) {
		const struct vcpu_thread *thread = &ctx->kvm.threads.list[i];
		struct explained_vcpu *vcpu = &explanation->vcpus[thread->vcpu];

		if (vcpu->nr_threads++ && thread->first > vcpu->first)
			continue;
		vcpu->first = thread->first;
		vcpu_states_set_thread(&explanation->states, thread->vcpu, thread->tid);
	}
	return 0;
}

static int take_kvm(struct ctx *ctx, const struct merged_item *item, const struct vcpu_event *event)
{
	const struct cpu_stream *events = &item->cpu->events;
	struct explanation *explanation = ctx->explanation;
	struct moment at = moment_of(ctx, item->time);
	const struct exit_reason_name *reason;
	uint32_t vcpu = event->vcpu;

	if (event->entry) {
		vcpu_states_entry(&explanation->states, vcpu, at, event->tid, events->cpu->cpu);
		return 0;
	}
	reason = exit_reasons_read(&explanation->reasons, &ctx->texts, &ctx->kvm.ids.exit, &events->event,
				   events->cpu->cpu);
	if (!reason)
		return -ENOMEM;
	vcpu_states_exit(&explanation->states, vcpu, at, event->tid, events->cpu->cpu, reason->reason);
	return 0;
}

static void take_host_sched(struct ctx *ctx, const struct merged_item *item, enum sched_kind kind)
{
	struct vcpu_states *states = &ctx->explanation->states;
	struct moment at = moment_of(ctx, item->time);
	struct sched_event event;
	struct task next;

	if (!sched_event_decode(&ctx->formats, kind, &item->cpu->events.event, &event)) {
		ctx->explanation->nr_unreadable++;
		return;
	}
	switch (kind) {
	case SCHED_SWITCH:
		next = task_of(&event);
		vcpu_states_host_switch(states, item->cpu->events.cpu->cpu, at, event.prev_pid, event.runnable, &next);
		break;
	case SCHED_MIGRATE:
		vcpu_states_host_migrate(states, at, event.pid, event.cpu);
		break;
	default:
		vcpu_states_host_wake(states, at, event.pid, event.cpu);
	}
}

static int take_host_event(struct ctx *ctx, const struct merged_item *item)
{
	const struct cpu_stream *events = &item->cpu->events;
	enum sched_kind kind = sched_event_kind(&ctx->formats, ring_event_id(&events->event));
	struct vcpu_event event;
	int ret;

	if (kind != SCHED_OTHER) {
		ctx->matters[events->buffer - events->dat->buffers] = true;
		if (!item->copy)
			take_host_sched(ctx, item, kind);
		return 0;
	}
	/* Those of kvm are taken of one buffer only, whichever has them first */
	ret = vcpu_events_read(&ctx->kvm, item->cpu, item->time, &event);
	if (ret > 0)
		return take_kvm(ctx, item, &event);
	ctx->explanation->nr_unreadable += ret < 0;
	return 0;
}

/* The current task of a guest's CPU, on all vCPUs that this CPU is in sequence */
static void set_task(struct ctx *ctx, size_t guest, size_t cpu, struct moment at, const struct task *task)
{
	struct explanation *explanation = ctx->explanation;

	if (cpu >= explanation->guests[guest].nr_cpus)
		return;
	explanation->guests[guest].cpus[cpu] = *task;
	for (uint32_t v = explanation->guests[guest].first[cpu]; v != VCPU_NONE; v = explanation->vcpus[v].next)
		vcpu_states_guest_task(&explanation->states, v, at, task);
}

/* A filter left out a sched_switch of a guest's CPU if another task runs there by the last one */
static void check_current(struct ctx *ctx, const struct task *current, const struct sched_event *event)
{
	if (!current->unknown && current->pid != event->prev_pid)
		ctx->explanation->nr_guest_missing++;
}

/* Readers do not correct an instance of a guest's file, unless the host's history gives its times */
static bool has_host_times(const struct ctx *ctx, const struct merged_cpu *cpu)
{
	const struct guest_file *guest = cpu->file->guest;

	if (!ctx->explanation->guests[cpu->file->number - 1].usable)
		return false;
	return guest->placed ? !!cpu->cursor.cpu : guest->rewritten || !*cpu->events.buffer->name;
}

static void take_guest_event(struct ctx *ctx, const struct merged_item *item)
{
	size_t number = item->cpu->file->number - 1, cpu = item->cpu->events.cpu->cpu;
	struct explained_guest *guest = &ctx->explanation->guests[number];
	enum sched_kind kind = sched_event_kind(&guest->formats, ring_event_id(&item->cpu->events.event));
	struct sched_event event;
	struct wakeup wakeup;
	struct moment at;
	struct task next;

	if (kind == SCHED_OTHER || kind == SCHED_MIGRATE || item->copy || !has_host_times(ctx, item->cpu))
		return;
	if (!sched_event_decode(&guest->formats, kind, &item->cpu->events.event, &event)) {
		ctx->explanation->nr_unreadable++;
		return;
	}
	at = moment_of(ctx, item->time);
	if (kind != SCHED_SWITCH) {
		wakeups_wake(&guest->wakeups, at, event.pid);
		return;
	}
	/* A CPU that the fit does not have is no vCPU */
	if (cpu >= guest->nr_cpus)
		return;
	next = task_of(&event);
	check_current(ctx, &guest->cpus[cpu], &event);
	if (wakeups_switch(&guest->wakeups, cpu, at, event.prev_pid, event.runnable, &next, &wakeup))
		explain_sums_wakeup(&ctx->explanation->sums, &wakeup);
	set_task(ctx, number, cpu, at, &next);
}

static enum not_known why_unknown(const struct ctx *ctx, uint64_t host_tsc)
{
	const struct host_vcpus *vcpus = &ctx->explanation->recording->host.vcpus;

	if (vcpus->begin > vcpus->end || host_tsc < vcpus->begin)
		return BEFORE_KVM;
	if (host_tsc >= vcpus->end)
		return AFTER_KVM;
	return host_tsc < ctx->lost_until ? EVENTS_LOST : EVENTS_MISSING;
}

/* The kvm_entry that begins guest mode is the next event of one of the host's CPUs: it may show another thread */
static void find_entry(struct ctx *ctx, uint32_t vcpu, uint64_t host_tsc)
{
	for (size_t i = 0; i < ctx->events.nr_cpus && !ctx->events.cpus[i].file->number; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];
		struct vcpu_event event;

		if (cpu->source.time == host_tsc && time_merge_has(&ctx->events.merge, &cpu->source) &&
		    vcpu_events_read(&ctx->kvm, cpu, host_tsc, &event) > 0 && event.entry && event.vcpu == vcpu)
			vcpu_states_set_thread(&ctx->explanation->states, vcpu, event.tid);
	}
}

static void take_span(struct ctx *ctx, const struct merged_item *item)
{
	uint32_t vcpu = (uint32_t)(item->vcpu - ctx->events.vcpus);
	const struct explained_vcpu *explained = &ctx->explanation->vcpus[vcpu];
	enum vcpu_mode mode = vcpu_modes_at(&item->vcpu->vcpu->modes, item->span);
	/*
	 * A stretch that an event ends, ends at the event's time; the span begins a cycle later, unless it begins with
	 * the first event
	 */
	bool later = mode != MODE_GUEST && item->time && item->time != ctx->explanation->recording->host.vcpus.begin;
	uint64_t host_tsc = item->time - later;

	/* Nothing happens after the end */
	if (ctx->explanation->states.ended)
		return;
	if (mode == MODE_GUEST && explained->nr_threads > 1) {
		vcpu_states_advance(&ctx->explanation->states, moment_of(ctx, host_tsc));
		find_entry(ctx, vcpu, host_tsc);
	}
	vcpu_states_mode(&ctx->explanation->states, vcpu, moment_of(ctx, host_tsc), mode, why_unknown(ctx, host_tsc));
	if (mode == MODE_GUEST && explained->guest != SIZE_MAX) {
		struct explained_guest *guest = &ctx->explanation->guests[explained->guest];

		/*
		 * Wake-ups that began on another vCPU, before the guest's CPU was plugged in again or the guest was
		 * restored
		 */
		if (guest->vcpus[explained->cpu] != vcpu && guest->vcpus[explained->cpu] != VCPU_NONE)
			wakeups_lose(&guest->wakeups, 0);
		guest->vcpus[explained->cpu] = vcpu;
	}
}

static void lose_host(struct ctx *ctx, const struct merged_cpu *cpu, uint64_t from, uint64_t until)
{
	const struct cpu_stream *events = &cpu->events;

	if (!ctx->matters[events->buffer - events->dat->buffers])
		return;
	vcpu_states_host_lose(&ctx->explanation->states, events->cpu->cpu, moment_of(ctx, from),
			      moment_of(ctx, until).ns);
	if (until > ctx->lost_until)
		ctx->lost_until = until;
}

static void lose_guest(struct ctx *ctx, const struct merged_cpu *cpu, uint64_t from, uint64_t until)
{
	size_t number = cpu->file->number - 1;
	const struct task lost = { .unknown = EVENTS_LOST };

	if (!has_host_times(ctx, cpu))
		return;
	wakeups_lose(&ctx->explanation->guests[number].wakeups, moment_of(ctx, until).ns);
	set_task(ctx, number, cpu->events.cpu->cpu, moment_of(ctx, from), &lost);
}

/* The kernel counted losses that no page reports: from @from on, 0 if the time is unknown */
static void lose_counted(struct ctx *ctx, uint32_t cpu, bool at_begin, uint64_t from)
{
	for (size_t i = 0; i < ctx->host->nr_modes_lost; i++) {
		const struct counted_loss *counted = &ctx->host->modes_lost[i];

		if (counted->cpu != cpu || !counted->lost.from != at_begin)
			continue;
		vcpu_states_host_lose(&ctx->explanation->states, cpu, moment_of(ctx, from), UINT64_MAX);
		ctx->explanation->nr_lost++;
		ctx->lost_until = UINT64_MAX;
	}
}

static void end_guest(struct ctx *ctx, size_t number, uint64_t host_tsc)
{
	const struct task none = { .unknown = AFTER_FILE };

	for (size_t i = 0; i < ctx->explanation->guests[number].nr_cpus; i++)
		set_task(ctx, number, i, moment_of(ctx, host_tsc), &none);
}

static void lose(struct ctx *ctx, const struct merged_cpu *cpu, uint64_t host_tsc)
{
	ctx->explanation->nr_lost++;
	if (cpu->file->number)
		lose_guest(ctx, cpu, host_tsc, cpu->source.time);
	else
		lose_host(ctx, cpu, host_tsc, cpu->source.time);
}

static void count_untold(struct ctx *ctx, const struct merged_cpu *cpu)
{
	ctx->explanation->nr_untold = number_sum(ctx->explanation->nr_untold, merged_cpu_untold(cpu));
}

/* A CPU's last event was at @host_tsc */
static void end_cpu(struct ctx *ctx, const struct merged_cpu *cpu, uint64_t host_tsc)
{
	struct explained_guest *guest;

	if (!cpu->file->number) {
		ctx->nr_live--;
		/* The counts of this buffer are known since the file was opened */
		if (cpu->events.buffer == ctx->host->guest_modes)
			lose_counted(ctx, cpu->events.cpu->cpu, false, host_tsc);
		else
			count_untold(ctx, cpu);
		return;
	}
	guest = &ctx->explanation->guests[cpu->file->number - 1];
	guest->nr_live--;
	if (!guest->nr_live && guest->usable && sched_formats_has(&guest->formats, SCHED_SWITCH))
		end_guest(ctx, cpu->file->number - 1, host_tsc);
	count_untold(ctx, cpu);
}

/*
 * The next event of a CPU was read, if any. The event after a loss shows the loss, and no such event has been processed
 * yet.
 */
static void look_ahead(struct ctx *ctx, const struct merged_cpu *cpu, bool more, uint64_t host_tsc)
{
	if (!more)
		end_cpu(ctx, cpu, host_tsc);
	else if (cpu->events.lost)
		lose(ctx, cpu, host_tsc);
}

static int take_item(struct ctx *ctx, const struct merged_item *item)
{
	if (!item->cpu) {
		take_span(ctx, item);
		return 0;
	}
	ctx->explanation->nr_events++;
	if (!item->cpu->file->number)
		return take_host_event(ctx, item);
	take_guest_event(ctx, item);
	return 0;
}

static void end_period(struct ctx *ctx, uint64_t host_tsc)
{
	ctx->explanation->end = moment_of(ctx, host_tsc);
	vcpu_states_end(&ctx->explanation->states, ctx->explanation->end);
}

static int read_events(struct ctx *ctx)
{
	struct explanation *explanation = ctx->explanation;
	const struct merged_cpu *last = NULL;
	struct merged_item item;
	uint64_t last_tsc = 0, end = explanation->begin.tsc;
	/* Sources with more events: one less than before if the last one has ended */
	size_t nr = 0;
	int ret;

	while ((ret = merged_events_next(&ctx->events, &item)) > 0) {
		if (last)
			look_ahead(ctx, last, ctx->events.merge.nr == nr, last_tsc);
		nr = ctx->events.merge.nr;
		/* Wake-ups that end later are unfinished, but they exist */
		if (!ctx->nr_live && !explanation->states.ended)
			end_period(ctx, end);
		last = item.cpu;
		last_tsc = item.time;
		if (item.cpu && !item.cpu->file->number && item.time > end)
			end = item.time;
		ret = take_item(ctx, &item);
		if (!ret)
			ret = explanation->sums.error;
		if (ret)
			return ret;
		if (!(explanation->nr_events % PROGRESS_STEPS))
			progress_at(explanation->progress, merged_events_bytes(&ctx->events));
	}
	if (ret < 0)
		return ret;
	merged_events_review(&ctx->events);
	if (last)
		look_ahead(ctx, last, false, last_tsc);
	if (!explanation->states.ended)
		end_period(ctx, end);
	return explanation->sums.error;
}

static size_t cpus_of_host(const struct ctx *ctx)
{
	size_t nr = 0;

	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];

		if (!cpu->file->number && cpu->events.cpu->cpu >= nr)
			nr = cpu->events.cpu->cpu + 1UL;
	}
	return nr;
}

/* Finds the host's first event, and the number of CPUs with events */
static void find_begin(struct ctx *ctx)
{
	uint64_t begin = UINT64_MAX;

	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];

		if (!time_merge_has(&ctx->events.merge, &cpu->source))
			continue;
		if (cpu->file->number) {
			ctx->explanation->guests[cpu->file->number - 1].nr_live++;
			continue;
		}
		ctx->nr_live++;
		if (cpu->source.time < begin)
			begin = cpu->source.time;
	}
	ctx->explanation->begin = moment_of(ctx, ctx->nr_live ? begin : 0);
}

/**
 * explained_vcpu_counts - are there answers of a vCPU, unless the user chooses others?
 * @explanation: with its files
 * @vcpu: one of its vCPUs
 *
 * Returns: true if it was in guest mode, and is of one of the guests' files if there are any.
 */
bool explained_vcpu_counts(const struct explanation *explanation, const struct explained_vcpu *vcpu)
{
	return vcpu->vcpu->modes.nr_guest && (!explanation->nr_guests || vcpu->guest != SIZE_MAX);
}

static int open_vcpus(struct ctx *ctx)
{
	struct explanation *explanation = ctx->explanation;
	const struct explain_request *request = explanation->request;
	explanation->vcpus = calloc(ctx->events.nr_vcpus + 1, sizeof(*explanation->vcpus));
	explanation->wanted = calloc(ctx->events.nr_vcpus + 1, sizeof(*explanation->wanted));
	if (!explanation->vcpus || !explanation->wanted)
		return -ENOMEM;
	explanation->nr_vcpus = ctx->events.nr_vcpus;
	for (size_t i = 0; i < explanation->nr_vcpus; i++) {
		const struct merged_vcpu *vcpu = &ctx->events.vcpus[i];

		explanation->vcpus[i] = (struct explained_vcpu) {
			vcpu->vcpu, vcpu->file ? vcpu->file->number - 1 : SIZE_MAX, vcpu->cpu, 0, 0, VCPU_NONE, { 0 },
		};
		explanation->wanted[i] = explained_vcpu_counts(explanation, &explanation->vcpus[i]) &&
			(request->any_vcpu || request->vcpu == vcpu->vcpu->vcpu_id);
	}
	return 0;
}

static int open_guest(struct ctx *ctx, size_t number)
{
	struct guest_file *file = &ctx->explanation->recording->guests[number];
	struct explained_guest *guest = &ctx->explanation->guests[number];
	_cleanup_(event_texts_close) struct event_texts texts;
	int ret = event_texts_open(&texts, &file->dat);

	if (ret)
		return ret;
	sched_formats_find(&guest->formats, texts.tep);
	guest->usable = file->rewritten || file->placed || file->shown.has_shift;
	guest->nr_cpus = file->fit.vcpus.nr;
	guest->vcpus = calloc(guest->nr_cpus + 1, sizeof(*guest->vcpus));
	guest->first = calloc(guest->nr_cpus + 1, sizeof(*guest->first));
	guest->cpus = calloc(guest->nr_cpus + 1, sizeof(*guest->cpus));
	if (!guest->vcpus || !guest->first || !guest->cpus)
		return -ENOMEM;
	for (size_t i = 0; i < guest->nr_cpus; i++) {
		guest->vcpus[i] = guest->first[i] = VCPU_NONE;
		guest->cpus[i].unknown = BEFORE_SWITCH;
	}
	return wakeups_init(&guest->wakeups, &ctx->explanation->states, guest->vcpus, guest->nr_cpus);
}

/* Sets why tasks are unknown before the first event */
static void set_first_tasks(struct ctx *ctx)
{
	struct explanation *explanation = ctx->explanation;

	for (uint32_t v = 0; v < explanation->nr_vcpus; v++) {
		struct explained_vcpu *vcpu = &explanation->vcpus[v];
		struct explained_guest *guest;
		struct task task = { .unknown = NOT_SYNCED };

		if (vcpu->guest == SIZE_MAX)
			continue;
		guest = &explanation->guests[vcpu->guest];
		if (guest->usable)
			task.unknown = sched_formats_has(&guest->formats, SCHED_SWITCH) ? BEFORE_SWITCH : NO_SCHED;
		vcpu_states_guest_task(&explanation->states, v, explanation->begin, &task);
		vcpu->next = guest->first[vcpu->cpu];
		guest->first[vcpu->cpu] = guest->vcpus[vcpu->cpu] = v;
	}
}

static void note_files(const struct ctx *ctx)
{
	struct findings *findings = ctx->explanation->recording->findings;

	if (!ctx->has_switches)
		findings_note(findings, FINDING_HOST_EVENTS,
			      "%s: no sched_switch: halted and stolen times cannot be told apart; record the host with -e sched",
			      ctx->host->dat->path);
	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];
		const char *name = cpu->events.buffer->name;

		/* Once for each buffer */
		if (!cpu->file->number || !*name || has_host_times(ctx, cpu) ||
		    (i && cpu[-1].events.buffer == cpu->events.buffer))
			continue;
		findings_doubt(findings, FINDING_READERS, "%s: instance \"%s\": its times are not corrected: left out",
			       cpu->file->dat->path, name);
	}
	for (size_t i = 0; i < ctx->explanation->nr_guests; i++) {
		const struct guest_file *guest = &ctx->explanation->recording->guests[i];

		if (!sched_formats_has(&ctx->explanation->guests[i].formats, SCHED_SWITCH))
			findings_note(findings, FINDING_HOST_EVENTS,
				      "%s: no sched events: it is unknown which tasks ran; record the guest with -e sched",
				      guest->dat.path);
		for (size_t j = 0; j < guest->fit.vcpus.nr; j++) {
			const struct guest_vcpu *vcpu = &guest->fit.vcpus.cpus[j];

			if (vcpu->has_events && !vcpu->known)
				findings_doubt(findings, FINDING_VCPU,
					       "%s: CPU %zu fits none of the vCPUs of %s: its tasks are left out",
					       guest->dat.path, j, ctx->host->dat->path);
		}
	}
}

static int open_host(struct ctx *ctx)
{
	struct trace_dat *dat = &ctx->explanation->recording->host.dat;
	int ret = event_texts_open(&ctx->texts, dat);

	if (ret)
		return ret;
	sched_formats_find(&ctx->formats, ctx->texts.tep);
	ctx->matters = calloc(dat->nr_buffers + 1, sizeof(*ctx->matters));
	if (!ctx->matters)
		return -ENOMEM;
	for (size_t i = 0; i < dat->nr_buffers; i++)
		ctx->matters[i] = &dat->buffers[i] == ctx->host->guest_modes;
	return exit_reasons_init(&ctx->explanation->reasons, ctx->texts.tep);
}

static void take_stretch(void *ctx, const struct stretch *stretch)
{
	explain_sums_stretch(&((struct explanation *)ctx)->sums, stretch);
}

static void take_exit(void *ctx, const struct exit_cost *exit)
{
	explain_sums_exit(&((struct explanation *)ctx)->sums, exit);
}

static void forget(void *ctx, uint32_t vcpu, uint64_t since, enum vcpu_state state)
{
	struct explanation *explanation = ctx;
	size_t guest = explanation->vcpus[vcpu].guest;

	if (guest != SIZE_MAX)
		wakeups_forget(&explanation->guests[guest].wakeups, vcpu, since, state);
}

/* The format of the event exists, but are there events? In most files the first page shows it. */
static int find_switches(const struct ctx *ctx, bool *found)
{
	struct trace_dat *dat = &ctx->explanation->recording->host.dat;
	int ret = 0;

	*found = false;
	if (!sched_formats_has(&ctx->formats, SCHED_SWITCH))
		return 0;
	for (size_t i = 0; i < ctx->events.nr_cpus && !ret && !*found; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];
		struct cpu_stream events;

		if (cpu->file->number)
			continue;
		ret = cpu_stream_open(&events, dat, cpu->events.buffer, cpu->events.cpu);
		while (!ret && !*found && (ret = cpu_stream_next(&events)) > 0) {
			*found = sched_event_kind(&ctx->formats, ring_event_id(&events.event)) == SCHED_SWITCH;
			ret = 0;
		}
		cpu_stream_close(&events);
	}
	return ret;
}

static int open_all(struct ctx *ctx)
{
	struct explanation *explanation = ctx->explanation;
	const struct explain_request *request = explanation->request;
	const struct vcpu_states_sink sink = { take_stretch, take_exit, forget, explanation };
	int ret;

	explanation->guests = calloc(explanation->nr_guests + 1, sizeof(*explanation->guests));
	if (!explanation->guests)
		return -ENOMEM;
	ret = open_host(ctx);
	if (!ret)
		ret = merged_events_open(&ctx->events, explanation->recording);
	for (size_t i = 0; i < explanation->nr_guests && !ret; i++)
		ret = open_guest(ctx, i);
	if (!ret)
		ret = open_vcpus(ctx);
	if (!ret)
		ret = vcpu_events_open(&ctx->kvm, &explanation->recording->host);
	if (!ret)
		ret = explain_sums_init(&explanation->sums, &request->filter, explanation->wanted,
					explanation->nr_vcpus, request->max_keys);
	if (ret)
		return ret;
	ret = find_switches(ctx, &ctx->has_switches);
	if (ret)
		return ret;
	find_begin(ctx);
	ret = begin_states(ctx, &sink, cpus_of_host(ctx));
	if (!ret)
		set_first_tasks(ctx);
	return ret;
}

/* Losses before the first event of a CPU, and those at unknown times */
static void lose_first(struct ctx *ctx)
{
	uint64_t begin = ctx->explanation->begin.tsc;

	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];

		if (time_merge_has(&ctx->events.merge, &cpu->source) && cpu->events.lost)
			lose(ctx, cpu, begin);
	}
	for (size_t i = 0; i < ctx->host->nr_modes_lost; i++)
		lose_counted(ctx, ctx->host->modes_lost[i].cpu, true, begin);
}

static void release(struct ctx *ctx)
{
	merged_events_close(&ctx->events);
	event_texts_close(&ctx->texts);
	vcpu_events_close(&ctx->kvm);
	free(ctx->matters);
}

/**
 * explanation_make - read the events, and sum up where the time went
 * @explanation: result; must be released in any case
 * @recording: the open files; they and their findings must stay valid while @explanation is used
 * @request: the request; must stay valid too
 * @progress: begun with merged_recording_bytes() as the total, or all zeros
 *
 * Returns: 0 or a negative errno, with the reason in the error of the files.
 */
int explanation_make(struct explanation *explanation, struct merged_recording *recording,
		     const struct explain_request *request, struct progress *progress)
{
	struct ctx ctx = { .explanation = explanation, .host = &recording->host.host };
	int ret;

	*explanation = (struct explanation) {
		.request = request, .recording = recording, .progress = progress, .nr_guests = recording->nr_guests,
	};
	ret = open_all(&ctx);
	if (!ret) {
		note_files(&ctx);
		lose_first(&ctx);
		ret = read_events(&ctx);
	}
	for (uint32_t v = 0; v < explanation->nr_vcpus && !ret; v++)
		vcpu_states_times(&explanation->states, v, explanation->vcpus[v].ns);
	release(&ctx);
	return error_keep(recording->host.error, ret, recording->host.dat.path);
}

/* Sums of a table's rows for each vCPU, over all states */
static uint64_t *sums_of(const struct sum_table *table)
{
	uint64_t *sums = calloc(table->nr_vcpus + 1, sizeof(*sums));

	for (size_t i = 0; sums && i < table->nr; i++)
		sums[table->rows[i].key.vcpu] += sum_row_total(&table->rows[i]);
	for (size_t i = 0; sums && i < table->nr_vcpus; i++)
		sums[i] += sum_row_total(&table->others[i]);
	return sums;
}

/**
 * explanation_adds_up - is each nanosecond of each vCPU accounted for once?
 * @explanation: the results
 *
 * Returns: true if so; otherwise there is a bug, or no memory.
 */
bool explanation_adds_up(const struct explanation *explanation)
{
	_cleanup_(freep) uint64_t *unknown = sums_of(&explanation->sums.unknown),
		*times = sums_of(&explanation->sums.times);
	uint64_t wall = explanation->end.ns - explanation->begin.ns;

	for (size_t v = 0; v < explanation->nr_vcpus; v++) {
		const struct explained_vcpu *vcpu = &explanation->vcpus[v];
		uint64_t sum = 0;

		for (size_t i = 0; i < NR_VCPU_STATES; i++)
			sum += vcpu->ns[i];
		if (sum != wall || !unknown || !times)
			return false;
		if (explanation->wanted[v] && (unknown[v] != vcpu->ns[VCPU_UNKNOWN] ||
					       (!explanation->request->filter.task && times[v] != wall)))
			return false;
	}
	return true;
}

/**
 * explanation_wakeups - get the unfinished wake-ups of a guest
 * @explanation: the results
 * @guest: index of the guest's file
 *
 * Returns: the wake-ups.
 */
const struct wakeups *explanation_wakeups(const struct explanation *explanation, size_t guest)
{
	return &explanation->guests[guest].wakeups;
}

/**
 * explanation_release - free the results
 * @explanation: the results, also after a failure
 */
void explanation_release(struct explanation *explanation)
{
	for (size_t i = 0; explanation->guests && i < explanation->nr_guests; i++) {
		wakeups_release(&explanation->guests[i].wakeups);
		free(explanation->guests[i].vcpus);
		free(explanation->guests[i].first);
		free(explanation->guests[i].cpus);
	}
	free(explanation->guests);
	free(explanation->vcpus);
	free(explanation->wanted);
	explain_sums_release(&explanation->sums);
	exit_reasons_release(&explanation->reasons);
	vcpu_states_release(&explanation->states);
	*explanation = (struct explanation) { 0 };
}
