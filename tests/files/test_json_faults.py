#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""--json while memory runs out.

Each allocation fails in turn. In all cases the document is complete, or the command fails with a message: no member is
ever missing.
"""
import json
import os
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, Case, built, main

FAILING = built('tests/files/failing_calls.so')
HOST, GUEST = (os.path.join(DATA, 'agent-moved', name) for name in ('host.dat', 'guest.dat'))


class TestMemory(Case):
    def run_failing(self, at, *arguments):
        """Returns the completed command, and whether it made this many allocations"""
        log, write = os.pipe()
        environment = os.environ | {'LD_PRELOAD': FAILING, 'FAIL_AT': str(at), 'FAIL_KINDS': 'memory',
                                    'FAIL_LOG': str(write)}
        done = subprocess.run([TOOL, *arguments], env=environment, capture_output=True, pass_fds=[write],
                              check=False, timeout=60)
        os.close(write)
        with os.fdopen(log) as lines:
            return done, not lines.read().split()[1] == 'end'

    def every(self, status, failed, *arguments):
        """Each run has this status and prints the same as with enough memory, or it fails with this document or none"""
        whole, more = self.run_failing(0, *arguments)
        self.assertEqual((whole.returncode, more), (status, False), whole.stderr)
        seen, at = set(), 1
        while True:
            done, more = self.run_failing(at, *arguments)
            if not more:
                break
            with self.subTest(at=at):
                if done.returncode == status:
                    self.assertEqual(done.stdout, whole.stdout)
                else:
                    self.assertEqual(done.returncode, FAILED, done.stderr)
                    self.assertTrue(done.stderr)
                    if done.stdout:
                        self.assertEqual(json.loads(done.stdout), failed)
            seen.add(done.returncode)
            at += 1
        self.assertEqual(seen, {status, FAILED})
        self.assertGreater(at, 100)

    def test_show(self):
        self.every(DONE, None, 'show', '--json', HOST)

    def test_check(self):
        self.every(INCOMPLETE, {'schema': 1, 'host': HOST, 'guests': []}, 'check', '--json', '--max-violations', '1',
                   HOST, GUEST)


if __name__ == '__main__':
    main()
