/* SPDX-License-Identifier: GPL-2.0 */
/* What the hook has to say: whole lines on stderr, stdout belongs to the program that we are guests of. */
#ifndef TSC_OFFSET_MESSAGE_H
#define TSC_OFFSET_MESSAGE_H

void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* TSC_OFFSET_MESSAGE_H */
