// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The running VMs for people: a row for each vCPU. The first row of a VM also has the data of the VM.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "host.h"
#include "host_vms.h"
#include "running_vms.h"
#include "sanitize.h"
#include "show_report.h"
#include "tsc_ratio.h"
#include "vms_table.h"

/* Names and paths are claims of processes, of any length; --json has them in full */
#define CELL_SIZE	64
#define CUT		"..."

enum column { NAME, PROCESS, VMM, VSOCK, AGENT, AGE, VCPU, THREAD, OFFSET, TSC, NR_COLUMNS };

typedef char cell[CELL_SIZE];

/**
 * struct table - rows being made
 * @rows: all rows; owned
 * @nr: number of @rows in use
 */
struct table {
	cell	(*rows)[NR_COLUMNS];
	size_t	nr;
};

static const char *const titles[NR_COLUMNS] = {
	[NAME] = "NAME", [PROCESS] = "PROCESS", [VMM] = "VMM", [VSOCK] = "VSOCK", [AGENT] = "AGENT", [AGE] = "AGE",
	[VCPU] = "VCPU", [THREAD] = "THREAD", [OFFSET] = "OFFSET", [TSC] = "TSC",
};

static bool is_number(enum column column)
{
	return column == PROCESS || column == AGE || column == VCPU || column == THREAD || column == OFFSET;
}

/* Bytes that begin a UTF-8 character */
static bool begins(char byte)
{
	return (byte & 0xc0) != 0x80;
}

static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += begins(*text);
	return width;
}

/* @text: not trusted. Returns: 0 or -ENOMEM. */
static int set_text(cell to, const char *text)
{
	_cleanup_(freep) char *shown = sanitized(text);
	size_t size = CELL_SIZE - sizeof(CUT);

	if (!shown)
		return -ENOMEM;
	if (strlen(shown) < CELL_SIZE) {
		strcpy(to, shown);
		return 0;
	}
	while (size && !begins(shown[size]))
		size--;
	memcpy(to, shown, size);
	strcpy(to + size, CUT);
	return 0;
}

static void set_age(cell to, uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days)
		snprintf(to, CELL_SIZE, "%" PRIu64 "d%02" PRIu64 "h", days, hours % 24);
	else if (hours)
		snprintf(to, CELL_SIZE, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
	else if (minutes)
		snprintf(to, CELL_SIZE, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
	else
		snprintf(to, CELL_SIZE, "%" PRIu64 "s", seconds);
}

static int set_vsock(cell to, const struct vm_identity *identity)
{
	switch (identity->vsock) {
	case VSOCK_SOCKET:
		return set_text(to, identity->line.socket);
	case VSOCK_CID:
		snprintf(to, CELL_SIZE, "%" PRIu32, identity->line.cid);
		return 0;
	case VSOCK_NONE:
		strcpy(to, "-");
		return 0;
	default:
		strcpy(to, "unknown");
		return 0;
	}
}

/* The data of the VM, without its vCPUs */
static int fill_vm(cell *row, const struct running_vm *vm)
{
	static const char *const answers[] = {
		[AGENT_UNKNOWN] = "-", [AGENT_SILENT] = "no", [AGENT_ANSWERS] = "yes",
	};
	const struct vmm_command_line *line = &vm->identity.line;
	const char *name = line->name ? line->name : vm->vm ? vm->vm->name : "-";
	const char *vmm = line->vmm ? line->vmm : line->program && *line->program ? line->program : "-";
	int ret = set_text(row[NAME], name);

	if (!ret)
		ret = set_text(row[VMM], vmm);
	if (!ret)
		ret = set_vsock(row[VSOCK], &vm->identity);
	snprintf(row[PROCESS], sizeof(cell), "%d", vm->pid);
	if (!vm->pid)
		strcpy(row[PROCESS], "-");
	strcpy(row[AGENT], answers[vm->agent]);
	if (vm->age_known)
		set_age(row[AGE], vm->age);
	return ret;
}

static void fill_vcpu(cell *row, const struct host_vm *vm, size_t i)
{
	const struct vcpu_history *vcpu = &vm->history.vcpus[i];
	struct vcpu_now now = show_report_current(vm, i);
	int thread = host_vm_thread(vm, vcpu->vcpu_id);
	char ratio[TSC_RATIO_SIZE];

	snprintf(row[VCPU], sizeof(cell), "%" PRIu32, vcpu->vcpu_id);
	if (thread)
		snprintf(row[THREAD], sizeof(cell), "%d", thread);
	if (now.known)
		snprintf(row[OFFSET], sizeof(cell), "%" PRId64, now.map.offset);
	if (vcpu->tsc_protected)
		strcpy(row[TSC], "protected");
	else if (!now.known)
		strcpy(row[TSC], "unknown");
	else if (tsc_mapping_scaled(&now.map))
		snprintf(row[TSC], sizeof(cell), "scaled by %s", tsc_ratio_text(&now.map, ratio));
	else
		strcpy(row[TSC], "not scaled");
}

static size_t nr_vcpus(const struct running_vm *vm)
{
	return vm->vm ? vm->vm->history.nr_vcpus : 0;
}

static int add_vm(struct table *table, const struct running_vm *vm)
{
	size_t nr = nr_vcpus(vm);
	cell *first = table->rows[table->nr];
	int ret = fill_vm(first, vm);

	if (!nr)
		strcpy(first[TSC], "unknown");
	for (size_t i = 0; i < nr; i++)
		fill_vcpu(table->rows[table->nr + i], vm->vm, i);
	table->nr += nr ? nr : 1;
	return ret;
}

/* The last column with contents ends the line */
static void write_row(const cell *row, const int *widths, FILE *file)
{
	enum column last = NR_COLUMNS - 1;

	while (last && !*row[last])
		last--;
	for (enum column c = 0; c <= last; c++) {
		int blanks = widths[c] - width_of(row[c]);
		bool pad_left = is_number(c);

		fprintf(file, "%s%*s%s%*s", c ? "  " : "", pad_left ? blanks : 0, "", row[c],
			pad_left || c == last ? 0 : blanks, "");
	}
	fprintf(file, "\n");
}

static void write_table(const struct table *table, FILE *file)
{
	int widths[NR_COLUMNS] = { 0 };

	for (size_t i = 0; i < table->nr; i++) {
		for (enum column c = 0; c < NR_COLUMNS; c++) {
			int width = width_of(table->rows[i][c]);

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (size_t i = 0; i < table->nr; i++)
		write_row(table->rows[i], widths, file);
}

/* Allocates all rows, with the titles in the first. Returns: 0 or -ENOMEM. */
static int begin_table(struct table *table, const struct running_vms *vms)
{
	size_t room = 1;

	for (size_t i = 0; i < vms->nr; i++)
		room += nr_vcpus(&vms->vms[i]) + 1;
	table->rows = calloc(room, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	for (enum column c = 0; c < NR_COLUMNS; c++)
		strcpy(table->rows[0][c], titles[c]);
	table->nr = 1;
	return 0;
}

/**
 * vms_table_write - write the running VMs for people
 * @vms: the VMs
 * @only: name of the VMs to write, NULL for all
 * @file: the output
 *
 * Returns: 0 or -ENOMEM; then nothing is written.
 */
int vms_table_write(const struct running_vms *vms, const char *only, FILE *file)
{
	struct table table = { 0 };
	int ret = begin_table(&table, vms);

	for (size_t i = 0; !ret && i < vms->nr; i++) {
		if (!only || running_vm_is_called(&vms->vms[i], only))
			ret = add_vm(&table, &vms->vms[i]);
	}
	if (!ret)
		write_table(&table, file);
	free(table.rows);
	return ret;
}
