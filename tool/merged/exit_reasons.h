/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Names of exit reasons, as the format of kvm_exit prints them, so that they are the names of trace-cmd report -N. Each
 * name is printed only once.
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

/* More than VMX or SVM has; further reasons are shown as numbers */
#define EXIT_REASONS_MAX	512
/* Longer names are truncated */
#define EXIT_REASON_SIZE	48

/**
 * struct exit_reason - the reason of an exit
 * @known: the reason is known
 * @halts: the vCPU executed HLT or MWAIT
 * @isa: instruction set of KVM, see guest_mode_isa()
 * @code: number of the reason in that instruction set
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
 * @name: its name; its number if the format has no name, "?" if unknown
 * @user: data of the caller, 0 at first
 */
struct exit_reason_name {
	struct exit_reason	reason;
	char			name[EXIT_REASON_SIZE];
	uint64_t		user;
};

/**
 * struct exit_reasons - the names of reasons
 * @at: offset of the number in the record of kvm_exit, in bytes; 0 without
 * @list: reasons seen so far, with room for one more; owned
 * @nr: number of @list
 * @last: index of the reason that was found last
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
