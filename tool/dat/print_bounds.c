// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "print_bounds.h"

/* Digits of a width: no kernel pads by a thousand */
#define MAX_WIDTH_DIGITS	3
/* What __data_loc and __rel_loc are: where the bytes are, and how many */
#define LOCATION_SIZE		4

static bool is_bound(struct tep_event *event, const struct tep_print_arg *arg);

/**
 * print_bounds_text - is the length of a line bound by its format?
 * @text: a format as printf() has it
 *
 * Returns: false if a width is taken from the record, or is out of proportion.
 */
bool print_bounds_text(const char *text)
{
	size_t digits = 0;

	for (; *text; text++) {
		digits = isdigit((unsigned char)*text) ? digits + 1 : 0;
		if (*text == '*' || digits > MAX_WIDTH_DIGITS)
			return false;
	}
	return true;
}

/* An element of an array of the record's, by a constant index */
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

static bool is_operation_bound(struct tep_event *event, const struct tep_print_arg_op *op)
{
	if (!strcmp(op->op, "["))
		return is_element(event, op->left, op->right);
	if ((!strcmp(op->op, "/") || !strcmp(op->op, "%")) && !is_divisor(op->right))
		return false;
	/* Those with one operand have it at the right */
	return (!op->left || is_bound(event, op->left)) && is_bound(event, op->right);
}

static bool is_bound(struct tep_event *event, const struct tep_print_arg *arg)
{
	const struct tep_format_field *field;

	if (!arg)
		return false;
	switch (arg->type) {
	case TEP_PRINT_NULL:
	case TEP_PRINT_ATOM:
		return true;
	case TEP_PRINT_FIELD:
		return tep_find_any_field(event, arg->field.name);
	case TEP_PRINT_FLAGS:
		return is_bound(event, arg->flags.field);
	case TEP_PRINT_SYMBOL:
		return is_bound(event, arg->symbol.field);
	case TEP_PRINT_TYPE:
		return is_bound(event, arg->typecast.item);
	case TEP_PRINT_STRING:
		field = tep_find_any_field(event, arg->string.string);
		return field && field->flags & TEP_FIELD_IS_DYNAMIC && field->size == LOCATION_SIZE;
	case TEP_PRINT_OP:
		return is_operation_bound(event, &arg->op);
	default:
		/* Their lengths are numbers of the record */
		return false;
	}
}

/**
 * print_bounds_event - does the library stay inside the records of an event?
 * @event: of which each record has all fields, and all that they point to
 *
 * Returns: true if so.
 */
bool print_bounds_event(struct tep_event *event)
{
	if (!print_bounds_text(event->print_fmt.format ? event->print_fmt.format : ""))
		return false;
	for (const struct tep_print_arg *arg = event->print_fmt.args; arg; arg = arg->next) {
		if (!is_bound(event, arg))
			return false;
	}
	return true;
}
