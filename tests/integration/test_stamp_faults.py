#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""stamp while everything around it fails: test_stamp_faults.py TSC-OFFSET FAILING-CALLS.SO DATA-DIR

Each allocation, write, sync, rename in turn fails, or is where the program is killed. Whatever happens the
guest's file is then the old one or the new one.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL, FAILING, DATA = sys.argv.pop(1), sys.argv.pop(1), Path(sys.argv.pop(1)) / 'agent-moved'
DONE, FAILED = 0, 1


class Faults(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.host = self.directory / 'host.dat'
        self.guest = self.directory / 'guest.dat'
        shutil.copy(DATA / 'host.dat', self.host)
        self.old = (DATA / 'guest.dat').read_bytes()
        # What has the output's name before each run
        self.earlier = None

    def stamp(self, options, at, by, kinds):
        """Returns the status, stderr, and the number of the last call"""
        for path in self.directory.iterdir():
            if path != self.host:
                path.unlink()
        self.guest.write_bytes(self.old)
        if self.earlier:
            (self.directory / 'guest.synced.dat').write_bytes(self.earlier)
        log, write = os.pipe()
        environment = os.environ | {'LD_PRELOAD': FAILING, 'FAIL_AT': str(at), 'FAIL_BY': by,
                                    'FAIL_KINDS': kinds, 'FAIL_LOG': str(write)}
        done = subprocess.run([TOOL, 'stamp', *options, self.host, self.guest], env=environment,
                              capture_output=True, text=True, pass_fds=[write], check=False,
                              timeout=60)
        os.close(write)
        with os.fdopen(log) as lines:
            last = lines.read().split()
        return done.returncode, done.stderr, int(last[-2]) if last else 0

    def every(self, options, by, kinds, check):
        """Calls check(status, stderr) after each point of failure"""
        status, _, calls = self.stamp(options, 0, by, kinds)
        self.assertEqual(status, DONE)
        self.assertGreaterEqual(calls, 4)
        seen = set()
        for at in range(1, calls + 1):
            status, stderr, _ = self.stamp(options, at, by, kinds)
            with self.subTest(at=at, by=by, kinds=kinds):
                check(status, stderr)
                self.assertIn(status, (DONE, FAILED, -signal.SIGKILL), stderr)
            seen.add(status)
        print(f'{" ".join(map(str, options))} {by} {kinds}: {calls} points, statuses {sorted(seen)}',
              flush=True)
        return seen

    def new_in_place(self):
        self.stamp(['-i'], 0, '', '')
        return self.guest.read_bytes()

    def test_in_place_failing(self):
        new = self.new_in_place()

        def check(status, stderr):
            content = self.guest.read_bytes()
            self.assertTrue(content in (self.old, new), stderr)
            self.assertEqual(status == DONE, content == new, stderr)
            self.assertIn(status, (DONE, FAILED))
            self.assertTrue(status == DONE or stderr.startswith('tsc-offset: '), stderr)

        seen = self.every(['-i'], '', 'files', check)
        self.assertIn(FAILED, seen, 'control: calls did fail')
        self.every(['-i'], '', 'memory', check)

    def test_in_place_killed(self):
        new = self.new_in_place()
        link = next(at for at in range(len(self.old)) if self.old[at] != new[at])

        def check(status, _):
            content = self.guest.read_bytes()
            self.assertEqual(status, -signal.SIGKILL)
            # What is appended is not a part of the file before the link to it is there
            linked = content[link:link + 8] == new[link:link + 8]
            self.assertTrue(content[:len(self.old)] ==
                            (new[:len(self.old)] if linked else self.old))
            self.assertTrue(new.startswith(content) if linked else new[len(self.old):]
                            .startswith(content[len(self.old):]))
            self.assertTrue(content == new or not linked)

        self.every(['-i'], 'kill', 'files', check)

    def test_copy(self):
        output = self.directory / 'guest.synced.dat'
        self.stamp([], 0, '', '')
        new = output.read_bytes()

        def check_old_output(status, stderr):
            """The guest's file stays, and of the copy there is all or nothing"""
            self.assertTrue(self.guest.read_bytes() == self.old)
            complete = output.exists() and output.read_bytes() == new
            self.assertEqual(output.exists(), complete)
            self.assertTrue(complete or status != DONE, stderr)

        def check_no_rest(status, stderr):
            check_old_output(status, stderr)
            names = {path.name for path in self.directory.iterdir()}
            self.assertLessEqual(names, {'host.dat', 'guest.dat', 'guest.synced.dat'})

        seen = self.every([], '', 'files', check_no_rest)
        self.assertIn(FAILED, seen, 'control: calls did fail')
        self.every([], '', 'memory', check_no_rest)
        self.every([], 'kill', 'files', check_old_output)

    def test_output_over_an_earlier_one(self):
        output = self.directory / 'guest.synced.dat'
        self.stamp([], 0, '', '')
        new = output.read_bytes()
        self.earlier = new + b'earlier'

        def check(status, stderr):
            self.assertTrue(self.guest.read_bytes() == self.old)
            self.assertTrue(output.read_bytes() == new or
                            (output.read_bytes() == self.earlier and status != DONE), stderr)

        self.every([], 'kill', 'files', check)
        self.every([], '', 'files', check)


if __name__ == '__main__':
    unittest.main(verbosity=2)
