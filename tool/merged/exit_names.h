/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What the reasons of kvm_exit are called, as the event's own format prints them; each is printed once. */
#ifndef TSC_OFFSET_EXIT_NAMES_H
#define TSC_OFFSET_EXIT_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct event_texts;
struct guest_mode_format;
struct ring_event;

/* What is longer is cut */
#define EXIT_NAME_SIZE	48

/**
 * struct exit_name - a reason
 * @isa: which instructions KVM uses, as guest_mode_isa() has it
 * @code: its number
 * @name: what it is called, "?" if nothing says it
 * @user: the caller's, 0 at first
 */
struct exit_name {
	int		isa;
	uint32_t	code;
	char		name[EXIT_NAME_SIZE];
	uint64_t	user;
};

/**
 * struct exit_names - those that were seen
 * @at: where kvm_exit has the number, in bytes from the record's begin; 0 if the format has none
 * @list: owned
 * @nr: how many
 * @last: number of the one that was found last
 */
struct exit_names {
	size_t			at;
	struct exit_name	*list;
	size_t			nr;
	size_t			last;
};

int exit_names_init(struct exit_names *names, const struct event_texts *texts);
struct exit_name *exit_names_find(struct exit_names *names, struct event_texts *texts,
				  const struct guest_mode_format *format, const struct ring_event *event,
				  unsigned int cpu);
void exit_names_release(struct exit_names *names);

#endif /* TSC_OFFSET_EXIT_NAMES_H */
