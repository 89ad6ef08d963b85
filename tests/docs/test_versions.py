#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""meson.build has the version of the release. debian/changelog and NEWS.md begin with the same version."""
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TREE, main

# The first match is the newest version. Debian's revision does not belong to it.
PATTERNS = {
    'meson.build': r"^\tversion: '([^']+)'",
    'debian/changelog': r'^tsc-offset \(([^)-]+)(?:-[^)]+)?\) ',
    'NEWS.md': r'^## (\S+)$',
}


def texts():
    return {name: (TREE / name).read_text() for name in PATTERNS}


def versions(found):
    return {re.search(pattern, found[name], re.M)[1] for name, pattern in PATTERNS.items()}


class TestVersions(unittest.TestCase):
    def test_same(self):
        self.assertEqual(len(versions(texts())), 1, versions(texts()))

    def test_control(self):
        """If one of the files has another version, this is detected"""
        for name, text in texts().items():
            version = re.search(PATTERNS[name], text, re.M)[1]
            self.assertEqual(len(versions(texts() | {name: text.replace(version, f'{version}.1', 1)})), 2, name)


if __name__ == '__main__':
    main()
