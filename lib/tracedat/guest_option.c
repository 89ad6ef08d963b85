// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "guest_option.h"
#include "trace_dat.h"

/* The name with its NUL, u64 trace id, u32 number of CPUs; for each CPU u32 CPU, u32 thread */
#define CPU_SIZE (sizeof(uint32_t) + sizeof(int32_t))

/**
 * guest_option_decode - decode an option
 * @guest: result; must be released in any case; valid while @option is
 * @option: the option's payload, in the byte order of this machine
 * @size: bytes at @option
 *
 * Bytes after the last CPU are ignored, as readers do.
 *
 * Returns: 0, -EBADMSG if it is truncated, or -ENOMEM; after an error @guest is empty.
 */
int guest_option_decode(struct guest_option *guest, const void *option, size_t size)
{
	struct cursor cursor = { option, size };
	const char *name = cursor_take_string(&cursor);
	uint64_t trace_id;
	uint32_t nr_cpus;

	*guest = (struct guest_option) { 0 };
	if (!name || !cursor_take(&cursor, &trace_id, sizeof(trace_id)) ||
	    !cursor_take(&cursor, &nr_cpus, sizeof(nr_cpus)) || nr_cpus > cursor.left / CPU_SIZE)
		return -EBADMSG;
	guest->cpus = calloc(nr_cpus + 1UL, sizeof(*guest->cpus));
	if (!guest->cpus)
		return -ENOMEM;
	guest->name = name;
	guest->trace_id = trace_id;
	guest->nr_cpus = nr_cpus;
	for (size_t i = 0; i < nr_cpus; i++) {
		cursor_take(&cursor, &guest->cpus[i].cpu, sizeof(guest->cpus[i].cpu));
		cursor_take(&cursor, &guest->cpus[i].tid, sizeof(guest->cpus[i].tid));
	}
	return 0;
}

/**
 * guest_option_next - advance to the next guest of a host's file
 * @guest: all zeros at first; its contents are released, and it is empty at the end
 * @dat: the open file
 * @at: 0 at first; then the index of the option plus 1
 *
 * Returns: 1, 0 at the end, or an error of guest_option_decode(), after which the next call continues.
 */
int guest_option_next(struct guest_option *guest, const struct trace_dat *dat, size_t *at)
{
	guest_option_release(guest);
	while (*at < dat->nr_options) {
		const struct trace_dat_option *option = &dat->options[(*at)++];

		if (option->id == TRACE_DAT_GUEST)
			return guest_option_decode(guest, option->data, option->size) ?: 1;
	}
	return 0;
}

/**
 * guest_option_knows - was a guest's file recorded together with the host's?
 * @host: the host's file, open
 * @guest_trace_id: TRACEID of the guest's file, 0 without
 *
 * Returns: true if so, and if the host's file knows no guest at all.
 */
bool guest_option_knows(const struct trace_dat *host, uint64_t guest_trace_id)
{
	struct guest_option guest = { 0 };
	bool others = false, this = false;
	size_t at = 0;

	while (!this && guest_option_next(&guest, host, &at)) {
		if (guest.trace_id) {
			this = guest.trace_id == guest_trace_id;
			others = true;
		}
	}
	guest_option_release(&guest);
	return this || !others;
}

static uint8_t *put(uint8_t *at, const void *value, size_t size)
{
	memcpy(at, value, size);
	return at + size;
}

/**
 * guest_option_encode - encode a guest as an option
 * @guest: its contents; fewer than 2^32 CPUs
 * @option: result: the option's payload, to be freed with free()
 * @size: result: bytes at @option
 *
 * Returns: 0 or -ENOMEM.
 */
int guest_option_encode(const struct guest_option *guest, void **option, size_t *size)
{
	size_t name_size = strlen(guest->name) + 1;
	uint32_t nr_cpus = guest->nr_cpus;
	uint8_t *at;

	*size = name_size + sizeof(guest->trace_id) + sizeof(nr_cpus) + guest->nr_cpus * CPU_SIZE;
	*option = at = malloc(*size);
	if (!at)
		return -ENOMEM;
	at = put(at, guest->name, name_size);
	at = put(at, &guest->trace_id, sizeof(guest->trace_id));
	at = put(at, &nr_cpus, sizeof(nr_cpus));
	for (size_t i = 0; i < guest->nr_cpus; i++) {
		at = put(at, &guest->cpus[i].cpu, sizeof(guest->cpus[i].cpu));
		at = put(at, &guest->cpus[i].tid, sizeof(guest->cpus[i].tid));
	}
	return 0;
}

/**
 * guest_option_release - free a guest
 * @guest: the guest, also after a failed decode, or all zeros
 */
void guest_option_release(struct guest_option *guest)
{
	free(guest->cpus);
	*guest = (struct guest_option) { 0 };
}
