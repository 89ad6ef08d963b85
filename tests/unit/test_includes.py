#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Includes between folders: only from folders that meson.build names earlier, and without circles.

With the argument "draw" it prints them.
"""
import collections
import re
import sys
import unittest

sys.path.append(sys.path[0] + '/../lib')
from case import TREE, main

ROOTS = 'lib', 'plugin', 'tool'


def folders(tree, folder):
    """All folders with sources, in the order in which meson.build builds them"""
    text = (tree / folder / 'meson.build').read_text() if (tree / folder / 'meson.build').exists() else ''
    result = []
    for name in re.findall(r"^subdir\('([^']+)'\)", text, re.M):
        result += folders(tree, f'{folder}/{name}')
    return [*result, folder]


def order(tree):
    top = re.findall(r"^subdir\('([^']+)'\)", (tree / 'meson.build').read_text(), re.M)
    return [folder for name in top if name.split('/')[0] in ROOTS for folder in folders(tree, name)]


def includes(tree):
    """{file: files of the tree that it includes}, as paths below the tree"""
    files = [path.relative_to(tree) for root in ROOTS for path in sorted((tree / root).rglob('*.[ch]*'))]
    headers = {path.name: path for path in files if path.suffix == '.h'}
    return {path: [headers[name] for name in re.findall(r'^#include "([^"]+)"', (tree / path).read_text(), re.M)
                   if name in headers] for path in files}


def upward(order_of_folders, arrows):
    """Includes of a folder that comes later"""
    return [f'{file} includes {header}' for file, headers in arrows.items() for header in headers
            if order_of_folders.index(str(header.parent)) > order_of_folders.index(str(file.parent))]


def circle(arrows):
    """Modules (a source and its header) each of which requires the next one, or nothing"""
    modules = collections.defaultdict(set)
    for file, headers in arrows.items():
        modules[file.with_suffix('')] |= {header.with_suffix('') for header in headers} - {file.with_suffix('')}
    done, way = set(), []

    def follow(module):
        if module in way:
            return way[way.index(module):]
        if module in done:
            return []
        way.append(module)
        for other in sorted(modules[module]):
            found = follow(other)
            if found:
                return found
        done.add(way.pop())
        return []

    for module in sorted(modules):
        found = follow(module)
        if found:
            return [str(module) for module in found]
    return []


def printing(arrows):
    """Files that print although they are below the verbs and not part of the hook: progress bars are tool/cli's"""
    return [str(file) for file, headers in arrows.items()
            if file.stem != 'message' and str(file.parent) not in ('tool', 'tool/cli', 'plugin/hook', 'plugin') and
            ('message.h' in [header.name for header in headers] or
             re.search(r'\b(stderr|stdout|printf\(")', (TREE / file).read_text()))]


class TestIncludes(unittest.TestCase):
    def setUp(self):
        self.order, self.arrows = order(TREE), includes(TREE)

    def test_all_folders_are_in_the_order(self):
        self.assertEqual({str(file.parent) for file in self.arrows} - set(self.order), set())
        self.assertGreater(len(self.arrows), 200)

    def test_downward(self):
        self.assertEqual(upward(self.order, self.arrows), [])

    def test_no_circle(self):
        self.assertEqual(circle(self.arrows), [])

    def test_only_verbs_print(self):
        self.assertEqual(printing(self.arrows), [])

    def test_controls(self):
        """All fail if an arrow is added"""
        base = next(file for file in self.arrows if str(file) == 'lib/base/sanitize.c')
        high = next(file for file in self.arrows if str(file) == 'tool/hosts/host_file.h')
        self.arrows[base].append(high)
        self.assertEqual(upward(self.order, self.arrows), [f'{base} includes {high}'])
        self.assertIn('lib/base/sanitize', circle(self.arrows))
        self.arrows[base].append(next(file for file in self.arrows if file.name == 'message.h'))
        self.assertEqual(printing(self.arrows), [str(base)])


def draw():
    arrows = collections.defaultdict(set)
    for file, headers in includes(TREE).items():
        arrows[str(file.parent)] |= {str(header.parent) for header in headers} - {str(file.parent)}
    for folder in order(TREE):
        print(f'{folder:20} {" ".join(sorted(arrows[folder], key=order(TREE).index))}')


if __name__ == '__main__':
    if sys.argv[1:] == ['draw']:
        draw()
    else:
        main()
