// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file_copy.h"
#include "mode_store.h"
#include "vcpu_mode.h"

#define BLOCK_BYTES	(MODE_BLOCK * (sizeof(uint64_t) + sizeof(uint8_t)))
/* Not /tmp, which is in memory on many systems */
#define DIRECTORY	"/var/tmp"

/**
 * mode_store_begin - begin without a block
 * @store: result; must be released, and stay where it is until then
 * @most: number of blocks in memory, more than 0. Each vCPU that is read at the same time needs one.
 */
void mode_store_begin(struct mode_store *store, size_t most)
{
	*store = (struct mode_store) { .most = most };
}

static int open_file(void)
{
	const char *directory = secure_getenv("TMPDIR");
	int fd = open(directory && *directory ? directory : DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	return fd < 0 ? -errno : fd;
}

static int write_block(struct mode_store *store, struct mode_block *block)
{
	int ret = file_write(store->fd, block->from, BLOCK_BYTES, store->end);

	block->offset = store->end;
	store->end += BLOCK_BYTES;
	return ret;
}

/* From now on, all blocks in slots are in the file */
static int begin_file(struct mode_store *store)
{
	int fd = open_file(), ret = 0;

	if (fd < 0)
		return fd;
	store->fd = fd;
	store->has_file = true;
	for (size_t i = 0; i < store->nr_slots && !ret; i++) {
		if (store->slots[i].block)
			ret = write_block(store, store->slots[i].block);
	}
	return ret;
}

static int add_slot(struct mode_store *store, struct mode_block *block)
{
	if (!store->slots) {
		store->slots = calloc(store->most, sizeof(*store->slots));
		if (!store->slots)
			return -ENOMEM;
	}
	block->slot = store->nr_slots;
	store->slots[store->nr_slots++] = (struct mode_slot) { block->from, block };
	return 0;
}

/* A slot whose block is only in the file now */
static struct mode_slot *free_slot(struct mode_store *store)
{
	struct mode_slot *slot = &store->slots[store->next];

	store->next = (store->next + 1) % store->nr_slots;
	if (slot->block) {
		slot->block->from = NULL;
		slot->block->slot = MODE_SLOT_NONE;
		slot->block = NULL;
	}
	return slot;
}

static void take_slot(struct mode_store *store, struct mode_slot *slot, struct mode_block *block)
{
	block->slot = slot - store->slots;
	block->from = slot->memory;
	block->mode = (uint8_t *)(slot->memory + MODE_BLOCK);
	slot->block = block;
}

/**
 * mode_store_keep - keep a block, in memory or in the file
 * @store: the store; may be NULL: the block stays in memory
 * @block: the block, with all its spans, which do not change any more
 *
 * Without a file, blocks stay in memory.
 *
 * Returns: 0 or -ENOMEM.
 */
int mode_store_keep(struct mode_store *store, struct mode_block *block)
{
	struct mode_slot *slot;

	block->slot = MODE_SLOT_NONE;
	if (!store || store->failed)
		return 0;
	if (store->nr_slots < store->most)
		return add_slot(store, block);
	if (!store->has_file)
		store->failed = begin_file(store);
	if (!store->failed)
		store->failed = write_block(store, block);
	if (store->failed)
		return 0;
	slot = free_slot(store);
	free(slot->memory);
	slot->memory = block->from;
	take_slot(store, slot, block);
	return 0;
}

/**
 * mode_store_load - read a block that is only in the file
 * @store: its store
 * @block: the block. If it cannot be read, all its modes are unknown.
 */
void mode_store_load(struct mode_store *store, struct mode_block *block)
{
	ssize_t n;

	take_slot(store, free_slot(store), block);
	n = pread(store->fd, block->from, BLOCK_BYTES, block->offset);
	if (n == (ssize_t)BLOCK_BYTES)
		return;
	store->read_error = n < 0 ? -errno : -EIO;
	/* Still in order: each span has at least one cycle */
	for (size_t i = 0; i < MODE_BLOCK; i++)
		block->from[i] = block->first + i;
	memset(block->mode, MODE_UNKNOWN, MODE_BLOCK);
}

/**
 * mode_store_drop - forget a block
 * @store: its store; NULL if it has none
 * @block: the block; freed
 */
void mode_store_drop(struct mode_store *store, struct mode_block *block)
{
	if (block->slot != MODE_SLOT_NONE)
		store->slots[block->slot].block = NULL;
	else
		free(block->from);
	free(block);
}

/**
 * mode_store_release - free the store; all its blocks must have been dropped
 * @store: the store
 */
void mode_store_release(struct mode_store *store)
{
	for (size_t i = 0; i < store->nr_slots; i++)
		free(store->slots[i].memory);
	free(store->slots);
	if (store->has_file)
		close(store->fd);
	mode_store_begin(store, 0);
}
