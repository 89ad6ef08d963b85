// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "explain_table.h"
#include "explain_words.h"
#include "explanation.h"
#include "guest_file.h"
#include "host_vcpus.h"
#include "merged_recording.h"
#include "number.h"
#include "order.h"
#include "sanitize.h"

#define NAME_SIZE	160

/**
 * struct column - a column of numbers
 * @title: its title
 * @width: its width in characters
 * @value: gets its value in a row
 */
struct column {
	const char	*title;
	int		width;
	uint64_t	(*value)(const struct sum_row *row);
};

/**
 * struct layout - a table
 * @title: its subject, with its name in the manual
 * @names: title of the column of names
 * @name: names a row
 * @columns: the numbers; one without a title ends the list
 */
struct layout {
	const char		*title;
	const char		*names;
	void			(*name)(const struct explanation *explanation, const struct sum_row *row,
					char text[NAME_SIZE]);
	struct column		columns[9];
};

static uint64_t count_of(const struct sum_row *row)
{
	return row->count;
}

static uint64_t longest_of(const struct sum_row *row)
{
	return row->longest;
}

static uint64_t guest_of(const struct sum_row *row)
{
	return row->ns[VCPU_GUEST];
}

static uint64_t exit_of(const struct sum_row *row)
{
	return row->ns[VCPU_EXIT];
}

static uint64_t stolen_of(const struct sum_row *row)
{
	return row->ns[VCPU_STOLEN];
}

static uint64_t halted_of(const struct sum_row *row)
{
	return row->ns[VCPU_HALTED];
}

static uint64_t unknown_of(const struct sum_row *row)
{
	return row->ns[VCPU_UNKNOWN];
}

/* "sh-151", "idle", or why it is unknown */
static void name_task(enum not_known unknown, int pid, const char comm[TASK_COMM_SIZE], char text[NAME_SIZE])
{
	char name[COMM_TEXT_SIZE];

	explain_comm(name, comm);
	if (unknown)
		snprintf(text, NAME_SIZE, "? (%s)", explain_cause(unknown));
	else if (!pid)
		snprintf(text, NAME_SIZE, "idle");
	else
		snprintf(text, NAME_SIZE, "%s-%d", name, pid);
}

static void name_row(const struct sum_row *row, char text[NAME_SIZE])
{
	if (row->others)
		snprintf(text, NAME_SIZE, "others");
	else
		name_task(row->key.task_unknown, row->key.task, row->task, text);
}

static void name_time(const struct explanation *explanation, const struct sum_row *row, char text[NAME_SIZE])
{
	name_row(row, text);
}

static void name_exit(const struct explanation *explanation, const struct sum_row *row, char text[NAME_SIZE])
{
	char task[NAME_SIZE], reason[EXIT_REASON_SIZE];

	name_row(row, task);
	if (row->others) {
		snprintf(text, NAME_SIZE, "others");
		return;
	}
	exit_reasons_name(&explanation->reasons, row->key.reason_known, row->isa, row->key.reason, reason);
	snprintf(text, NAME_SIZE, "%-34.40s %s%s%s%s", task, reason, row->key.what ? " (" : "",
		 row->key.what ? explain_cause(row->key.what) : "", row->key.what ? ")" : "");
}

static void name_preemptor(const struct explanation *explanation, const struct task *thread, uint32_t vcpu,
			   const struct task *task, char text[NAME_SIZE])
{
	char host[NAME_SIZE], guest[NAME_SIZE];

	name_task(thread->unknown, thread->pid, thread->comm, host);
	if (vcpu == VCPU_NONE) {
		snprintf(text, NAME_SIZE, "%.60s", host);
		return;
	}
	name_task(task->unknown, task->pid, task->comm, guest);
	snprintf(text, NAME_SIZE, "%.40s, %.32s of %.40s", host, guest, explain_vm(explanation, vcpu));
}

static void name_steal(const struct explanation *explanation, const struct sum_row *row, char text[NAME_SIZE])
{
	struct task thread = { row->key.preemptor_unknown, row->key.preemptor, "" };
	struct task task = { IS_KNOWN, row->key.preemptor_task, "" };
	char waits[NAME_SIZE], preemptor[NAME_SIZE] = "";

	name_row(row, waits);
	if (row->others) {
		snprintf(text, NAME_SIZE, "others");
		return;
	}
	memcpy(thread.comm, row->preemptor, sizeof(thread.comm));
	memcpy(task.comm, row->preemptor_task, sizeof(task.comm));
	if (row->key.what == VCPU_STOLEN)
		name_preemptor(explanation, &thread, row->key.preemptor_vcpu, &task, preemptor);
	snprintf(text, NAME_SIZE, "%-34.40s %s%s%.90s", waits, explain_state(row->key.what), *preemptor ? " by " : "",
		 preemptor);
}

static void name_cause(const struct explanation *explanation, const struct sum_row *row, char text[NAME_SIZE])
{
	snprintf(text, NAME_SIZE, "%s", explain_cause(row->key.what));
}

static const struct layout exit_layout = {
	"Exits: which cost which guest task how much (vm_exit)", "guest task                         exit reason",
	name_exit, {
		{ "exits", 9, count_of }, { "total", 16, sum_row_total }, { "handling", 16, exit_of },
		{ "stolen", 16, stolen_of }, { "halted", 16, halted_of }, { "unknown", 16, unknown_of },
		{ "longest", 14, longest_of },
	},
};

static const struct layout steal_layout = {
	"Out of guest mode: who took the vCPU's CPU (vm_steal)", "guest task that waited             what it waited for", name_steal, {
		{ "times", 9, count_of }, { "total", 16, sum_row_total }, { "longest", 14, longest_of },
	},
};

static const struct layout wakeup_layout = {
	"Wake-ups: where they wait (vm_wakeup)", "guest task that was woken", name_time, {
		{ "wake-ups", 9, count_of }, { "total", 16, sum_row_total }, { "guest queue", 16, guest_of },
		{ "IPI", 16, halted_of }, { "host wake-up", 16, stolen_of }, { "entry", 16, exit_of },
		{ "unknown", 16, unknown_of }, { "longest", 14, longest_of },
	},
};

static const struct layout time_layout = {
	"Tasks: where their time went (vm_time)", "guest task", name_time, {
		{ "total", 16, sum_row_total }, { "guest mode", 16, guest_of }, { "exits", 16, exit_of },
		{ "stolen", 16, stolen_of }, { "halted", 16, halted_of }, { "unknown", 16, unknown_of },
	},
};

static const struct layout unknown_layout = {
	"What is not known", "cause", name_cause, { { "times", 9, count_of }, { "total", 16, unknown_of } },
};

static void write_number(uint64_t number, int width, FILE *file)
{
	char text[NUMBER_GROUPED_SIZE];

	fprintf(file, " %*s", width, number_grouped(number, text));
}

/* Names come from files */
static void write_name(const char *text, int width, FILE *file)
{
	_cleanup_(freep) char *name = sanitized(text);

	fprintf(file, " %-*s", width, name ? name : "?");
}

/* The states of all vCPUs, in the order of enum vcpu_state; their sum is the wall time */
static void write_vcpus(const struct explanation *explanation, FILE *file)
{
	fprintf(file, "vCPUs: guest mode + exits + stolen + halted + unknown = wall\n"
		      " %-20s %4s %16s %16s %16s %16s %16s %16s\n",
		"guest", "vCPU", "guest mode", "exits", "stolen", "halted", "unknown", "wall");
	for (uint32_t i = 0; i < explanation->nr_vcpus; i++) {
		const struct explained_vcpu *vcpu = &explanation->vcpus[i];

		if (!explanation->wanted[i])
			continue;
		write_name(explain_vm(explanation, i), 20, file);
		fprintf(file, " %4" PRIu32, vcpu->vcpu->vcpu_id);
		for (size_t j = 0; j < NR_VCPU_STATES; j++)
			write_number(vcpu->ns[j], 16, file);
		write_number(explanation->end.ns - explanation->begin.ns, 16, file);
		fprintf(file, "\n");
	}
}

/* Equal except for the vCPU, of which only the VM counts */
static int compare_keys(const void *a, const void *b)
{
	const struct sum_row *x = a, *y = b;

	return order_of(x->others, y->others) ?: memcmp(&x->key, &y->key, sizeof(x->key));
}

static int compare_totals(const void *a, const void *b)
{
	const struct sum_row *x = a, *y = b;
	uint64_t total_x = sum_row_total(x), total_y = sum_row_total(y);

	return order_of(total_y, total_x) ?: compare_keys(a, b);
}

static void add_row(struct sum_row *sum, const struct sum_row *row)
{
	sum->count += row->count;
	for (size_t i = 0; i < NR_VCPU_STATES; i++)
		sum->ns[i] += row->ns[i];
	if (row->longest > sum->longest)
		sum->longest = row->longest;
}

/* Index of the first vCPU of the same guest */
static uint32_t first_vcpu(const struct explanation *explanation, uint32_t vcpu)
{
	const struct explained_vcpu *vcpus = explanation->vcpus;
	uint32_t first = vcpu;

	if (vcpus[vcpu].guest == SIZE_MAX) {
		while (first && vcpus[first - 1].vcpu->vm == vcpus[vcpu].vcpu->vm)
			first--;
		return first;
	}
	for (first = 0; vcpus[first].guest != vcpus[vcpu].guest; first++)
		;
	return first;
}

/* Joins the rows of all vCPUs of a guest; those with most time first */
static struct sum_row *collect(const struct explanation *explanation, const struct sum_table *table, size_t *nr)
{
	struct sum_row *rows = calloc(table->nr + table->nr_vcpus + 1, sizeof(*rows));
	size_t kept = 0;

	if (!rows)
		return NULL;
	*nr = 0;
	for (size_t i = 0; i < table->nr; i++)
		rows[(*nr)++] = table->rows[i];
	for (size_t i = 0; i < table->nr_vcpus; i++) {
		if (table->others[i].count)
			rows[(*nr)++] = table->others[i];
	}
	for (size_t i = 0; i < *nr; i++)
		rows[i].key.vcpu = first_vcpu(explanation, rows[i].key.vcpu);
	array_sort(rows, *nr, compare_keys);
	for (size_t i = 0; i < *nr; i++) {
		if (kept && !compare_keys(&rows[kept - 1], &rows[i]))
			add_row(&rows[kept - 1], &rows[i]);
		else
			rows[kept++] = rows[i];
	}
	*nr = kept;
	array_sort(rows, kept, compare_totals);
	return rows;
}

static void write_row(const struct explanation *explanation, const struct layout *layout, const struct sum_row *row,
		      const char *guest, const char *name, int width, FILE *file)
{
	write_name(guest, 20, file);
	write_name(name, width, file);
	for (const struct column *column = layout->columns; column->title; column++)
		write_number(column->value(row), column->width, file);
	fprintf(file, "\n");
}

static void write_titles(const struct layout *layout, int width, FILE *file)
{
	fprintf(file, "\n%s\n %-20s %-*s", layout->title, "guest", width, layout->names);
	for (const struct column *column = layout->columns; column->title; column++)
		fprintf(file, " %*s", column->width, column->title);
	fprintf(file, "\n");
}

static int write_table(const struct explanation *explanation, const struct layout *layout,
		       const struct sum_table *table, FILE *file)
{
	size_t nr, shown;
	_cleanup_(freep) struct sum_row *rows = collect(explanation, table, &nr);
	struct sum_row rest = { .others = true };
	char name[NAME_SIZE];
	int width = (int)strlen(layout->names);

	if (!rows)
		return -ENOMEM;
	if (!nr)
		return 0;
	shown = nr < EXPLAIN_TOP ? nr : EXPLAIN_TOP;
	for (size_t i = 0; i < shown; i++) {
		layout->name(explanation, &rows[i], name);
		if ((int)strlen(name) > width)
			width = (int)strlen(name);
	}
	write_titles(layout, width, file);
	for (size_t i = 0; i < shown; i++) {
		layout->name(explanation, &rows[i], name);
		write_row(explanation, layout, &rows[i], explain_vm(explanation, rows[i].key.vcpu), name, width, file);
	}
	for (size_t i = shown; i < nr; i++)
		add_row(&rest, &rows[i]);
	if (nr > shown) {
		snprintf(name, sizeof(name), "%zu more", nr - shown);
		write_row(explanation, layout, &rest, "", name, width, file);
	}
	return 0;
}

/* The first columns of all lists of the longest; host times are those of trace-cmd report */
static void write_worst(const struct explanation *explanation, uint32_t vcpu, const struct task *task,
			struct moment from, struct moment to, const char *what, FILE *file)
{
	char name[NAME_SIZE];

	write_number(to.ns - from.ns, 14, file);
	fprintf(file, " %20" PRIu64 " %20" PRIu64 " %20" PRIu64, from.tsc, to.tsc, from.ns);
	write_name(explain_vm(explanation, vcpu), 12, file);
	fprintf(file, " %4" PRIu32, explanation->vcpus[vcpu].vcpu->vcpu_id);
	name_task(task->unknown, task->pid, task->comm, name);
	write_name(name, 24, file);
	write_name(what, 0, file);
	fprintf(file, "\n");
}

static void write_worst_titles(const char *title, const char *what, FILE *file)
{
	fprintf(file, "\n%s\n %14s %20s %20s %20s %-12s %4s %-24s %s\n", title, "length", "from host TSC", "to host TSC",
		"from", "guest", "vCPU", "guest task", what);
}

static void write_worst_lists(const struct explanation *explanation, FILE *file)
{
	const struct explain_sums *sums = &explanation->sums;
	char what[NAME_SIZE];

	write_worst_titles("The longest exits", "exit reason", file);
	for (size_t i = 0; i < sums->worst_exits.nr; i++) {
		const struct exit_cost *exit = (const struct exit_cost *)sums->worst_exits.items + i;
		char reason[EXIT_REASON_SIZE];

		exit_reasons_name(&explanation->reasons, exit->reason.known, exit->reason.isa, exit->reason.code,
				  reason);
		snprintf(what, sizeof(what), "%s%s%s", reason, exit->open ? ", " : "",
			 exit->open ? explain_cause(exit->open) : "");
		write_worst(explanation, exit->vcpu, &exit->task, exit->from, exit->to, what, file);
	}
	write_worst_titles("The longest times in which another thread had the vCPU's CPU", "thread", file);
	for (size_t i = 0; i < sums->worst_steals.nr; i++) {
		const struct stretch *steal = (const struct stretch *)sums->worst_steals.items + i;

		name_preemptor(explanation, &steal->preemptor, steal->preemptor_vcpu, &steal->preemptor_task, what);
		write_worst(explanation, steal->vcpu, &steal->task, steal->from, steal->to, what, file);
	}
	write_worst_titles("The longest wake-ups", "guest queue, IPI, host wake-up, entry, unknown", file);
	for (size_t i = 0; i < sums->worst_wakeups.nr; i++) {
		const struct wakeup *wakeup = (const struct wakeup *)sums->worst_wakeups.items + i;

		snprintf(what, sizeof(what), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
			 wakeup->ns[VCPU_GUEST], wakeup->ns[VCPU_HALTED], wakeup->ns[VCPU_STOLEN],
			 wakeup->ns[VCPU_EXIT], wakeup->ns[VCPU_UNKNOWN]);
		write_worst(explanation, wakeup->vcpu, &wakeup->task, wakeup->from, wakeup->to, what, file);
	}
}

/* Wake-ups that no sum includes, with a row for each cause */
static void write_left_out(const struct explanation *explanation, FILE *file)
{
	for (size_t i = 0; i < explanation->nr_guests; i++) {
		const struct wakeups *wakeups = explanation_wakeups(explanation, i);
		const struct {
			uint64_t	nr;
			const char	*cause;
		} causes[] = {
			{ wakeups->nr_lost, "events lost" },
			{ wakeups->nr_open, "open at the end" },
			{ wakeups->nr_dropped, "too many at the same time" },
			{ wakeups->nr_unplaced, "on a CPU of which the vCPU is not known" },
		};

		for (size_t j = 0; j < sizeof(causes) / sizeof(causes[0]); j++) {
			if (!causes[j].nr)
				continue;
			write_name(explanation->recording->guests[i].dat.path, 20, file);
			fprintf(file, " wake-ups left out, %s: %" PRIu64 "\n", causes[j].cause, causes[j].nr);
		}
	}
}

/**
 * explain_table_write - write the results
 * @explanation: the results
 * @file: the output
 *
 * Returns: 0 or -ENOMEM.
 */
int explain_table_write(const struct explanation *explanation, FILE *file)
{
	const struct explain_sums *sums = &explanation->sums;
	const struct {
		const struct layout	*layout;
		const struct sum_table	*table;
	} tables[] = {
		{ &exit_layout, &sums->exits }, { &steal_layout, &sums->steals }, { &wakeup_layout, &sums->wakeups },
		{ &time_layout, &sums->times }, { &unknown_layout, &sums->unknown },
	};
	uint64_t khz = (tsc_frequency_hz(&explanation->request->frequency) + 500) / 1000;
	_cleanup_(freep) char *path = sanitized(explanation->recording->host.dat.path);
	int ret = 0;

	fprintf(file, "%s: host TSC %" PRIu64 " to %" PRIu64, path ? path : "?", explanation->begin.tsc,
		explanation->end.tsc);
	if (khz)
		fprintf(file, ", %" PRIu64 ".%03" PRIu64 " MHz; all times in nanoseconds\n\n", khz / 1000, khz % 1000);
	else
		fprintf(file, "; all times in cycles\n\n");
	write_vcpus(explanation, file);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !ret; i++) {
		ret = write_table(explanation, tables[i].layout, tables[i].table, file);
		if (tables[i].layout == &wakeup_layout)
			write_left_out(explanation, file);
	}
	if (!ret && explanation->request->filter.worst)
		write_worst_lists(explanation, file);
	return ret;
}
