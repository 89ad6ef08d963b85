# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Shared code of test cases: paths of tree and build, the command's exit statuses, a directory for each case, and the
runner of a script's cases.

A script puts this directory on its path with one line, sys.path.append(sys.path[0] + '/../lib'), and ends with main().
The build is build/ in the tree, or the one that BUILD_DIR names.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('BUILD_DIR') or TREE / 'build').resolve()
DATA = str(TREE / 'tests/data')

DONE, FAILED, USAGE, INCOMPLETE = range(4)
# meson reports a test with this exit status as skipped
SKIPPED = 77
NOBODY = 65534

# Only a build with sanitizers reads this
os.environ.setdefault('LSAN_OPTIONS', f'print_suppressions=0:suppressions={TREE}/tests/lsan.supp')


def built(path):
    """A file of the build directory"""
    return str(BUILD / path)


TOOL = built('tool/tsc-offset')
PLUGIN = built('plugin/plugin_kvm_tsc_offset.so')


def configured(name):
    """The configuration of the build: see tests/meson.build"""
    return json.loads((BUILD / 'tests/configured.json').read_text())[name]


def skip(reason):
    """End the whole script"""
    print('skipped:', reason)
    sys.exit(SKIPPED)


def need_program(name):
    if not shutil.which(name):
        skip(f'no program {name}')


def needs(*programs):
    """A decorator: the class or case is skipped if one of the programs is missing"""
    missing = [name for name in programs if not shutil.which(name)]
    return unittest.skipIf(missing, f'no program {" ".join(missing)}')


class Case(unittest.TestCase):
    """Has a temporary directory, and runs the command in it"""
    maxDiff = None
    # Parent of the directory, if not the default for temporary files
    where = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not os.path.exists(TOOL):
            raise FileNotFoundError(f'no {TOOL}: run meson compile, or set BUILD_DIR')

    def setUp(self):
        super().setUp()
        temporary = tempfile.TemporaryDirectory(dir=self.where)
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def path(self, *names):
        """A file of the directory, as text"""
        return os.path.join(self.directory, *names)

    def run_tool(self, *arguments, **kwargs):
        """The completed process of tsc-offset with these arguments"""
        return subprocess.run([TOOL, *map(str, arguments)], **{
            'cwd': self.directory, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True,
            'errors': 'replace', 'check': False, 'timeout': 300, **kwargs})

    def says(self, done, status, *words):
        """Check that a process ended with this exit status and printed these words"""
        said = (done.stdout or '') + (done.stderr or '')
        self.assertEqual(done.returncode, status, said)
        for word in words:
            self.assertIn(word, said)
        return done

    def one_line(self, done, status, *words):
        """Check that a process ended with this exit status and printed one line, on stderr, with these words"""
        self.assertEqual((done.returncode, done.stdout), (status, ''), done.stderr)
        self.assertTrue(done.stderr.startswith('tsc-offset: '), done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


def each(table):
    """Give a class a test for each entry of a table {name: arguments of its method one()}"""
    def add(cls):
        for name, arguments in table.items():
            def test(self, arguments=arguments):
                self.one(*arguments)
            test.__name__ = 'test_' + re.sub(r'\W+', '_', name).strip('_')
            assert not hasattr(cls, test.__name__), f'{cls.__name__} has {test.__name__} twice'
            setattr(cls, test.__name__, test)
        return cls
    return add


def names(suite):
    """Class.test of each case"""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from names(item)
        else:
            yield item.id().split('.', 1)[1]


def main(*programs):
    """Run the script's cases: all, or those on the command line (Class, Class.test, -k PATTERN).

    --list prints their names. If one of the programs is not installed, or each case was skipped, the exit status is
    SKIPPED.
    """
    found = list(names(unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])))
    # tests/meson.build finds classes by this
    wrong = {name for name in found if not name.startswith('Test')}
    assert not wrong, f'the name of a class with tests begins with Test: {wrong}'
    if sys.argv[1:] == ['--list']:
        print(*found, sep='\n')
        return
    for program in programs:
        need_program(program)
    result = unittest.main(verbosity=2, exit=False).result
    if not result.testsRun and not result.skipped:
        sys.exit('no such case')
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun <= len(result.skipped):
        sys.exit(SKIPPED)
