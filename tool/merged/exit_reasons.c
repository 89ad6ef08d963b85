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
#include "exit_reasons.h"

/* Numbers of HLT and MWAIT (arch/x86/include/uapi/asm/vmx.h and svm.h), for reasons without a name */
#define VMX_HLT		12
#define VMX_MWAIT	36
#define SVM_HLT		0x78
#define SVM_MWAIT	0x8b

/**
 * exit_reasons_init - find the reason's place in kvm_exit
 * @reasons: result; must be released in any case
 * @tep: formats of the host's file
 *
 * Returns: 0 or -ENOMEM.
 */
int exit_reasons_init(struct exit_reasons *reasons, struct tep_handle *tep)
{
	struct tep_event *exit = tep_find_event_by_name(tep, "kvm", "kvm_exit");
	const struct tep_format_field *field = exit ? tep_find_field(exit, "exit_reason") : NULL;

	*reasons = (struct exit_reasons) { .list = calloc(EXIT_REASONS_MAX + 1, sizeof(*reasons->list)) };
	if (field && field->size == sizeof(uint32_t) && field->offset > 0)
		reasons->at = (size_t)field->offset;
	return reasons->list ? 0 : -ENOMEM;
}

/* "vcpu 0 reason hlt rip 0x..." */
static void take_name(struct exit_reason_name *entry, const char *text)
{
	const char *begin = strstr(text, "reason "), *end;

	if (!begin)
		return;
	begin += strlen("reason ");
	end = strstr(begin, " rip ");
	if (!end)
		end = begin + strcspn(begin, " ");
	if (end > begin)
		snprintf(entry->name, sizeof(entry->name), "%.*s", (int)(end - begin), begin);
}

/* The name of a reason that has none in the format */
static void number_it(struct exit_reason_name *entry)
{
	if (entry->reason.known)
		snprintf(entry->name, sizeof(entry->name), "%#x", entry->reason.code);
	else
		snprintf(entry->name, sizeof(entry->name), "?");
}

static bool halts(const struct exit_reason_name *entry)
{
	const char *name = entry->name;

	if (!strncasecmp(name, "EXIT_", 5))
		name += 5;
	if (!strcasecmp(name, "hlt") || !strcasecmp(name, "mwait"))
		return true;
	switch (entry->reason.isa) {
	case GUEST_MODE_VMX:
		return entry->reason.code == VMX_HLT || entry->reason.code == VMX_MWAIT;
	case GUEST_MODE_SVM:
		return entry->reason.code == SVM_HLT || entry->reason.code == SVM_MWAIT;
	default:
		return false;
	}
}

static bool is_it(const struct exit_reasons *reasons, size_t i, const struct exit_reason *reason)
{
	const struct exit_reason *other = i < reasons->nr ? &reasons->list[i].reason : NULL;

	return other && other->code == reason->code && other->isa == reason->isa && other->known == reason->known;
}

static size_t find(const struct exit_reasons *reasons, const struct exit_reason *reason)
{
	size_t i = reasons->last;

	if (is_it(reasons, i, reason))
		return i;
	for (i = 0; i < reasons->nr && !is_it(reasons, i, reason); i++)
		;
	return i;
}

static struct exit_reason decode(const struct exit_reasons *reasons, const struct guest_mode_format *format,
				 const struct ring_event *event)
{
	uint32_t code;

	if (!reasons->at || event->size < sizeof(code) || reasons->at > event->size - sizeof(code))
		return (struct exit_reason) { 0 };
	memcpy(&code, event->data + reasons->at, sizeof(code));
	return (struct exit_reason) {
		.known = true, .isa = (uint8_t)guest_mode_isa(format, event), .code = le32toh(code),
	};
}

/**
 * exit_reasons_read - read the reason of a kvm_exit
 * @reasons: the names
 * @texts: texts of the host's file
 * @format: format of kvm_exit
 * @event: a record of kvm_exit
 * @cpu: the CPU that recorded it
 *
 * Returns: the reason, valid until the next one is read; NULL without memory.
 */
struct exit_reason_name *exit_reasons_read(struct exit_reasons *reasons, struct event_texts *texts,
					   const struct guest_mode_format *format, const struct ring_event *event,
					   unsigned int cpu)
{
	const struct exit_reason reason = decode(reasons, format, event);
	size_t i = find(reasons, &reason);
	struct exit_reason_name *entry = &reasons->list[i];
	struct event_text text;

	reasons->last = i;
	if (i < reasons->nr)
		return entry;
	*entry = (struct exit_reason_name) { .reason = reason };
	number_it(entry);
	if (reason.known) {
		if (event_texts_read(texts, event, cpu, &text))
			return NULL;
		take_name(entry, text.text);
		entry->reason.halts = halts(entry);
	}
	reasons->nr += i < EXIT_REASONS_MAX;
	return entry;
}

/**
 * exit_reasons_name - get the name of a reason
 * @reasons: the names
 * @known: the reason is known
 * @isa, @code: its numbers
 * @name: result
 */
void exit_reasons_name(const struct exit_reasons *reasons, bool known, uint8_t isa, uint32_t code,
		       char name[EXIT_REASON_SIZE])
{
	struct exit_reason_name entry = { .reason = { .known = known, .isa = isa, .code = code } };
	size_t i = find(reasons, &entry.reason);

	number_it(&entry);
	memcpy(name, i < reasons->nr ? reasons->list[i].name : entry.name, EXIT_REASON_SIZE);
}

/**
 * exit_reasons_release - free the names
 * @reasons: the names, also after a failed init
 */
void exit_reasons_release(struct exit_reasons *reasons)
{
	free(reasons->list);
	*reasons = (struct exit_reasons) { 0 };
}
