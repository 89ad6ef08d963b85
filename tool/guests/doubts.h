/* SPDX-License-Identifier: GPL-2.0 */
/* What is found doubtful about a result: lines for people, collected where they are found, printed by the verbs. */
#ifndef TSC_OFFSET_DOUBTS_H
#define TSC_OFFSET_DOUBTS_H

#include <stddef.h>

/**
 * struct doubts - lines; all zeros for none
 * @lines: owned
 * @nr: how many
 * @capacity: room for this many
 * @nr_found: how many doubts there are; more than @nr where a line was left out, for lack of memory or because there
 *	were too many alike
 */
struct doubts {
	char	**lines;
	size_t	nr;
	size_t	capacity;
	size_t	nr_found;
};

void doubts_add(struct doubts *doubts, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doubts_print(const struct doubts *doubts);
void doubts_release(struct doubts *doubts);

#endif /* TSC_OFFSET_DOUBTS_H */
