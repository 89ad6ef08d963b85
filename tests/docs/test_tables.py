#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The tables of files in doc/architecture.md have each source in the table of its folder, and nothing else."""
import fnmatch
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import main
import manual

SOURCE = re.compile(r'\.(c|h|cpp|hpp|proto)$')


def folders():
    """All folders with sources"""
    return sorted({str(path.parent.relative_to(manual.TREE)) for top in ('lib', 'plugin', 'tool')
                   for path in (manual.TREE / top).rglob('*') if SOURCE.search(path.name)})


def sources(folder):
    """The names of a folder's sources in its table: a .c and its .h have one name"""
    return {SOURCE.sub('', path.name) for path in (manual.TREE / folder).iterdir() if SOURCE.search(path.name)}


def listed(text, folder):
    """The first column of a folder's table"""
    table = re.search(rf'^### `{folder}/`\n\n\|.*\n\|[-|]+\n((?:\|.*\n)+)', text, re.M)
    words = ' '.join(line.split('|')[1] for line in table[1].splitlines()) if table else ''
    return {SOURCE.sub('', name) for name in re.findall(r'`([^`]+)`', words)}


def missing(text, folder):
    names = listed(text, folder)
    return {source for source in sources(folder)
            if not any(fnmatch.fnmatchcase(source, name) for name in names)}


def gone(text, folder):
    return {name for name in listed(text, folder) if not fnmatch.filter(sources(folder), name)}


class TestTables(unittest.TestCase):
    def test_all_are_there(self):
        self.assertGreater(len(folders()), 10)
        for folder in folders():
            with self.subTest(folder):
                self.assertEqual(missing(manual.ARCHITECTURE.read_text(), folder), set())
                self.assertEqual(gone(manual.ARCHITECTURE.read_text(), folder), set())

    def test_control(self):
        """A missing file and a wrong one in a table are detected"""
        text = manual.ARCHITECTURE.read_text()
        self.assertEqual(missing(text.replace('| `cursor` |', '| |'), 'lib/base'), {'cursor'})
        self.assertEqual(gone(text.replace('`cursor`', '`cursor`, `no_such`'), 'lib/base'), {'no_such'})


if __name__ == '__main__':
    main()
