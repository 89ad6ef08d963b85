#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""stamp while the operations around it fail.

Each allocation, write, sync, rename fails in turn, or the program is killed there. In all cases the guest's file is the
old one or the new one, and no other file is changed.
"""
import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, TOOL, Case, built, main, needs
import trace_dat

FAILING, MOVED = built('tests/files/failing_calls.so'), Path(DATA, 'agent-moved')
# The size that a disk writes atomically
SECTOR = 512


class Base(Case):
    def setUp(self):
        super().setUp()
        self.host = self.directory / 'host.dat'
        self.guest = self.directory / 'guest.dat'
        shutil.copy(MOVED / 'host.dat', self.host)
        self.old = (MOVED / 'guest.dat').read_bytes()
        self.guest.write_bytes(self.old)

    def place_link(self, in_first, size):
        """Write a guest's file whose last link has in_first bytes in the first of two sectors; return its offset"""
        with open(self.guest, 'r+b') as file:
            file.truncate(0)
            file.write(self.old)
            at = len(self.old)
            if size:
                file.write(trace_dat.SECTION.pack(0, 0, 0, size))
                at += trace_dat.SECTION.size + size
            begin = trace_dat.SECTION.size + trace_dat.OPTION.size
            text = -(at + begin + 1 + trace_dat.OPTION.size + in_first) % SECTOR + 1
            body = trace_dat.OPTION.pack(9, text) + b'v' * text + trace_dat.OPTION.pack(trace_dat.DONE, 8) + bytes(8)
            file.seek(trace_dat.last_link(self.old))
            file.write(struct.pack('<Q', at))
            file.seek(at)
            file.write(trace_dat.SECTION.pack(0, 0, 0, len(body)) + body)
            return file.tell() - 8

    def run_in_place(self, **environment):
        return subprocess.run([TOOL, 'stamp', '-i', self.host, self.guest], capture_output=True, text=True,
                              env=os.environ | environment, check=False, timeout=60)


class TestFaults(Base):
    # On a real disk each of a thousand runs would wait, and nothing here depends on the disk
    where = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None

    def setUp(self):
        super().setUp()
        # The contents of the output before each run
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
        """Call check(status, stderr) after each point of failure"""
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

    def across_sectors(self):
        """Continue with a file whose last link crosses a sector boundary"""
        self.place_link(2, 0)
        self.old = self.guest.read_bytes()

    def test_in_place_failing(self):
        self.in_place_failing()
        self.across_sectors()
        self.in_place_failing()

    def in_place_failing(self):
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
        self.in_place_killed()
        self.across_sectors()
        self.in_place_killed()

    def in_place_killed(self):
        new = self.new_in_place()
        link = next(at for at in range(len(self.old)) if self.old[at] != new[at])

        def check(status, _):
            content = self.guest.read_bytes()
            self.assertEqual(status, -signal.SIGKILL)
            # Appended bytes are not a part of the file until the link to them is written
            linked = content[link:link + 8] == new[link:link + 8]
            self.assertTrue(content[:len(self.old)] ==
                            (new[:len(self.old)] if linked else self.old))
            self.assertTrue(new.startswith(content) if linked else new[len(self.old):]
                            .startswith(content[len(self.old):]))
            self.assertTrue(content == new or not linked)

        self.every(['-i'], 'kill', 'files', check)

    def test_copy(self):
        self.copy([])

    def test_rewrite(self):
        """--rewrite: pages with host times, also written into a copy"""
        self.copy(['--rewrite'])

    def copy(self, options):
        output = self.directory / 'guest.synced.dat'
        self.stamp(options, 0, '', '')
        new = output.read_bytes()

        def check_old_output(status, stderr):
            """The guest's file is unchanged, and the copy is complete or absent"""
            self.assertTrue(self.guest.read_bytes() == self.old)
            complete = output.exists() and output.read_bytes() == new
            self.assertEqual(output.exists(), complete)
            self.assertTrue(complete or status != DONE, stderr)

        def check_no_rest(status, stderr):
            check_old_output(status, stderr)
            names = {path.name for path in self.directory.iterdir()}
            self.assertLessEqual(names, {'host.dat', 'guest.dat', 'guest.synced.dat'})

        seen = self.every(options, '', 'files', check_no_rest)
        self.assertIn(FAILED, seen, 'control: calls did fail')
        self.every(options, '', 'memory', check_no_rest)
        self.every(options, 'kill', 'files', check_old_output)

    def test_output_over_an_earlier_one(self):
        self.over_an_earlier_one([])

    def test_rewrite_over_an_earlier_one(self):
        self.over_an_earlier_one(['--rewrite'])

    def over_an_earlier_one(self, options):
        output = self.directory / 'guest.synced.dat'
        self.stamp(options, 0, '', '')
        new = output.read_bytes()
        self.earlier = new + b'earlier'

        def check(status, stderr):
            self.assertTrue(self.guest.read_bytes() == self.old)
            self.assertTrue(output.read_bytes() == new or
                            (output.read_bytes() == self.earlier and status != DONE), stderr)

        self.every(options, 'kill', 'files', check)
        self.every(options, '', 'files', check)


class TestSwapped(Base):
    """Another file has taken the guest's name since it was read"""
    def refused(self, other):
        (self.directory / 'read.dat').hardlink_to(self.guest)
        before = other.read_bytes()
        done = self.run_in_place(LD_PRELOAD=FAILING, SWAP_IN=str(self.directory / 'swap'))
        self.assertFalse((self.directory / 'swap').exists(), 'control: the names were swapped')
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''), done.stderr)
        self.assertIn('guest.dat: another file has its name since it was read', done.stderr)
        self.assertTrue(other.read_bytes() == before)
        self.assertTrue((self.directory / 'read.dat').read_bytes() == self.old)

    def test_link(self):
        """A link to another file that looks the same: with the same size, and zeros at the place of the link"""
        victim = self.directory / 'victim'
        victim.write_bytes(bytes(len(self.old)))
        (self.directory / 'swap').symlink_to(victim)
        self.refused(victim)

    def test_copy(self):
        (self.directory / 'swap').write_bytes(self.old)
        self.refused(self.guest)

    def test_control(self):
        """The same file under another name"""
        (self.directory / 'real.dat').write_bytes(self.old)
        self.guest.unlink()
        self.guest.symlink_to('real.dat')
        done = self.run_in_place()
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertTrue((self.directory / 'real.dat').read_bytes().startswith(self.old[:12]))
        self.assertGreater((self.directory / 'real.dat').stat().st_size, len(self.old))


class TestLocks(Base):
    def test_errors(self):
        """Only a locked file is refused, not one that cannot be locked"""
        for error in errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EWOULDBLOCK:
            self.guest.write_bytes(self.old)
            done = self.run_in_place(LD_PRELOAD=FAILING, FLOCK_ERROR=str(error))
            locked = error == errno.EWOULDBLOCK
            self.assertEqual(done.returncode, FAILED if locked else DONE, done.stderr)
            self.assertEqual('another process writes to it' in done.stderr, locked)
            self.assertEqual(self.guest.read_bytes() == self.old, locked)


class TestTorn(Base):
    """Wherever the link to the new options is, only one sector changes with it"""
    def read(self, at, size):
        with open(self.guest, 'rb') as file:
            file.seek(at)
            return file.read(size)

    def sections_end(self):
        """The distance to the end of the file at which a reader ends that follows the sections from the old end"""
        at, end = len(self.old), self.guest.stat().st_size
        while at < end:
            at += trace_dat.SECTION.size + trace_dat.SECTION.unpack(self.read(at, trace_dat.SECTION.size))[3]
        return at - end

    @needs('trace-cmd')
    def test_places(self):
        self.run_in_place()
        wanted = trace_dat.report('-i', str(self.guest))
        for in_first in range(1, 9):
            for size in 0, 1 << 25, 5 << 30:
                with self.subTest(in_first=in_first, size=size):
                    link = self.place_link(in_first, size)
                    self.assertEqual(-link % SECTOR, in_first)
                    before = self.guest.stat()
                    done = self.run_in_place()
                    self.assertEqual(done.returncode, DONE, done.stderr)
                    value = self.read(link, 8)
                    self.assertGreaterEqual(int.from_bytes(value, 'little'), before.st_size)
                    self.assertTrue(not any(value[:in_first]) or not any(value[in_first:]), value)
                    after = self.guest.stat()
                    self.assertEqual(self.sections_end(), 0)
                    # The padding is a hole, and exists only if necessary
                    self.assertLess(after.st_blocks - before.st_blocks, 100)
                    if in_first == 8 or size == 0 and in_first > 3:
                        self.assertEqual(int.from_bytes(value, 'little'), before.st_size)
                    self.assertEqual(trace_dat.report('-i', str(self.guest)), wanted)


if __name__ == '__main__':
    main()
