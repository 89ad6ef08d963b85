#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A file is rewritten while the operations around it fail.

Each allocation and each call that changes files fails in turn, or the program is killed there. The copy gets its name
only when it is complete; until then the earlier file keeps it. The original is unchanged.
"""
import os
import signal
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, Case, built, each, main
import trace_dat_writer as dat

REWRITE, FAILING = built('tests/files/rewrite_times'), built('tests/files/failing_calls.so')
PRINT = dat.Format.load('ftrace', 'print')


@each({f'version {version} {compression} over {earlier}': (version, compression, earlier)
       for version, compression in ((6, 'none'), (7, 'none'), (7, 'zlib'), (7, 'zstd'))
       for earlier in ('nothing', 'an earlier one')})
class TestFaults(Case):
    where = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None

    def run_at(self, at, by, kinds):
        """Returns the status, stderr, and the number of the last call"""
        for path in self.directory.iterdir():
            if path != self.source:
                path.unlink()
        if self.earlier:
            self.target.write_bytes(self.earlier)
        log, write = os.pipe()
        environment = os.environ | {'LD_PRELOAD': FAILING, 'FAIL_AT': str(at), 'FAIL_BY': by, 'FAIL_KINDS': kinds,
                                    'FAIL_LOG': str(write)}
        done = subprocess.run([REWRITE, self.source, self.target, '5', '4', '0', '12'], env=environment,
                              capture_output=True, text=True, pass_fds=[write], check=False, timeout=60)
        os.close(write)
        with os.fdopen(log) as lines:
            last = lines.read().split()
        return done.returncode, done.stderr, int(last[-2]) if last else 0

    def every(self, by, kinds):
        calls = self.run_at(0, by, kinds)[2]
        self.assertGreater(calls, 10)
        seen = set()
        for at in range(1, calls + 1):
            status, stderr, _ = self.run_at(at, by, kinds)
            seen.add(status)
            with self.subTest(at=at, by=by, kinds=kinds):
                self.assertTrue(self.source.read_bytes() == self.old)
                content = self.target.read_bytes() if self.target.exists() else None
                self.assertTrue(content in (self.new, self.earlier), stderr)
                self.assertTrue(content == self.new or status != DONE, stderr)
                self.assertIn(status, [-signal.SIGKILL] if by else [DONE, FAILED], stderr)
                self.assertTrue(by or len(list(self.directory.iterdir())) == 1 + self.target.exists())
        print(f'{by} {kinds}: {calls} points, statuses {sorted(seen)}', flush=True)
        return seen

    def one(self, version, compression, earlier):
        self.source, self.target = self.directory / 'guest.dat', self.directory / 'copy.dat'
        self.earlier = None
        writer = dat.PageWriter()
        for time in range(100):
            writer.add(1000 + time, PRINT.record(1, buf=b'x' * 100 + b'\n\0'))
        pages = writer.pages()
        dat.write(self.source, [dat.Buffer('', {0: pages, 1: pages}), dat.Buffer('i', {0: pages})], [PRINT],
                  version=version, compression=compression, options=[(dat.VERSION, b'3\0')])
        self.old = self.source.read_bytes()
        self.assertEqual(self.run_at(0, '', '')[0], DONE)
        self.new = self.target.read_bytes()
        self.earlier = None if earlier == 'nothing' else self.new + b'earlier'
        self.assertIn(FAILED, self.every('', 'files'), 'control: calls did fail')
        self.every('', 'memory')
        self.every('kill', 'files')


if __name__ == '__main__':
    main()
