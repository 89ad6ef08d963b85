// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "event_ids.h"
#include "explain_json.h"
#include "explain_words.h"
#include "explanation.h"
#include "findings_json.h"
#include "guest_file.h"
#include "host_vcpus.h"
#include "json_writer.h"
#include "merged_recording.h"

static void add_states(struct json_writer *json, const uint64_t ns[NR_VCPU_STATES], bool guest)
{
	if (guest)
		json_add_uint(json, "guest_mode", ns[VCPU_GUEST]);
	json_add_uint(json, "exit", ns[VCPU_EXIT]);
	json_add_uint(json, "stolen", ns[VCPU_STOLEN]);
	json_add_uint(json, "halted", ns[VCPU_HALTED]);
	json_add_uint(json, "unknown", ns[VCPU_UNKNOWN]);
}

static void add_wakeup_parts(struct json_writer *json, const uint64_t ns[NR_VCPU_STATES])
{
	json_add_uint(json, "guest_queue", ns[VCPU_GUEST]);
	json_add_uint(json, "ipi", ns[VCPU_HALTED]);
	json_add_uint(json, "host_wakeup", ns[VCPU_STOLEN]);
	json_add_uint(json, "entry", ns[VCPU_EXIT]);
	json_add_uint(json, "unknown", ns[VCPU_UNKNOWN]);
}

/* null and the cause if unknown */
static void add_thread(struct json_writer *json, const char *key, enum not_known unknown, int pid,
		       const char comm[TASK_COMM_SIZE])
{
	char text[COMM_TEXT_SIZE];

	json_begin(json, key, JSON_OBJECT);
	json_add_text(json, "unknown", unknown ? explain_cause(unknown) : NULL);
	if (unknown) {
		json_add_null(json, "pid");
		json_add_null(json, "comm");
	} else {
		explain_comm(text, comm);
		json_add_int(json, "pid", pid);
		json_add_text(json, "comm", text);
	}
	json_end(json);
}

static void add_vcpu_name(struct json_writer *json, const struct explanation *explanation, uint32_t vcpu)
{
	json_add_text(json, "guest", explain_vm(explanation, vcpu));
	json_add_uint(json, "vcpu_id", explanation->vcpus[vcpu].vcpu->vcpu_id);
}

static void begin_row(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	json_begin(json, NULL, JSON_OBJECT);
	add_vcpu_name(json, explanation, row->key.vcpu);
	json_add_bool(json, "others", row->others);
	if (!row->others)
		add_thread(json, "task", row->key.task_unknown, row->key.task, row->task);
}

static void end_row(struct json_writer *json, const struct sum_row *row)
{
	json_add_uint(json, "count", row->count);
	json_add_uint(json, "total", sum_row_total(row));
	json_add_uint(json, "longest", row->longest);
	json_end(json);
}

static const char *isa_name(uint8_t isa)
{
	return isa == GUEST_MODE_VMX ? "vmx" : isa == GUEST_MODE_SVM ? "svm" : NULL;
}

static void add_reason(struct json_writer *json, const struct explanation *explanation, bool known, uint8_t isa,
		       uint32_t code)
{
	char name[EXIT_REASON_SIZE];

	exit_reasons_name(&explanation->reasons, known, isa, code, name);
	json_add_text(json, "reason", known ? name : NULL);
	json_add_known(json, "reason_code", known, code);
	json_add_text(json, "isa", known ? isa_name(isa) : NULL);
}

static void add_exit(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	begin_row(json, explanation, row);
	if (!row->others) {
		add_reason(json, explanation, row->key.reason_known, row->isa, row->key.reason);
		json_add_text(json, "end_unknown", row->key.what ? explain_cause(row->key.what) : NULL);
	}
	add_states(json, row->ns, true);
	end_row(json, row);
}

static void add_preemptor(struct json_writer *json, const struct explanation *explanation, const struct task *thread,
			  uint32_t vcpu, const struct task *task)
{
	add_thread(json, "preemptor", thread->unknown, thread->pid, thread->comm);
	json_add_text(json, "preemptor_guest", vcpu == VCPU_NONE ? NULL : explain_vm(explanation, vcpu));
	if (vcpu == VCPU_NONE)
		json_add_null(json, "preemptor_task");
	else
		add_thread(json, "preemptor_task", task->unknown, task->pid, task->comm);
}

static struct task task_of(enum not_known unknown, int pid, const char comm[TASK_COMM_SIZE])
{
	struct task task = { .unknown = unknown, .pid = pid };

	for (size_t i = 0; i < TASK_COMM_SIZE; i++)
		task.comm[i] = comm[i];
	return task;
}

static void add_steal(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	begin_row(json, explanation, row);
	if (!row->others) {
		const struct task thread = task_of(row->key.preemptor_unknown, row->key.preemptor, row->preemptor);
		const struct task task = task_of(IS_KNOWN, row->key.preemptor_task, row->preemptor_task);

		json_add_text(json, "kind", explain_state(row->key.what));
		if (row->key.what == VCPU_STOLEN)
			add_preemptor(json, explanation, &thread, row->key.preemptor_vcpu, &task);
	}
	add_states(json, row->ns, false);
	end_row(json, row);
}

static void add_wakeup(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	begin_row(json, explanation, row);
	add_wakeup_parts(json, row->ns);
	end_row(json, row);
}

static void add_time(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	begin_row(json, explanation, row);
	add_states(json, row->ns, true);
	end_row(json, row);
}

static void add_unknown(struct json_writer *json, const struct explanation *explanation, const struct sum_row *row)
{
	json_begin(json, NULL, JSON_OBJECT);
	add_vcpu_name(json, explanation, row->key.vcpu);
	json_add_text(json, "cause", explain_cause(row->key.what));
	end_row(json, row);
}

static void add_table(struct json_writer *json, const char *key, const struct explanation *explanation,
		      const struct sum_table *table,
		      void (*add)(struct json_writer *, const struct explanation *, const struct sum_row *))
{
	json_begin(json, key, JSON_ARRAY);
	for (size_t i = 0; i < table->nr; i++)
		add(json, explanation, &table->rows[i]);
	for (size_t i = 0; i < table->nr_vcpus; i++) {
		if (table->others[i].count)
			add(json, explanation, &table->others[i]);
	}
	json_end(json);
}

static void add_vcpu(struct json_writer *json, const struct explanation *explanation, uint32_t number)
{
	const struct explained_vcpu *vcpu = &explanation->vcpus[number];
	bool file = vcpu->guest != SIZE_MAX;

	json_begin(json, NULL, JSON_OBJECT);
	add_vcpu_name(json, explanation, number);
	json_add_text(json, "file", file ? explanation->recording->guests[vcpu->guest].dat.path : NULL);
	json_add_known(json, "guest_cpu", file, vcpu->cpu);
	json_add_known(json, "thread", vcpu->vcpu->tid, (uint64_t)vcpu->vcpu->tid);
	add_states(json, vcpu->ns, true);
	json_add_uint(json, "wall", explanation->end.ns - explanation->begin.ns);
	json_end(json);
}

static void begin_worst(struct json_writer *json, const struct explanation *explanation, uint32_t vcpu,
			const struct task *task, struct moment from, struct moment to)
{
	json_begin(json, NULL, JSON_OBJECT);
	add_vcpu_name(json, explanation, vcpu);
	add_thread(json, "task", task->unknown, task->pid, task->comm);
	json_add_uint(json, "from_tsc", from.tsc);
	json_add_uint(json, "to_tsc", to.tsc);
	json_add_uint(json, "from", from.ns);
	json_add_uint(json, "length", to.ns - from.ns);
}

static void add_worst(struct json_writer *json, const struct explanation *explanation)
{
	const struct explain_sums *sums = &explanation->sums;

	json_begin(json, "worst_exits", JSON_ARRAY);
	for (size_t i = 0; i < sums->worst_exits.nr; i++) {
		const struct exit_cost *exit = (const struct exit_cost *)sums->worst_exits.items + i;

		begin_worst(json, explanation, exit->vcpu, &exit->task, exit->from, exit->to);
		add_reason(json, explanation, exit->reason.known, exit->reason.isa, exit->reason.code);
		json_add_text(json, "end_unknown", exit->open ? explain_cause(exit->open) : NULL);
		add_states(json, exit->ns, true);
		json_end(json);
	}
	json_end(json);
	json_begin(json, "worst_steals", JSON_ARRAY);
	for (size_t i = 0; i < sums->worst_steals.nr; i++) {
		const struct stretch *steal = (const struct stretch *)sums->worst_steals.items + i;

		begin_worst(json, explanation, steal->vcpu, &steal->task, steal->from, steal->to);
		add_preemptor(json, explanation, &steal->preemptor, steal->preemptor_vcpu, &steal->preemptor_task);
		json_end(json);
	}
	json_end(json);
	json_begin(json, "worst_wakeups", JSON_ARRAY);
	for (size_t i = 0; i < sums->worst_wakeups.nr; i++) {
		const struct wakeup *wakeup = (const struct wakeup *)sums->worst_wakeups.items + i;

		begin_worst(json, explanation, wakeup->vcpu, &wakeup->task, wakeup->from, wakeup->to);
		add_wakeup_parts(json, wakeup->ns);
		json_end(json);
	}
	json_end(json);
}

/* Wake-ups that no sum includes */
static void add_left_out(struct json_writer *json, const struct explanation *explanation)
{
	json_begin(json, "wakeups_left_out", JSON_ARRAY);
	for (size_t i = 0; i < explanation->nr_guests; i++) {
		const struct wakeups *wakeups = explanation_wakeups(explanation, i);

		json_begin(json, NULL, JSON_OBJECT);
		json_add_text(json, "file", explanation->recording->guests[i].dat.path);
		json_add_uint(json, "events_lost", wakeups->nr_lost);
		json_add_uint(json, "open_at_the_end", wakeups->nr_open);
		json_add_uint(json, "too_many", wakeups->nr_dropped);
		json_add_uint(json, "vcpu_unknown", wakeups->nr_unplaced);
		json_end(json);
	}
	json_end(json);
}

/**
 * explain_json_write - write the results
 * @explanation: the results
 * @findings: findings about them
 * @file: the output
 *
 * Returns: the result of json_finish().
 */
int explain_json_write(const struct explanation *explanation, const struct findings *findings, FILE *file)
{
	const struct explain_sums *sums = &explanation->sums;
	uint64_t hz = tsc_frequency_hz(&explanation->request->frequency);
	struct json_writer json = { .pretty = true };

	json_begin_document(&json);
	json_add_text(&json, "host", explanation->recording->host.dat.path);
	json_add_known(&json, "tsc_hz", hz, hz);
	json_add_text(&json, "unit", hz ? "ns" : "cycles");
	json_begin(&json, "period", JSON_OBJECT);
	json_add_uint(&json, "from_tsc", explanation->begin.tsc);
	json_add_uint(&json, "to_tsc", explanation->end.tsc);
	json_add_uint(&json, "from", explanation->begin.ns);
	json_add_uint(&json, "wall", explanation->end.ns - explanation->begin.ns);
	json_end(&json);
	json_begin(&json, "vcpus", JSON_ARRAY);
	for (uint32_t i = 0; i < explanation->nr_vcpus; i++) {
		if (explanation->wanted[i])
			add_vcpu(&json, explanation, i);
	}
	json_end(&json);
	add_table(&json, "vm_exit", explanation, &sums->exits, add_exit);
	add_table(&json, "vm_steal", explanation, &sums->steals, add_steal);
	add_table(&json, "vm_wakeup", explanation, &sums->wakeups, add_wakeup);
	add_table(&json, "vm_time", explanation, &sums->times, add_time);
	add_table(&json, "unknown", explanation, &sums->unknown, add_unknown);
	add_left_out(&json, explanation);
	if (explanation->request->filter.worst)
		add_worst(&json, explanation);
	findings_json(&json, findings);
	json_end(&json);
	return json_finish(&json, file);
}
