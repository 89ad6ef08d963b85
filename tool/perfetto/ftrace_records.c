// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "any.h"
#include "event_ids.h"
#include "event_texts.h"
#include "ftrace_events.pb-c.h"
#include "ftrace_records.h"

/* Event numbers have 16 bits */
#define NR_EVENTS	(1U << 16)
/* Limit of field numbers in described messages, as in Perfetto */
#define MAX_FIELDS	31
/* Limit of a field's text, in bytes: all fields of a record may point to the same bytes */
#define MAX_TEXT	8192
/* Fields of FtraceEvent */
#define EVENT_TIMESTAMP	1
#define EVENT_PID	2
/* Fields of FtraceEventBundle.GenericEventDescriptor, DescriptorProto and FieldDescriptorProto */
#define GENERIC_ID	1
#define GENERIC_MESSAGE	2
#define GENERIC_GROUP	3
#define MESSAGE_NAME	1
#define MESSAGE_FIELD	2
#define FIELD_NAME	1
#define FIELD_NUMBER	3
#define FIELD_LABEL	4
#define FIELD_TYPE	5

/* FieldDescriptorProto's enums */
enum {
	LABEL_OPTIONAL	= 1,
};

enum {
	TYPE_INT64	= 3,
	TYPE_UINT64	= 4,
	TYPE_STRING	= 9,
};

enum field_kind {
	FIELD_SCALAR,		/* a number */
	FIELD_NUMBERS,		/* an array, each element a field */
	FIELD_HEX,		/* an array, as text */
	FIELD_CHARS,		/* text, up to the first NUL */
	FIELD_PRINTED,		/* the text of the record's print format */
};

/* The place of an array or a text */
enum field_place {
	PLACE_FIXED,		/* at the offset, with the size of the format */
	PLACE_REST,		/* from the offset to the end of the record */
	PLACE_LOC,		/* the field has the place in the record and the size */
	PLACE_REL_LOC,		/* the same, relative to the end of the field */
};

/**
 * struct field_plan - the conversion of a field
 * @number: number of the message's field
 * @offset, @size: its place and size in the record, in bytes
 * @kind, @place: enum field_kind and enum field_place
 * @element: for an array: size of an element in bytes
 * @is_signed: it is signed
 * @bits: size of the message's field
 */
struct field_plan {
	uint32_t	number;
	uint32_t	offset;
	uint32_t	size;
	uint8_t		kind;
	uint8_t		place;
	uint8_t		element;
	bool		is_signed;
	uint8_t		bits;
};

/**
 * struct ftrace_plan - the conversion of an event
 * @message: number of the message in FtraceEvent
 * @left_out: it has more fields than a message can have
 * @nr_fields: number of @fields
 * @fields: the fields to write
 */
struct ftrace_plan {
	uint32_t		message;
	bool			left_out;
	size_t			nr_fields;
	struct field_plan	fields[];
};

/*
 * Events from which Perfetto makes its tables of threads, CPUs and states. Their messages are always written; fields
 * that a newer kernel added have no place in them.
 */
static const char *const essential[] = {
	"sched_switch", "sched_waking", "sched_wakeup", "sched_wakeup_new", "sched_migrate_task", "sched_process_exit",
	"sched_process_fork", "sched_process_exec", "sched_process_free", "sched_blocked_reason", "task_newtask",
	"task_rename", "irq_handler_entry", "irq_handler_exit", "softirq_entry", "softirq_exit", "softirq_raise",
	"local_timer_entry", "local_timer_exit", "cpu_frequency", "cpu_idle", "sys_enter", "sys_exit",
	"workqueue_execute_start", "workqueue_execute_end", "signal_generate", "signal_deliver", "ipi_entry",
	"ipi_exit", "ipi_raise", "suspend_resume",
};

static bool is_essential(const char *name)
{
	return any_of(i, sizeof(essential) / sizeof(essential[0]), !strcmp(essential[i], name));
}

/* The systems of these events: other systems may have events of the same names */
static bool is_known_system(const char *system)
{
	static const char *const systems[] = {
		"block", "cgroup", "clk", "compaction", "cpuhp", "filemap", "ftrace", "ipi", "irq", "irq_vectors",
		"kmem", "napi", "net", "oom", "power", "raw_syscalls", "sched", "signal", "skb", "sock", "task", "tcp",
		"timer", "vmscan", "workqueue",
	};

	return any_of(i, sizeof(systems) / sizeof(systems[0]), !strcmp(systems[i], system));
}

static bool is_stack(const struct tep_event *format)
{
	return !strcmp(format->system, "ftrace") &&
	       (!strcmp(format->name, "kernel_stack") || !strcmp(format->name, "user_stack"));
}

/* The text of trace_printk() is not in the record, but in the file's list of formats */
static bool is_printed(const struct tep_event *format, const struct tep_format_field *field)
{
	return !strcmp(format->system, "ftrace") && !field->next &&
	       (!strcmp(format->name, "bprint") || !strcmp(format->name, "bputs"));
}

static enum field_place place_of(const struct tep_event *format, const struct tep_format_field *field)
{
	if (!field->size || (is_stack(format) && !field->next))
		return PLACE_REST;
	if (field->flags & TEP_FIELD_IS_DYNAMIC && field->size >= 4)
		return field->flags & TEP_FIELD_IS_RELATIVE ? PLACE_REL_LOC : PLACE_LOC;
	return PLACE_FIXED;
}

static bool is_number(int size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* Returns: false if the format is invalid */
static bool plan_field(struct field_plan *plan, const struct tep_event *format, const struct tep_format_field *field)
{
	bool array = field->flags & (TEP_FIELD_IS_ARRAY | TEP_FIELD_IS_DYNAMIC) || !field->size;

	if (field->offset < 0 || field->size < 0 || field->offset > UINT16_MAX || field->size > UINT16_MAX)
		return false;
	*plan = (struct field_plan) {
		.offset = (uint32_t)field->offset, .size = (uint32_t)field->size, .kind = FIELD_SCALAR,
		.place = (uint8_t)place_of(format, field), .is_signed = field->flags & TEP_FIELD_IS_SIGNED,
		.element = is_number((int)field->elementsize) ? (uint8_t)field->elementsize : 1, .bits = 64,
	};
	if (is_printed(format, field))
		plan->kind = FIELD_PRINTED;
	else if (array && field->type && strstr(field->type, "char"))
		plan->kind = FIELD_CHARS;
	else if (array || !is_number(field->size))
		plan->kind = FIELD_HEX;
	return true;
}

/* Does a field of Perfetto's message hold all values of the record's field? Then the plan gets it. */
static bool plan_native(struct field_plan *plan, const ProtobufCFieldDescriptor *to, bool any)
{
	bool is_signed = to->type == PROTOBUF_C_TYPE_INT32 || to->type == PROTOBUF_C_TYPE_INT64;

	plan->number = to->id;
	if (to->type == PROTOBUF_C_TYPE_STRING)
		return plan->kind == FIELD_CHARS;
	if (to->label == PROTOBUF_C_LABEL_REPEATED) {
		if (plan->kind != FIELD_HEX)
			return false;
		plan->kind = FIELD_NUMBERS;
		return true;
	}
	if (plan->kind != FIELD_SCALAR)
		return false;
	plan->bits = to->type == PROTOBUF_C_TYPE_INT32 || to->type == PROTOBUF_C_TYPE_UINT32 ? 32 : 64;
	if (!any && (plan->size * 8 > plan->bits || (plan->is_signed && !is_signed) ||
		     (!plan->is_signed && is_signed && plan->size * 8 == plan->bits)))
		return false;
	plan->is_signed = is_signed;
	return true;
}

/*
 * Perfetto's message of an event, if it should be written as that. For trace_marker it accepts only lines of atrace:
 * others are errors to it.
 */
static bool plan_message(struct ftrace_plan *plan, const struct tep_event *format)
{
	const ProtobufCFieldDescriptor *event =
		protobuf_c_message_descriptor_get_field_by_name(&perfetto__ftrace_event__descriptor, format->name);
	bool any = is_essential(format->name);

	if (!event || event->type != PROTOBUF_C_TYPE_MESSAGE || !is_known_system(format->system))
		return false;
	plan->message = event->id;
	plan->nr_fields = 0;
	for (const struct tep_format_field *field = format->format.fields; field; field = field->next) {
		const ProtobufCFieldDescriptor *to =
			protobuf_c_message_descriptor_get_field_by_name(event->descriptor, field->name);
		struct field_plan *next = &plan->fields[plan->nr_fields];

		if (to && plan_field(next, format, field) && plan_native(next, to, any))
			plan->nr_fields++;
		else if (!any)
			return false;
	}
	return plan->nr_fields || !format->format.fields;
}

static void describe_field(struct wire *wire, const struct field_plan *plan, const char *name)
{
	size_t begin;

	if (!wire_reserve(wire, strlen(name) + 64))
		return;
	begin = wire_begin(wire, MESSAGE_FIELD);
	wire_text(wire, FIELD_NAME, name, strlen(name));
	wire_number(wire, FIELD_NUMBER, plan->number);
	wire_number(wire, FIELD_LABEL, LABEL_OPTIONAL);
	wire_number(wire, FIELD_TYPE, plan->kind != FIELD_SCALAR ? TYPE_STRING :
				      plan->is_signed ? TYPE_INT64 : TYPE_UINT64);
	wire_end(wire, begin, 0);
}

/* A described message, with all fields of the format */
static void describe_message(struct ftrace_plan *plan, const struct tep_event *format, struct wire *wire)
{
	const char *name = format ? format->name : "unknown", *system = format ? format->system : "unknown";
	size_t message;

	plan->nr_fields = 0;
	if (!wire_reserve(wire, strlen(name) + strlen(system) + 64))
		return;
	wire_number(wire, GENERIC_ID, plan->message);
	wire_text(wire, GENERIC_GROUP, system, strlen(system));
	message = wire_begin(wire, GENERIC_MESSAGE);
	wire_text(wire, MESSAGE_NAME, name, strlen(name));
	for (const struct tep_format_field *field = format ? format->format.fields : NULL; field; field = field->next) {
		struct field_plan *next = &plan->fields[plan->nr_fields];

		if (plan->nr_fields == MAX_FIELDS || !plan_field(next, format, field)) {
			plan->left_out = true;
			continue;
		}
		next->number = (uint32_t)++plan->nr_fields;
		describe_field(wire, next, next->kind == FIELD_PRINTED ? "text" : field->name);
	}
	if (wire_reserve(wire, WIRE_KEY_SIZE))
		wire_end(wire, message, 0);
}

static struct ftrace_plan *new_plan(const struct tep_event *format)
{
	size_t nr = 1;

	for (const struct tep_format_field *field = format ? format->format.fields : NULL; field; field = field->next)
		nr++;
	return calloc(1, sizeof(struct ftrace_plan) + nr * sizeof(struct field_plan));
}

static struct ftrace_plan *make_plan(struct ftrace_records *records, const struct tep_event *format,
				     struct wire *description)
{
	struct ftrace_plan *plan = new_plan(format);

	if (!plan)
		return NULL;
	if (format && format->id != records->marks && plan_message(plan, format))
		return plan;
	/* More than any kernel has */
	if (*records->next > FTRACE_LAST_DESCRIBED) {
		free(plan);
		return NULL;
	}
	plan->message = (*records->next)++;
	describe_message(plan, format, description);
	return plan;
}

/* Returns: NULL without memory */
static struct ftrace_plan *plan_of(struct ftrace_records *records, const struct ring_event *event,
				   struct wire *description)
{
	int id = ring_event_id(event);
	size_t place = id < 0 || (uint32_t)id >= NR_EVENTS ? NR_EVENTS : (size_t)id;
	struct ftrace_plan **plan = &records->plans[place];

	if (!*plan) {
		const struct tep_event *format = place < NR_EVENTS ? tep_find_event(records->tep, id) : NULL;

		/* All without a format share one plan */
		plan = format ? plan : &records->plans[NR_EVENTS];
		if (!*plan)
			*plan = make_plan(records, format, description);
		records->plans[place] = *plan;
	}
	return *plan;
}

static uint64_t read_number(const uint8_t *at, size_t size, bool is_signed)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)at[i] << 8 * i;
	if (is_signed && size && size < 8 && value >> (8 * size - 1))
		value |= UINT64_MAX << 8 * size;
	return value;
}

/* Returns: false if it is outside of the record */
static bool find_bytes(const struct field_plan *plan, const struct ring_event *event, const uint8_t **at, size_t *size)
{
	size_t from = plan->offset;

	if (from > event->size)
		return false;
	*size = event->size - from;
	if (plan->place == PLACE_FIXED) {
		bool whole = plan->size <= *size;

		/* Of a short stack only a part exists */
		if (!whole && plan->kind != FIELD_HEX)
			return false;
		*size = whole ? plan->size : *size;
	} else if (plan->place != PLACE_REST) {
		const uint8_t *loc = event->data + from;

		if (*size < 4)
			return false;
		from = read_number(loc, 2, false);
		if (plan->place == PLACE_REL_LOC)
			from += plan->offset + plan->size;
		*size = read_number(loc + 2, 2, false);
		if (from > event->size || *size > event->size - from)
			return false;
	}
	*at = event->data + from;
	return true;
}

static void write_hex(struct wire *body, const struct field_plan *plan, const uint8_t *at, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t nr = size / plan->element, length = nr ? nr * (2 * plan->element + 1UL) - 1 : 0;

	wire_varint(body, plan->number << 3 | 2);
	wire_varint(body, length);
	for (size_t i = 0; i < nr; i++) {
		if (i)
			body->bytes[body->size++] = ' ';
		/* The last byte of a number has its first digits */
		for (size_t j = plan->element; j--;) {
			uint8_t byte = at[i * plan->element + j];

			body->bytes[body->size++] = (uint8_t)digits[byte >> 4];
			body->bytes[body->size++] = (uint8_t)digits[byte & 15];
		}
	}
}

static void write_numbers(struct wire *body, const struct field_plan *plan, const uint8_t *at, size_t size)
{
	for (size_t i = 0; i + plan->element <= size; i += plan->element)
		wire_number(body, plan->number, read_number(at + i, plan->element, plan->is_signed));
}

/* Returns: false if the field is incomplete */
static bool write_bytes(struct ftrace_records *records, const struct field_plan *plan, const struct ring_event *event)
{
	struct wire *body = &records->body;
	const uint8_t *at;
	size_t size;
	bool whole;

	if (!find_bytes(plan, event, &at, &size))
		return false;
	if (plan->kind == FIELD_CHARS)
		size = strnlen((const char *)at, size);
	whole = size <= MAX_TEXT;
	size = whole ? size : MAX_TEXT;
	if (!wire_reserve(body, size * (WIRE_KEY_SIZE + WIRE_NUMBER_SIZE) + WIRE_KEY_SIZE + WIRE_NUMBER_SIZE))
		return false;
	if (plan->kind == FIELD_CHARS)
		wire_text(body, plan->number, (const char *)at, size);
	else if (plan->kind == FIELD_NUMBERS)
		write_numbers(body, plan, at, size);
	else
		write_hex(body, plan, at, size);
	return whole;
}

static bool write_field(struct ftrace_records *records, const struct field_plan *plan, const struct ring_event *event,
			const char *text)
{
	uint64_t value;

	if (plan->kind == FIELD_PRINTED) {
		size_t size = strnlen(text, MAX_TEXT);

		if (!wire_reserve(&records->body, size + WIRE_KEY_SIZE + WIRE_NUMBER_SIZE))
			return false;
		wire_text(&records->body, plan->number, text, size);
		return true;
	}
	if (plan->kind != FIELD_SCALAR)
		return write_bytes(records, plan, event);
	if (plan->size > event->size || plan->offset > event->size - plan->size ||
	    !wire_reserve(&records->body, WIRE_KEY_SIZE + WIRE_NUMBER_SIZE))
		return false;
	value = read_number(event->data + plan->offset, plan->size, plan->is_signed);
	if (plan->bits == 32)
		value = plan->is_signed ? (uint64_t)(int32_t)value : (uint32_t)value;
	wire_number(&records->body, plan->number, value);
	return true;
}

/* Does a part of a line have the form that Perfetto requires there? */
static bool is_part(char form, const char *part, size_t size)
{
	bool sign = form == 'i' && size && *part == '-';

	if (form == 't')
		return size;
	/* A number of a process or of any kind: longer ones may not fit */
	if (size <= sign || size > (form == 'n' ? 9 : 18))
		return false;
	for (size_t i = sign; i < size; i++) {
		if (part[i] < '0' || part[i] > '9')
			return false;
	}
	return true;
}

/* Is it a line of atrace, such as "B|PID|NAME"? */
static bool is_atrace(const char *line, size_t size)
{
	/* After the first letter: a process, a text that is not empty, an integer */
	static const char *const forms[] = { "Bn", "E", "Cnti", "Snti", "Fnti", "Int", "Nntt", "Gntti" };
	const char *form = NULL, *end = line + size;

	while (end > line && end[-1] == '\n')
		end--;
	if (end == line || (end - line > 1 && line[1] != '|'))
		return false;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (*line == *forms[i])
			form = forms[i] + 1;
	}
	for (line++; form && *form; form++) {
		const char *next;

		if (line == end)
			return false;
		line++;
		next = memchr(line, '|', (size_t)(end - line));
		next = next ? next : end;
		if (!is_part(*form, line, (size_t)(next - line)))
			return false;
		line = next;
	}
	return form;
}

static bool is_slice(const struct ftrace_records *records, const struct ring_event *event)
{
	const struct field_plan *text;
	const uint8_t *at;
	size_t size;

	if (!records->slices || ring_event_id(event) != records->marks)
		return false;
	text = &records->slices->fields[records->slices->nr_fields - 1];
	if (text->kind != FIELD_CHARS || !find_bytes(text, event, &at, &size))
		return false;
	return is_atrace((const char *)at, strnlen((const char *)at, size));
}

static bool needs_text(const struct ftrace_plan *plan)
{
	return plan->nr_fields && plan->fields[plan->nr_fields - 1].kind == FIELD_PRINTED;
}

static uint32_t pid_of(const struct ftrace_records *records, const struct ring_event *event)
{
	if (!records->pid || event->size < 4 || records->pid > event->size - 4)
		return 0;
	return (uint32_t)read_number(event->data + records->pid, 4, false);
}

/**
 * ftrace_records_write - write a record as a field of FtraceEventBundle
 * @records: conversion of the file
 * @texts: texts of the file
 * @event: the record
 * @cpu: the CPU that recorded it
 * @ns: its time, in nanoseconds
 * @field: number of the field
 * @wire: receives the field
 * @description: receives the bytes of a GenericEventDescriptor if the record is the first of a described message;
 *	otherwise unchanged
 *
 * Returns: 0 or -ENOMEM.
 */
int ftrace_records_write(struct ftrace_records *records, struct event_texts *texts, const struct ring_event *event,
			 unsigned int cpu, uint64_t ns, uint32_t field, struct wire *wire, struct wire *description)
{
	const struct ftrace_plan *plan = is_slice(records, event) ? records->slices :
		plan_of(records, event, description);
	struct event_text text = { .text = "" };
	struct wire *body = &records->body;
	bool whole = true;
	size_t begin;

	if (!plan || description->failed)
		return -ENOMEM;
	if (needs_text(plan) && event_texts_read(texts, event, cpu, &text))
		return -ENOMEM;
	body->size = 0;
	for (size_t i = 0; i < plan->nr_fields; i++)
		whole &= write_field(records, &plan->fields[i], event, text.text);
	if (body->failed || !wire_reserve(wire, body->size + 64))
		return -ENOMEM;
	records->nr_cut += !whole || plan->left_out;
	begin = wire_begin(wire, field);
	wire_number(wire, EVENT_TIMESTAMP, ns);
	wire_number(wire, EVENT_PID, pid_of(records, event));
	wire_varint(wire, plan->message << 3 | 2);
	wire_varint(wire, body->size);
	memcpy(wire->bytes + wire->size, body->bytes, body->size);
	wire->size += body->size;
	wire_end(wire, begin, 0);
	return 0;
}

static int plan_marks(struct ftrace_records *records)
{
	const struct tep_event *format = tep_find_event_by_name(records->tep, "ftrace", "print");

	if (!format)
		return 0;
	records->marks = format->id;
	records->slices = new_plan(format);
	if (!records->slices)
		return -ENOMEM;
	/* The text is the last field */
	if (plan_message(records->slices, format) && records->slices->nr_fields)
		return 0;
	free(records->slices);
	records->slices = NULL;
	return 0;
}

/**
 * ftrace_records_init - prepare the conversion of a file's events
 * @records: result; must be released in any case
 * @tep: the file's formats; must be valid while @records is used
 * @next: number of the next described message, FTRACE_FIRST_DESCRIBED at first; must be valid while @records is used
 *
 * Returns: 0 or -ENOMEM.
 */
int ftrace_records_init(struct ftrace_records *records, struct tep_handle *tep, uint32_t *next)
{
	struct tep_event *any = tep_get_event(tep, 0);
	struct tep_format_field *pid = any ? tep_find_common_field(any, "common_pid") : NULL;

	*records = (struct ftrace_records) {
		.tep = tep, .plans = calloc(NR_EVENTS + 1, sizeof(*records->plans)), .marks = -1,
	};
	records->next = next;
	if (pid && pid->size == 4 && pid->offset > 0)
		records->pid = (size_t)pid->offset;
	if (!records->plans || !wire_reserve(&records->body, 64))
		return -ENOMEM;
	return plan_marks(records);
}

/**
 * ftrace_records_release - free the conversion
 * @records: the conversion, also after a failed init
 */
void ftrace_records_release(struct ftrace_records *records)
{
	struct ftrace_plan *unknown = records->plans ? records->plans[NR_EVENTS] : NULL;

	for (size_t i = 0; records->plans && i < NR_EVENTS; i++) {
		if (records->plans[i] != unknown)
			free(records->plans[i]);
	}
	free(unknown);
	free(records->slices);
	free(records->plans);
	wire_release(&records->body);
	*records = (struct ftrace_records) { 0 };
}
