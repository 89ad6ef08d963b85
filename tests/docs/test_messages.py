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


CODE = '\n'.join(path.read_text() for path in SOURCES)
# Those that are texts, in one line or after a line that ends with a backslash
MACROS = dict(re.findall(rf'^#define\s+(\w+)\s+(?:\\\n\s*)?({STRING}(?:\s*(?:{STRING}|PRI\w+))*)\s*$', CODE, re.M))


def messages(code=CODE):
    """All texts of the sources, with a mark in place of each value"""
    code = re.sub(r'\b[A-Z]\w+\b', lambda name: MACROS.get(name[0], name[0]), code)
    found = []
    for words in re.findall(rf'{STRING}(?:\s*(?:{STRING}|[A-Z]\w+))*', code):
        text = ''
        for word in re.findall(rf'{STRING}|\w+', words):
            if word.startswith('PRI'):
                text = text.rstrip('%') + SEEN
            elif word[0] == '"':
                text += word[1:-1]
        text = re.sub(r'%[-+ #0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]', SEEN, text).replace('\\"', '"')
        # The plural
        found.append(re.sub(rf'(?<=\w){SEEN}', 's', text))
    return found


def printed(quote, texts):
    """Is it part of a text? Values are N or ... in it"""
    parts = [re.escape(part.strip()) for part in re.split(r'\.\.\.|\bN\b', quote) if part.strip()]
    pattern = re.compile('.*'.join(parts), re.S)
    return any(pattern.search(text) for text in texts)


def doubts():
    """What stamp and record report as a doubt, with a mark in place of each value"""
    for path in SOURCES:
        if path.parent.name in ('stamp', 'guests'):
            for call in re.findall(r'\tfindings_(?:doubt|add)\((.*?)\);\n', path.read_text(), re.S):
                yield from messages(call)[:1]


def diagnostics(verb):
    page = manual.page_section(manual.page_of(verb), 'DIAGNOSTICS')
    return [re.sub(r'\b[MK]\b', 'N', quote) for quote in re.findall(r'^\.It (.*)$', page, re.M)]


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
    yield from diagnostics('record')
    yield from diagnostics('stamp')


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

    def test_doubts(self):
        """The manual of stamp has each doubt: record prints the same ones"""
        quoted, found = diagnostics('stamp'), list(doubts())
        self.assertGreater(len(found), 40)
        for text in found:
            with self.subTest(text):
                self.assertTrue(any(printed(quote, [text]) for quote in quoted))
        # Control: each line of the manual is needed for one of them
        for quote in quoted:
            self.assertTrue(any(printed(quote, [text]) for text in found), quote)

    def test_control(self):
        self.assertFalse(printed('guest pid N: its TSC moved sideways', messages()))


if __name__ == '__main__':
    main()
