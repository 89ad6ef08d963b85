#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a slip of the hand costs: nothing is lost by it, and a line says what is wrong.

usage: test_mistakes.py TSC-OFFSET DATA-DIRECTORY, with ../traces in PYTHONPATH
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from scenario import Scenario

TOOL, DATA = map(os.path.abspath, sys.argv[1:3])
DONE, FAILED, USAGE, INCOMPLETE = range(4)


class Base(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def write(self, directory='', options=None, **parameters):
        """A host's and its guests' recordings, in a directory of their own if it is named"""
        (self.directory / directory).mkdir(exist_ok=True)
        scenario = Scenario(**parameters)
        scenario.write(str(self.directory / directory), **(options or {}))
        return scenario

    def contents(self):
        return {path.relative_to(self.directory): path.read_bytes() if path.is_file() else stat.S_IFMT(
            path.lstat().st_mode) for path in self.directory.rglob('*')}

    def run_tool(self, *arguments, **kwargs):
        return subprocess.run([TOOL, *map(str, arguments)], cwd=self.directory, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60, **kwargs)

    def says(self, arguments, status, *words, **kwargs):
        done = self.run_tool(*arguments, **kwargs)
        self.assertEqual(done.returncode, status, f'{arguments}: {done.stderr}')
        for word in words:
            self.assertIn(word, done.stderr, arguments)
        return done

    def refuses(self, arguments, *words, **kwargs):
        """One line, and nothing is touched"""
        before = self.contents()
        done = self.says(arguments, FAILED, *words, **kwargs)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        self.assertEqual(done.stdout, '')
        self.assertTrue(self.contents() == before, f'{arguments} changed something')


class Outputs(Base):
    """stamp replaces no recording that it did not make, and nothing that is no file"""
    def setUp(self):
        super().setUp()
        self.write(changes=2)

    def test_inputs(self):
        os.symlink('host.dat', self.directory / 'link.dat')
        for more in [], ['-n']:
            for name in 'host.dat', './host.dat', 'link.dat':
                self.refuses(['stamp', *more, '-o', name, 'host.dat', 'g1.dat'], f'{name}: is the host\'s recording')
            self.refuses(['stamp', *more, '-o', 'g1.dat', 'host.dat', 'g1.dat'],
                         'g1.dat: is the guest\'s recording', '--in-place adds to it')

    def test_inputs_by_default(self):
        """A name that stamp chooses is none of its inputs' either"""
        shutil.copy(self.directory / 'host.dat', self.directory / 'g1.synced.dat')
        self.refuses(['stamp', 'g1.synced.dat', 'g1.dat'], 'g1.synced.dat: is the host\'s recording')
        shutil.copy(self.directory / 'g1.dat', self.directory / 'host.linked.dat')
        for more in [], ['-i']:
            self.refuses(['stamp', '--link', *more, 'host.dat', 'host.linked.dat'],
                         'host.linked.dat: is the guest\'s recording')

    def test_recordings(self):
        shutil.copy(self.directory / 'g1.dat', self.directory / 'other.dat')
        for name in 'other.dat', 'g1.synced.dat':
            self.says(['stamp', 'host.dat', 'g1.dat'], DONE)
            self.refuses(['stamp', '-o', name, 'host.dat', 'g1.dat'], f'{name}: is a recording and is not replaced')

    def test_no_files(self):
        os.mkfifo(self.directory / 'fifo')
        (self.directory / 'sub').mkdir()
        for name in 'fifo', 'sub':
            for more in [], ['-n']:
                self.refuses(['stamp', *more, '-o', name, 'host.dat', 'g1.dat'],
                             f'{name}: there is something that is no file')
        os.mkfifo(self.directory / 'g1.synced.dat')
        self.refuses(['stamp', 'host.dat', 'g1.dat'], 'g1.synced.dat: there is something that is no file')

    @unittest.skipIf(os.geteuid(), 'not root')
    def test_device(self):
        """In a directory of its own, never the system's"""
        device = self.directory / 'null'
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            self.skipTest('no devices may be made here')
        self.refuses(['stamp', '-o', 'null', 'host.dat', 'g1.dat'], 'null: there is something that is no file')

    def test_one_name_for_two(self):
        for name in 'host.linked.dat', './host.linked.dat', '../' + self.directory.name + '/host.linked.dat':
            self.refuses(['stamp', '--link', '-o', name, 'host.dat', 'g1.dat'], f'{name}: --output and --link')
        (self.directory / 'host.linked.dat').touch()
        self.refuses(['stamp', '--link', '-o', 'host.linked.dat', 'host.dat', 'g1.dat'], '--output and --link')

    def test_control(self):
        """What may be replaced is: earlier results by their own names, and what is no recording"""
        for _ in range(2):
            self.says(['stamp', '--link', 'host.dat', 'g1.dat'], DONE)
        (self.directory / 'notes').write_text('words\n')
        for name in 'notes', 'new.dat':
            self.says(['stamp', '-o', name, 'host.dat', 'g1.dat'], DONE)
        synced = self.directory / 'g1.synced.dat'
        self.assertEqual((self.directory / 'notes').read_bytes(), synced.read_bytes())
        self.assertEqual((self.directory / 'new.dat').read_bytes(), synced.read_bytes())

    def test_other_verbs(self):
        """They know it from the same place"""
        os.mkfifo(self.directory / 'fifo')
        for arguments in ['show', '--svg'], ['export', '--perfetto']:
            files = ['host.dat', 'g1.dat'] if arguments[0] == 'export' else ['host.dat']
            before = self.contents()
            self.says([*arguments, 'g1.dat', *files], FAILED, 'g1.dat: is a recording and is not replaced')
            self.assertTrue(self.contents() == before)
            self.says([*arguments, 'fifo', *files], FAILED, 'fifo: there is something that is no file')

    def test_no_permission(self):
        """The output is named, by its own name"""
        self.says(['stamp', '-o', 'nowhere/out.dat', 'host.dat', 'g1.dat'], FAILED,
                  'nowhere/out.dat: cannot be written: No such file or directory')
        self.write('six', dict(version=6), changes=2)
        self.says(['stamp', '-o', 'nowhere/out.dat', 'six/host.dat', 'six/g1.dat'], FAILED,
                  'nowhere/out.dat: cannot be written: No such file or directory')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
