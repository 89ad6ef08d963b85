// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Text in XML, between tags and in attributes. */
#include <string.h>

#include "xml_text.h"

/* U+FFFE and U+FFFF are valid UTF-8 for the C library, but not characters of XML */
static const char not_xml[][4] = { "\xef\xbf\xbe", "\xef\xbf\xbf" };

static int forbidden(const char *at)
{
	return !strncmp(at, not_xml[0], 3) || !strncmp(at, not_xml[1], 3);
}

/**
 * xml_text_write - write a text into XML
 * @text: the result of sanitized()
 * @file: the output
 */
void xml_text_write(const char *text, FILE *file)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		case '\'':
			fputs("&apos;", file);
			break;
		default:
			if (forbidden(text)) {
				fputc('?', file);
				text += 2;
			} else {
				fputc(*text, file);
			}
		}
	}
}
