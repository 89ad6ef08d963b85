/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the reasons of kvm_exit are called: as the event's own format prints them, so that they are called as in
 * trace-cmd report -N. Each is printed once.
 */
#ifndef TSC_OFFSET_EXIT_REASONS_H
#define TSC_OFFSET_EXIT_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_texts;
struct guest_mode_format;
struct ring_event;
struct tep_handle;

/* More than VMX or SVM has; those that are more are called by their numbers */
#define EXIT_REASONS_MAX	512
/* Names that are longer are cut */
#define EXIT_REASON_SIZE	48

/**
 * struct exit_reason - why a vCPU left guest mode
 * @known: it is known
 * @halts: it executed HLT or MWAIT
 * @isa: which instructions KVM uses, see guest_mode_isa()
 * @code: number of the reason with these
 */
struct exit_reason {
	bool		known;
	bool		halts;
	uint8_t		isa;
	uint32_t	code;
};

/**
 * struct exit_reason_name - a reason and its name
 * @reason: the reason
 * @name: what it is called; its number if nothing says it, "?" if it is not known
 * @user: the caller's, 0 at first
 */
struct exit_reason_name {
	struct exit_reason	reason;
	char			name[EXIT_REASON_SIZE];
	uint64_t		user;
};

/**
 * struct exit_reasons - names of reasons
 * @at: where kvm_exit has the number, in bytes from the record's begin; 0 if it does not
 * @list: those that were seen, and room for one that is more; owned
 * @nr: how many
 * @last: number of the one that was found last
 */
struct exit_reasons {
	size_t			at;
	struct exit_reason_name	*list;
	size_t			nr;
	size_t			last;
};

int exit_reasons_init(struct exit_reasons *reasons, struct tep_handle *tep);
struct exit_reason_name *exit_reasons_read(struct exit_reasons *reasons, struct event_texts *texts,
					   const struct guest_mode_format *format, const struct ring_event *event,
					   unsigned int cpu);
void exit_reasons_name(const struct exit_reasons *reasons, bool known, uint8_t isa, uint32_t code,
		       char name[EXIT_REASON_SIZE]);
void exit_reasons_release(struct exit_reasons *reasons);

#endif /* TSC_OFFSET_EXIT_REASONS_H */
