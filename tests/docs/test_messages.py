#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset-messages(7) has all messages, and its quotes and those of SECURITY.md are texts of the sources."""
import functools
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
VALUE = r'\.\.\.|\bN\b'


CODE = '\n'.join(path.read_text() for path in SOURCES)
# Macros that are texts. The text is in the line of the #define, or in the next one.
MACROS = dict(re.findall(rf'^#define\s+(\w+)\s+(?:\\\n\s*)?({STRING}(?:\s*(?:{STRING}|PRI\w+))*)\s*$', CODE, re.M))


@functools.cache
def messages(code=CODE):
    """All texts of the sources, with a mark instead of each value"""
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
        # A value at the end of a word is its plural
        found.append(re.sub(rf'(?<=\w){SEEN}', 's', text))
    return found


@functools.cache
def pattern(quote):
    """The regular expression of a quote, in which values are N or ..."""
    return re.compile('.*'.join(re.escape(part.strip()) for part in re.split(VALUE, quote)), re.S)


def printed(quote, texts):
    """Is it part of a text?"""
    inner = re.compile('.*'.join(re.escape(part.strip()) for part in re.split(VALUE, quote) if part.strip()), re.S)
    return any(inner.search(text) for text in texts)


PAGE = manual.MAN / 'tsc-offset-messages.7'
# Functions that print messages, each with the sources whose calls count. All messages with an offset in a file share
# one entry of the page, so these functions do not count in lib/.
REPORTS = {
    'findings_doubt': SOURCES, 'findings_note': SOURCES, 'findings_add': SOURCES,
    **dict.fromkeys(('message', 'doubt', 'error_set', 'error_set_code', 'trace_dat_refuse', 'failed'),
                    [path for path in SOURCES if manual.TREE / 'lib' not in path.parents]),
}
# Messages that need no explanation, because they report success or the reason follows
PLAIN = {
    '\0: \0 events, \0 times in guest mode', '\0: \0 packets of \0 are machine \0, with \0 times',
    '-A \0: the VM of process \0, at the vsock address \0, port \0',
    "the kernel's own events report as much as probes would: no probes are defined",
    "defined the events tsc_offset:*, for 'trace-cmd record -e tsc_offset'",
    'the instance tsc_offset records from now on', 'the instance tsc_offset \0, with \0 events',
    'the clock was \0: set to x86-tsc', 'the buffers had \0 KiB: set to \0', '\0 was \0: set to \0\0',
    'removed the instance tsc_offset with \0 events', 'no VM runs on this machine',
    'marked \0 vCPUs (\0 VMs) in \0; offsets from \0', 'the status of the instance tsc_offset: \0',
    "\0; see 'tsc-offset \0\0'",
}


def explains_itself(text):
    """The text comes from the system, or is only a name before such a text"""
    return len(re.findall(r'\w{2,}', text)) < 4 or text.startswith('no memory')


def calls(code):
    """(function, arguments) of each call of a function of REPORTS"""
    for name in re.finditer(rf'\b({"|".join(REPORTS)})\(', code):
        depth = 1
        for word in re.finditer(rf'{STRING}|[()]', code[name.end():]):
            depth += {'(': 1, ')': -1}.get(word[0], 0)
            if not depth:
                yield name[1], code[name.end():name.end() + word.start()]
                break


@functools.cache
def reports():
    """(function, text) of each message that users must understand, with a mark instead of each value"""
    found = set()
    for path in SOURCES:
        for name, call in calls(path.read_text()):
            # The format, or both formats if a condition selects one
            chosen = re.match(r'[^"]*\?\s*"', call)
            for text in messages(call)[:2 if chosen else 1]:
                if path in REPORTS[name] and text not in PLAIN and not explains_itself(text):
                    found.add((name, text))
    return found


def entries(page=None):
    """{message: its explanation in the page}"""
    text = page or PAGE.read_text()
    found = {}
    for block in re.findall(r'^\.Bl -tag -width 4n\n(.*?)^\.El$', text, re.M | re.S):
        for item in block.split('.It ')[1:]:
            quote, _, said = item.partition('\n')
            found[quote] = said
    return found


@functools.cache
def matches(quote, text):
    """Is it the whole of a text?"""
    return bool(pattern(quote).fullmatch(text))


def unexplained(page=None):
    known = list(entries(page))
    return {text for _, text in reports() if not any(matches(quote, text) for quote in known)}


def quotes():
    for section in (manual.TREE / 'SECURITY.md').read_text().split('\n## ')[3:]:
        for quote in re.findall(r'\(`([^`]+ [^`]+)`\)|: `([^`]+ [^`]+)`', section):
            yield ''.join(quote)
    yield from entries()


class TestMessages(unittest.TestCase):
    def test_quotes(self):
        texts = messages()
        found = list(quotes())
        self.assertGreater(len(found), 25)
        for quote in found:
            with self.subTest(quote):
                # Other code adds the words after a colon
                for part in quote.split(': ...'):
                    self.assertTrue(printed(part, texts), part)

    def test_complete(self):
        """tsc-offset-messages(7) has all messages of tool and hook"""
        self.assertGreater(len(reports()), 200)
        self.assertEqual(unexplained(), set())

    def test_needed(self):
        """Each of its entries matches a message, and none is so general that it hides missing ones"""
        texts = {text for _, text in reports()}
        for quote in entries():
            with self.subTest(quote):
                self.assertTrue(any(matches(quote, text) for text in texts) or
                                any(matches(quote, text.strip()) for text in messages()))
                self.assertLess(sum(matches(quote, text) for text in texts), 5)

    def test_notes(self):
        """The page marks notes with "Note:", and only those"""
        kinds = {}
        for quote, said in entries().items():
            kinds[quote] = {name for name, text in reports() if matches(quote, text)}
            with self.subTest(quote):
                if kinds[quote] == {'findings_note'}:
                    self.assertTrue(said.startswith('Note:'))
                elif kinds[quote] == {'findings_doubt'}:
                    self.assertFalse(said.startswith('Note:'))

    def test_control(self):
        self.assertFalse(printed('guest pid N: its TSC moved sideways', messages()))
        # A doubt that the page loses is detected
        text = PAGE.read_text()
        doubts = {text for name, text in reports() if name == 'findings_doubt'}
        for quote in entries():
            if any(matches(quote, doubt) for doubt in doubts):
                with self.subTest(quote):
                    self.assertTrue(unexplained(text.replace(f'.It {quote}\n', '.It nothing that is printed\n')))


if __name__ == '__main__':
    main()
