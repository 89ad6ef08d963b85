/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TSC_OFFSET_PRINTABLE_H
#define TSC_OFFSET_PRINTABLE_H

void make_printable(char *text);
char *printable(const char *text);
char *printable_json(const char *text);

#endif /* TSC_OFFSET_PRINTABLE_H */
