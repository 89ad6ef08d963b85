#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""What README.md, SECURITY.md and the manuals quote of messages is what the sources print."""
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import main
import manual

SOURCES = [path for name in ('lib', 'tool', 'plugin') for path in sorted((manual.TREE / name).rglob('*.[ch]'))]
STRING = r'"(?:[^"\\\n]|\\.)*"'
SEEN = '\0'


def messages():
    """All texts of the sources, with a mark in place of each value"""
    code = '\n'.join(path.read_text() for path in SOURCES)
    macros = dict(re.findall(rf'^#define\s+(\w+)\s+({STRING})\s*$', code, re.M))
    found = []
    for words in re.findall(rf'{STRING}(?:\s*(?:{STRING}|[A-Z]\w+))*', code):
        text = ''
        for word in re.findall(rf'{STRING}|\w+', words):
            if word.startswith('PRI'):
                text = text.rstrip('%') + SEEN
            else:
                text += macros.get(word, word)[1:-1] if word[0] == '"' or word in macros else ''
        found.append(re.sub(r'%[-+ #0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]', SEEN, text).replace('\\"', '"'))
    return found


def printed(quote, texts):
    """Is it part of a text? Values are N or ... in it"""
    parts = [re.escape(part.strip()) for part in re.split(r'\.\.\.|\bN\b', quote) if part.strip()]
    pattern = re.compile('.*'.join(parts), re.S)
    return any(pattern.search(text) for text in texts)


def quotes():
    for line in manual.README.read_text().split('## What it cannot do')[1].splitlines():
        if line.startswith('| ') and line.count('|') == 3 and not line.startswith('| limit'):
            for quote in re.findall(r'`([^`]+)`', line.split('|')[2]):
                # Names of verbs and options are no messages
                if ' ' in quote:
                    yield quote
    for section in (manual.TREE / 'SECURITY.md').read_text().split('\n## ')[3:]:
        for quote in re.findall(r'\(`([^`]+ [^`]+)`\)|: `([^`]+ [^`]+)`', section):
            yield ''.join(quote)
    page = manual.page_section(manual.page_of('record'), 'DIAGNOSTICS')
    for quote in re.findall(r'^\.It (.*)$', page, re.M):
        yield re.sub(r'\b[MK]\b', 'N', quote)


class TestMessages(unittest.TestCase):
    def test_quotes(self):
        texts = messages()
        found = list(quotes())
        self.assertGreater(len(found), 25)
        for quote in found:
            with self.subTest(quote):
                # The last words of a line come from elsewhere in the code
                for part in quote.split('; see above')[0].split(': ...'):
                    self.assertTrue(printed(part, texts), part)

    def test_control(self):
        self.assertFalse(printed('guest pid N: its TSC moved sideways', messages()))


if __name__ == '__main__':
    main()
