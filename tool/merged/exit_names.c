// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "event_ids.h"
#include "event_texts.h"
#include "exit_names.h"

/* VMX has about 80 and SVM about 200; a file that has more shows the others under the name of the last */
#define MAX_NAMES	512

/**
 * exit_names_init - begin with no name
 * @names: result; to be released in any case
 * @texts: formats of the host's file
 *
 * Returns: 0 or -ENOMEM.
 */
int exit_names_init(struct exit_names *names, const struct event_texts *texts)
{
	struct tep_event *exit = tep_find_event_by_name(texts->tep, "kvm", "kvm_exit");
	const struct tep_format_field *field = exit ? tep_find_field(exit, "exit_reason") : NULL;

	*names = (struct exit_names) { .list = calloc(MAX_NAMES, sizeof(*names->list)) };
	if (field && field->size == sizeof(uint32_t) && field->offset > 0)
		names->at = (size_t)field->offset;
	return names->list ? 0 : -ENOMEM;
}

/* "vcpu 0 reason hlt rip 0x..." */
static void take_name(struct exit_name *entry, const char *text)
{
	const char *begin = strstr(text, "reason "), *end;

	snprintf(entry->name, sizeof(entry->name), "?");
	if (!begin)
		return;
	begin += strlen("reason ");
	end = strstr(begin, " rip ");
	if (!end)
		end = begin + strcspn(begin, " ");
	if (end > begin)
		snprintf(entry->name, sizeof(entry->name), "%.*s", (int)(end - begin), begin);
}

static bool is_it(const struct exit_names *names, size_t i, int isa, uint32_t code)
{
	return i < names->nr && names->list[i].code == code && names->list[i].isa == isa;
}

/**
 * exit_names_find - what is the reason of a kvm_exit called?
 * @names: begun
 * @texts: of the host's file
 * @format: of kvm_exit
 * @event: a record of it
 * @cpu: the CPU that recorded it
 *
 * Returns: the reason; a record without one has the code 0. NULL without memory.
 */
struct exit_name *exit_names_find(struct exit_names *names, struct event_texts *texts,
				  const struct guest_mode_format *format, const struct ring_event *event,
				  unsigned int cpu)
{
	int isa = guest_mode_isa(format, event);
	struct event_text text;
	uint32_t code = 0;
	size_t i;

	if (names->at && event->size >= sizeof(code) && names->at <= event->size - sizeof(code))
		memcpy(&code, event->data + names->at, sizeof(code));
	code = le32toh(code);
	if (is_it(names, names->last, isa, code))
		return &names->list[names->last];
	for (i = 0; i < names->nr && !is_it(names, i, isa, code); i++)
		;
	if (i == names->nr && i < MAX_NAMES) {
		if (event_texts_read(texts, event, cpu, &text))
			return NULL;
		names->list[i] = (struct exit_name) { .isa = isa, .code = code };
		take_name(&names->list[i], text.text);
		names->nr++;
	}
	names->last = i < names->nr ? i : names->nr - 1;
	return &names->list[names->last];
}

/**
 * exit_names_release - free the names
 * @names: begun, or failed to
 */
void exit_names_release(struct exit_names *names)
{
	free(names->list);
	*names = (struct exit_names) { 0 };
}
