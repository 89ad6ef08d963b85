/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Blocks of vCPUs' modes, of which a limited number is in memory: the rest is in a temporary file without a name.
 *
 * Recordings have one change of mode for almost each event. They are searched as a whole, but mostly in order of time.
 */
#ifndef TSC_OFFSET_MODE_STORE_H
#define TSC_OFFSET_MODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Spans in a block */
#define MODE_BLOCK	4096
/* A block without a slot */
#define MODE_SLOT_NONE	SIZE_MAX

/**
 * struct mode_block - consecutive spans of a vCPU's modes
 * @from: first host TSC of each span, in cycles, and after them @mode; NULL while they are only in the file
 * @mode: enum vcpu_mode of each span
 * @first: the first of @from
 * @offset: place in the file, in bytes, if they are there
 * @slot: slot of @from, or MODE_SLOT_NONE: then they stay in memory
 */
struct mode_block {
	uint64_t	*from;
	uint8_t		*mode;
	uint64_t	first;
	uint64_t	offset;
	size_t		slot;
};

/**
 * struct mode_slot - memory of a block that is also in the file, or will be
 * @memory: the memory; owned
 * @block: whose spans are in it; NULL if that was dropped
 */
struct mode_slot {
	uint64_t		*memory;
	struct mode_block	*block;
};

/**
 * struct mode_store - where the blocks of some vCPUs are; all zeros is an empty one without slots
 * @most: largest number of slots
 * @slots: the slots, a ring; owned
 * @nr_slots: number of @slots
 * @next: the slot that is used next if all are in use
 * @has_file: the slots were not sufficient
 * @fd: the file, if there is one
 * @end: its size, in bytes
 * @failed: a negative errno if there is no file, or it is full: further blocks stay in memory
 * @read_error: a negative errno if a block could not be read from the file; its modes are unknown
 */
struct mode_store {
	size_t			most;
	struct mode_slot	*slots;
	size_t			nr_slots;
	size_t			next;
	bool			has_file;
	int			fd;
	uint64_t		end;
	int			failed;
	int			read_error;
};

void mode_store_begin(struct mode_store *store, size_t most);
int mode_store_keep(struct mode_store *store, struct mode_block *block);
void mode_store_load(struct mode_store *store, struct mode_block *block);
void mode_store_drop(struct mode_store *store, struct mode_block *block);
void mode_store_release(struct mode_store *store);

#endif /* TSC_OFFSET_MODE_STORE_H */
