/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TSC_OFFSET_PRINTABLE_H
#define TSC_OFFSET_PRINTABLE_H

char *printable(const char *text);

#endif /* TSC_OFFSET_PRINTABLE_H */
