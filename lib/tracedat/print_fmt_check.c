// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "print_fmt_check.h"

/* Digits of a width: no kernel pads to a thousand */
#define MAX_WIDTH_DIGITS	3
/* Size of __data_loc and __rel_loc: the place of the bytes, and their number */
#define LOCATION_SIZE		4
/* Nested operations */
#define MAX_DEPTH		256
/* A 64-bit number in any base, an address, or a symbol's name with a distance */
#define NUMBER_LENGTH		32
#define SYMBOL_LENGTH		600
/* A string at an address in the record: a line of trace_printk() */
#define STRING_LENGTH		1024
/* Text of each field with its name, including " =" */
#define FIELD_LENGTH		(NUMBER_LENGTH + 16)

/* An event being checked */
struct judgement {
	struct tep_event	*event;
	struct print_text	text;
	struct print_fmt_check	bounds;
};

static bool is_bound(struct judgement *judgement, const struct tep_print_arg *arg, size_t depth);

/**
 * print_fmt_check_text - does a format bound the length of its line?
 * @text: a printf() format
 *
 * Returns: its contents.
 */
struct print_text print_fmt_check_text(const char *text)
{
	struct print_text result = { .bound = true };
	size_t digits = 0, number = 0;

	for (; *text && result.bound; text++) {
		bool digit = isdigit((unsigned char)*text);

		digits = digit ? digits + 1 : 0;
		number = digit ? 10 * number + (size_t)(*text - '0') : 0;
		result.conversions += *text == '%';
		result.bound = *text != '*' && digits <= MAX_WIDTH_DIGITS;
		if (isdigit((unsigned char)text[1]))
			continue;
		result.width += number;
		if (number > result.widest)
			result.widest = number;
	}
	return result;
}

/* An element of an array in the record, by a constant index */
static bool is_element(struct tep_event *event, const struct tep_print_arg *array, const struct tep_print_arg *index)
{
	const struct tep_format_field *field;
	unsigned long long number;
	char *end;

	while (array && array->type == TEP_PRINT_TYPE)
		array = array->typecast.item;
	if (!array || array->type != TEP_PRINT_FIELD || !index || index->type != TEP_PRINT_ATOM)
		return false;
	field = tep_find_any_field(event, array->field.name);
	number = strtoull(index->atom.atom, &end, 0);
	return field && end != index->atom.atom && !*end && field->elementsize &&
	       number < (unsigned int)field->size / field->elementsize;
}

static bool is_divisor(const struct tep_print_arg *arg)
{
	return arg && arg->type == TEP_PRINT_ATOM && strtoull(arg->atom.atom, NULL, 0);
}

static bool is_operation_bound(struct judgement *judgement, const struct tep_print_arg_op *op, size_t depth)
{
	if (!strcmp(op->op, "["))
		return is_element(judgement->event, op->left, op->right);
	if ((!strcmp(op->op, "/") || !strcmp(op->op, "%")) && !is_divisor(op->right))
		return false;
	if (!strcmp(op->op, "?") && (!op->right || op->right->type != TEP_PRINT_OP))
		return false;
	/* Unary operations have their operand on the right */
	return (!op->left || is_bound(judgement, op->left, depth)) && is_bound(judgement, op->right, depth);
}

static bool is_field_bound(struct judgement *judgement, const char *name)
{
	struct print_fmt_check *bounds = &judgement->bounds;
	const struct tep_format_field *field = tep_find_any_field(judgement->event, name);

	if (!field)
		return false;
	/* As text: the bytes of an array, or else the string at an address */
	if (field->flags & TEP_FIELD_IS_ARRAY)
		bounds->copies++;
	else
		bounds->length += (size_t)field->size == sizeof(long) ? STRING_LENGTH : 0;
	return true;
}

/* __print_flags() and __print_symbolic(): the library compares each name, and flags may print all of them */
static bool are_names_bound(struct judgement *judgement, const struct tep_print_arg *arg,
			    const struct tep_print_flag_sym *names, const char *delimiter, size_t depth)
{
	struct print_fmt_check *bounds = &judgement->bounds;
	size_t before = delimiter ? strlen(delimiter) : 0;

	for (; names; names = names->next) {
		bounds->steps++;
		bounds->length += strlen(names->str ? names->str : "") + judgement->text.widest + before;
	}
	return is_bound(judgement, arg, depth);
}

static bool is_string_bound(struct judgement *judgement, const char *name)
{
	const struct tep_format_field *field = tep_find_any_field(judgement->event, name);

	judgement->bounds.copies++;
	return field && field->flags & TEP_FIELD_IS_DYNAMIC && field->size == LOCATION_SIZE;
}

static bool is_bound(struct judgement *judgement, const struct tep_print_arg *arg, size_t depth)
{
	judgement->bounds.steps++;
	if (!arg || depth == MAX_DEPTH)
		return false;
	switch (arg->type) {
	case TEP_PRINT_NULL:
		return true;
	case TEP_PRINT_ATOM:
		judgement->bounds.length += strlen(arg->atom.atom);
		return true;
	case TEP_PRINT_FIELD:
		return is_field_bound(judgement, arg->field.name);
	case TEP_PRINT_FLAGS:
		return are_names_bound(judgement, arg->flags.field, arg->flags.flags, arg->flags.delim, depth + 1);
	case TEP_PRINT_SYMBOL:
		return are_names_bound(judgement, arg->symbol.field, arg->symbol.symbols, NULL, depth + 1);
	case TEP_PRINT_TYPE:
		return is_bound(judgement, arg->typecast.item, depth + 1);
	case TEP_PRINT_STRING:
		return is_string_bound(judgement, arg->string.string);
	case TEP_PRINT_OP:
		return is_operation_bound(judgement, &arg->op, depth + 1);
	default:
		/* Their lengths are numbers in the record */
		return false;
	}
}

static bool is_number(const struct tep_format_field *field)
{
	return field && !(field->flags & (TEP_FIELD_IS_ARRAY | TEP_FIELD_IS_DYNAMIC)) &&
	       (field->size == 4 || field->size == 8);
}

/*
 * Binary events of trace_printk(): the library finds a format by an address in the record, and takes its arguments from
 * the bytes after the fields, for as many as it has. It does not check whether it found the fields.
 */
static bool is_binary_print_bound(struct judgement *judgement)
{
	struct tep_event *event = judgement->event;

	judgement->bounds.copies++;
	return is_number(tep_find_field(event, "ip")) && is_number(tep_find_field(event, "fmt")) &&
	       tep_find_field(event, "buf");
}

static bool is_format_bound(struct judgement *judgement)
{
	const struct tep_event *event = judgement->event;
	struct print_fmt_check *bounds = &judgement->bounds;

	bounds->steps = event->format.nr_common + event->format.nr_fields + judgement->text.conversions;
	bounds->length = strlen(event->print_fmt.format ? event->print_fmt.format : "") + judgement->text.width +
			 judgement->text.conversions * SYMBOL_LENGTH;
	if (event->flags & TEP_EVENT_FL_ISBPRINT)
		return is_binary_print_bound(judgement);
	for (const struct tep_print_arg *arg = event->print_fmt.args; arg; arg = arg->next) {
		if (!is_bound(judgement, arg, 0))
			return false;
	}
	return true;
}

/* The library searches the print format for each field, to find its conversion */
static void bound_fields(struct judgement *judgement, bool converted)
{
	struct print_fmt_check *bounds = &judgement->bounds;
	size_t searched = converted ? 2 * judgement->text.conversions : 0;

	*bounds = (struct print_fmt_check) { .way = converted ? PRINT_CONVERTED : PRINT_FIELDS };
	for (const struct tep_format_field *field = judgement->event->format.fields; field; field = field->next) {
		bounds->steps += 1 + searched;
		bounds->length += strlen(field->name) + FIELD_LENGTH +
				  (converted ? judgement->text.widest + SYMBOL_LENGTH + STRING_LENGTH : 0);
		/* Each may be the whole record */
		bounds->copies += field->flags & TEP_FIELD_IS_ARRAY ? 1 : 0;
	}
}

/**
 * print_fmt_check_event - find how the library can print an event without reading outside of its records
 * @event: the event; its records have all fields and all that they point to
 * @way: the requested way
 *
 * Returns: the possible way, and its cost.
 */
struct print_fmt_check print_fmt_check_event(struct tep_event *event, enum print_way way)
{
	struct judgement judgement = {
		.event = event, .text = print_fmt_check_text(event->print_fmt.format ? event->print_fmt.format : ""),
	};

	if (way != PRINT_FORMAT || !judgement.text.bound || event->flags & TEP_EVENT_FL_FAILED ||
	    !is_format_bound(&judgement))
		bound_fields(&judgement, way != PRINT_FIELDS && judgement.text.bound &&
			     !(event->flags & TEP_EVENT_FL_FAILED));
	else
		judgement.bounds.way = PRINT_FORMAT;
	return judgement.bounds;
}
