/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Trees of tsearch(3) whose nodes are owned copies; tdestroy(tree, free) frees a tree. */
#ifndef TSC_OFFSET_TREE_H
#define TSC_OFFSET_TREE_H

#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/**
 * tree_find_or_add - find a node, or add one
 * @tree: the tree, NULL if empty; updated
 * @key: node to compare with; copied if no node is equal
 * @size: size of @key in bytes
 * @compare: the order of nodes, as for tsearch()
 *
 * Returns: the node, or NULL without memory; then the tree is unchanged.
 */
static inline void *tree_find_or_add(void **tree, const void *key, size_t size,
				     int (*compare)(const void *, const void *))
{
	void **found = tsearch(key, tree, compare);
	void *copy;

	if (!found || *found != key)
		return found ? *found : NULL;
	copy = malloc(size);
	if (!copy) {
		tdelete(key, tree, compare);
		return NULL;
	}
	return *found = memcpy(copy, key, size);
}

#endif /* TSC_OFFSET_TREE_H */
