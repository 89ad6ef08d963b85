#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""HACKING.md's tables of files: each source of plugin/ and tool/ is in one of them, and what is in them is there."""
import fnmatch
import re
import sys
import unittest

sys.dont_write_bytecode = True
import manual

DIRECTORIES = ['plugin', 'tool', 'tool/dat']
SOURCE = re.compile(r'\.(c|h|cpp|hpp|proto)$')


def sources(directory):
    """A directory's sources by the names that a table gives them: one for a .c and its .h"""
    top = manual.TREE / directory
    found = set(top.iterdir()) | set((top / 'kernelshark').glob('*'))
    return {SOURCE.sub('', str(path.relative_to(top))) for path in found if SOURCE.search(path.name)}


def listed(text, directory):
    """What the table of a directory has in its first column, and what is said to be not in it"""
    table = re.search(rf'^\| file in `{directory}/` \|.*\n\|[-|]+\n((?:\|.*\n)+)', text, re.M)[1]
    words = ' '.join(line.split('|')[1] for line in table.splitlines())
    beside = re.search(rf'^Not in the table of `{directory}/`.*?(?:\n\n|\Z)', text, re.M | re.S)
    names = re.findall(r'`([^`]+)`', words) + re.findall(r'`([^`]+)`', beside[0] if beside else '')
    return {SOURCE.sub('', name) for name in names if name != f'{directory}/'}


def missing(text, directory):
    names = listed(text, directory)
    return {source for source in sources(directory)
            if not any(fnmatch.fnmatchcase(source, name) for name in names)}


def gone(text, directory):
    return {name for name in listed(text, directory) if not fnmatch.filter(sources(directory), name)}


class Tables(unittest.TestCase):
    def test_all_are_there(self):
        for directory in DIRECTORIES:
            with self.subTest(directory):
                self.assertGreater(len(sources(directory)), 10)
                self.assertEqual(missing(manual.HACKING.read_text(), directory), set())
                self.assertEqual(gone(manual.HACKING.read_text(), directory), set())

    def test_control(self):
        """A file that a table loses, and one that it makes up, are seen"""
        text = manual.HACKING.read_text()
        self.assertEqual(missing(text.replace('| `cursor` |', '| |'), 'plugin'), {'cursor'})
        self.assertEqual(gone(text.replace('`cursor`', '`cursor`, `no_such`'), 'plugin'), {'no_such'})


if __name__ == '__main__':
    unittest.main()
