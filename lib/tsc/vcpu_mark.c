// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "number.h"
#include "vcpu_mark.h"

/**
 * vcpu_mark_print - format a line, of version 2 if the VM has a number
 * @line: result, with a newline; room for VCPU_MARK_SIZE bytes
 * @mark: its contents
 *
 * Returns: its length.
 */
size_t vcpu_mark_print(char *line, const struct vcpu_mark *mark)
{
	char id[32] = "";

	if (mark->vm_id)
		snprintf(id, sizeof(id), " id=%" PRIu64, mark->vm_id);
	return (size_t)snprintf(line, VCPU_MARK_SIZE,
				VCPU_MARK_WORDS "%d vm=%d-%d vcpu=%" PRIu32 " thread=%d offset=%" PRId64
				" ratio=%" PRIu64 " bits=%" PRIu32 " protected=%d from=%" PRIu64 " until=%" PRIu64 "%s\n",
				mark->vm_id ? VCPU_MARK_VERSION_ID : VCPU_MARK_VERSION, mark->vm_pid, mark->vm_fd,
				mark->vcpu_id, mark->tid, mark->map.offset, mark->map.ratio, mark->map.frac_bits,
				mark->tsc_protected, mark->from, mark->until, id);
}

static bool take_words(const char **at, const char *words)
{
	size_t length = strlen(words);

	if (strncmp(*at, words, length))
		return false;
	*at += length;
	return true;
}

/* Reads a number from 0 to @max, after @words */
static bool take_number(const char **at, const char *words, uint64_t max, uint64_t *number)
{
	return take_words(at, words) && number_take(at, number) && *number <= max;
}

static bool take_offset(const char **at, int64_t *offset)
{
	bool negative;
	uint64_t number;

	if (!take_words(at, " offset="))
		return false;
	negative = take_words(at, "-");
	if (!number_take(at, &number) || number > (uint64_t)INT64_MAX + negative)
		return false;
	*offset = (int64_t)(negative ? -number : number);
	return true;
}

static bool parse_rest(struct vcpu_mark *mark, const char *at, bool has_id)
{
	uint64_t pid, fd, vcpu_id, tid, bits, is_protected;

	if (!take_number(&at, "vm=", INT_MAX, &pid) || !take_number(&at, "-", INT_MAX, &fd) ||
	    !take_number(&at, " vcpu=", UINT32_MAX, &vcpu_id) || !take_number(&at, " thread=", INT_MAX, &tid) ||
	    !take_offset(&at, &mark->map.offset) || !take_number(&at, " ratio=", UINT64_MAX, &mark->map.ratio) ||
	    !take_number(&at, " bits=", TSC_MAX_FRAC_BITS, &bits) ||
	    !take_number(&at, " protected=", 1, &is_protected) ||
	    !take_number(&at, " from=", UINT64_MAX, &mark->from) ||
	    !take_number(&at, " until=", UINT64_MAX, &mark->until) ||
	    (has_id && (!take_number(&at, " id=", UINT64_MAX, &mark->vm_id) || !mark->vm_id)))
		return false;
	mark->vm_pid = (int)pid;
	mark->vm_fd = (int)fd;
	mark->vcpu_id = (uint32_t)vcpu_id;
	mark->tid = (int)tid;
	mark->map.frac_bits = (uint32_t)bits;
	mark->tsc_protected = is_protected;
	return !*at && pid && mark->map.ratio && tsc_mapping_valid(&mark->map) && mark->from <= mark->until;
}

/*
 * Reads up to a newline or NUL. After the NUL, the ring buffer pads a record with arbitrary bytes. Returns: false if
 * the line is too long, or if another line follows.
 */
static bool take_line(char *line, const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && text[length] && text[length] != '\n')
		length++;
	if (length + 1 < size && text[length] == '\n' && text[length + 1])
		return false;
	if (length >= VCPU_MARK_SIZE)
		return false;
	memcpy(line, text, length);
	line[length] = '\0';
	return true;
}

/**
 * vcpu_mark_parse - parse a line
 * @mark: result
 * @text: any text written to trace_marker
 * @size: bytes at @text
 *
 * Returns: 1 for the line of a vCPU; 0 for other text, or the line that begins a mark; -ENOTSUP for another version;
 * -EBADMSG if it begins like a line and is malformed.
 */
int vcpu_mark_parse(struct vcpu_mark *mark, const char *text, size_t size)
{
	char line[VCPU_MARK_SIZE];
	const char *at = line;
	uint64_t version;

	*mark = (struct vcpu_mark) { 0 };
	if (size < strlen(VCPU_MARK_WORDS) || memcmp(text, VCPU_MARK_WORDS, strlen(VCPU_MARK_WORDS)))
		return 0;
	if (!take_line(line, text, size))
		return -EBADMSG;
	if (!strcmp(line, VCPU_MARK_BEGIN))
		return 0;
	if (!take_number(&at, VCPU_MARK_WORDS, UINT64_MAX, &version) || !take_words(&at, " "))
		return -EBADMSG;
	if (version != VCPU_MARK_VERSION && version != VCPU_MARK_VERSION_ID)
		return -ENOTSUP;
	return parse_rest(mark, at, version == VCPU_MARK_VERSION_ID) ? 1 : -EBADMSG;
}

/**
 * vcpu_mark_event - convert a line into the event of a probe
 * @event: result, of kind TSC_EVENT_STATE
 * @mark: the line
 */
void vcpu_mark_event(struct tsc_offset_event *event, const struct vcpu_mark *mark)
{
	*event = (struct tsc_offset_event) {
		.kind = TSC_EVENT_STATE, .host_tsc = mark->from, .tid = mark->tid, .vcpu_id = mark->vcpu_id,
		.next = mark->map.offset, .ratio = mark->map.ratio, .frac_bits = mark->map.frac_bits,
		.vm_pid = mark->vm_pid, .vm_fd = mark->vm_fd, .vm_id = mark->vm_id,
		.tsc_protected = mark->tsc_protected,
	};
}
