#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""meson's list of tests and the scripts agree."""
import ast
import json
import sys
import unittest
from pathlib import Path

sys.path.append(sys.path[0] + '/../lib')
from case import BUILD, TREE, main

# Run by scripts/kernel for each patch, not by meson
NOT_LISTED = {'kernel_boots'}


def listed(folder):
    """{script: arguments with which meson runs it} of a folder of tests, without the suffix .py"""
    found = {}
    for test in json.loads((BUILD / 'meson-info/intro-tests.json').read_text()):
        for number, word in enumerate(test['cmd']):
            path = Path(word)
            if path.suffix == '.py' and path.parent == TREE / 'tests' / folder:
                found.setdefault(path.stem, []).extend(test['cmd'][number + 1:])
    return found


def scenarios(script):
    """The arguments of main() in a script of the lab"""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'main':
            return {argument.id for argument in node.args}
    return set()


def classes(script):
    return {node.name for node in ast.parse(script.read_text()).body
            if isinstance(node, ast.ClassDef) and node.name.startswith('Test')}


class TestLab(unittest.TestCase):
    def setUp(self):
        self.listed = {script: {name for group in groups for name in group.split('+')}
                       for script, groups in listed('lab').items()}
        if not self.listed:
            self.skipTest('configured without the lab')
        scripts = {path.stem: scenarios(path) for path in (TREE / 'tests/lab').glob('*.py')}
        self.scripts = {name: found for name, found in scripts.items() if found and name not in NOT_LISTED}

    def test_scenarios(self):
        self.assertGreater(len(self.scripts), 10)
        self.assertEqual(self.listed, self.scripts)

    def test_control(self):
        """Every scenario has a test, and every test a scenario"""
        self.listed['boot'].remove('boot')
        self.assertNotEqual(self.listed, self.scripts)
        self.listed['boot'] |= {'boot', 'no_such'}
        self.assertNotEqual(self.listed, self.scripts)


class TestClasses(unittest.TestCase):
    def test_classes(self):
        """meson lists all classes of a script, or none"""
        for folder in 'unit', 'files', 'host', 'docs', 'package', 'compat':
            of_meson = listed(folder)
            for script in (TREE / 'tests' / folder).glob('test_*.py'):
                if script.stem in of_meson and classes(script):
                    self.assertEqual(set(of_meson[script.stem]), classes(script), script)

    def test_scripts(self):
        """Each script is in a list of meson.build"""
        for folder in 'unit', 'files', 'host', 'docs', 'package', 'compat':
            text = (TREE / 'tests' / folder / 'meson.build').read_text()
            for script in (TREE / 'tests' / folder).glob('test_*.py'):
                name = script.stem.removeprefix('test_')
                self.assertTrue(f"{folder}/{script.name}'" in text or f"'{script.name}'" in text or
                                f"'{name}'" in text, script)


if __name__ == '__main__':
    main()
