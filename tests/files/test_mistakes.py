#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Mistakes of users: nothing is lost, and a line reports what is wrong."""
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main, needs
from scenario import Scenario
import trace_dat_writer


class Base(Case):
    def write(self, directory='', options=None, **parameters):
        """A host's and its guests' recordings, in a separate directory if it is named"""
        (self.directory / directory).mkdir(exist_ok=True)
        scenario = Scenario(**parameters)
        scenario.write(str(self.directory / directory), **(options or {}))
        return scenario

    def contents(self):
        return {path.relative_to(self.directory): path.read_bytes() if path.is_file() else stat.S_IFMT(
            path.lstat().st_mode) for path in self.directory.rglob('*')}

    def ends(self, arguments, status, *words, **kwargs):
        return self.says(self.run_tool(*arguments, **kwargs), status, *words)

    def refuses(self, arguments, *words, **kwargs):
        """The command fails with one line, and changes nothing"""
        before = self.contents()
        done = self.ends(arguments, FAILED, *words, **kwargs)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        self.assertEqual(done.stdout, '')
        self.assertTrue(self.contents() == before, f'{arguments} changed something')


class TestOutputs(Base):
    """stamp replaces neither recordings that it did not make, nor anything but regular files"""
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
        """The name that stamp chooses by default must not be that of an input either"""
        shutil.copy(self.directory / 'host.dat', self.directory / 'g1.synced.dat')
        self.refuses(['stamp', 'g1.synced.dat', 'g1.dat'], 'g1.synced.dat: is the host\'s recording')
        shutil.copy(self.directory / 'g1.dat', self.directory / 'host.linked.dat')
        for more in [], ['-i']:
            self.refuses(['stamp', '--link', *more, 'host.dat', 'host.linked.dat'],
                         'host.linked.dat: is the guest\'s recording')

    def test_recordings(self):
        """Recordings other than stamp's own copies, see TestReplaced"""
        shutil.copy(self.directory / 'g1.dat', self.directory / 'other.dat')
        shutil.copy(self.directory / 'g1.dat', self.directory / 'in-place.dat')
        self.ends(['stamp', '--in-place', 'host.dat', 'in-place.dat'], DONE)
        self.ends(['stamp', '--link', 'host.dat', 'g1.dat'], DONE)
        for name in 'other.dat', 'in-place.dat', 'host.linked.dat':
            self.refuses(['stamp', '-o', name, 'host.dat', 'g1.dat'], f'{name}: is a recording and is not replaced')

    def test_initial_from(self):
        done = self.ends(['show', '--json', 'host.dat'], DONE)
        (self.directory / 'first.json').write_text(done.stdout)
        self.refuses(['stamp', '--initial-from', 'first.json', '-o', './first.json', 'host.dat', 'g1.dat'],
                     './first.json: is the file of --initial-from and is not replaced')

    def test_no_files(self):
        os.mkfifo(self.directory / 'fifo')
        (self.directory / 'sub').mkdir()
        for name in 'fifo', 'sub':
            for more in [], ['-n']:
                self.refuses(['stamp', *more, '-o', name, 'host.dat', 'g1.dat'],
                             f'{name}: exists and is not a regular file')
        os.mkfifo(self.directory / 'g1.synced.dat')
        self.refuses(['stamp', 'host.dat', 'g1.dat'], 'g1.synced.dat: exists and is not a regular file')

    @unittest.skipIf(os.geteuid(), 'not root')
    def test_device(self):
        """A device in the test's own directory, never the system's"""
        device = self.directory / 'null'
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            self.skipTest('no devices may be made here')
        self.refuses(['stamp', '-o', 'null', 'host.dat', 'g1.dat'], 'null: exists and is not a regular file')

    def test_among_devices(self):
        """The input is a device, and the output would be in the same directory"""
        made = [Path('/dev/stdin.synced.dat'), Path('/dev/stdin.linked.dat')]
        self.assertFalse(any(path.exists() for path in made))
        self.addCleanup(lambda: [path.unlink(missing_ok=True) for path in made])
        for name, arguments in ('g1', ['stamp', 'host.dat', '/dev/stdin']), \
                ('host', ['stamp', '--link', '-i', '/dev/stdin', 'g1.dat']), \
                ('host', ['show', '--svg', '/dev/stdin.svg', '/dev/stdin']):
            with open(self.directory / f'{name}.dat', 'rb') as file:
                self.refuses(arguments, '/dev/stdin.', ': is in a directory of devices; choose another output',
                             stdin=file)
        self.assertFalse(any(path.exists() for path in made))
        # The control: another output, and files in a directory below /dev
        for where in self.directory, Path('/dev/shm'):
            if not where.is_mount() and where != self.directory:
                continue
            with tempfile.TemporaryDirectory(dir=where) as other, open(self.directory / 'g1.dat', 'rb') as file:
                self.ends(['stamp', '-o', f'{other}/out.dat', 'host.dat', '/dev/stdin'], DONE, stdin=file)
                self.assertTrue((Path(other) / 'out.dat').exists())

    def test_standard_output(self):
        """"-" is not accepted as a name"""
        for arguments in ['stamp', '-o', '-', 'host.dat', 'g1.dat'], ['show', '--svg', '-', 'host.dat'], \
                ['export', '--perfetto', '-', 'host.dat', 'g1.dat']:
            self.ends(arguments, FAILED, '-: results cannot go to standard output')
            self.assertFalse((self.directory / '-').exists())
        self.ends(['show', '--svg', './-', 'host.dat'], DONE)
        self.assertTrue((self.directory / '-').exists())

    @unittest.skipIf(os.geteuid(), 'not root')
    def test_unreadable(self):
        """An unreadable file may be a recording. An output that cannot be written is named."""
        nobody = dict(user=65534, group=65534, extra_groups=[])
        program = shutil.copy(TOOL, self.directory / 'program')
        for path in self.directory.iterdir():
            path.chmod(0o755)
        shutil.copy(self.directory / 'g1.dat', self.directory / 'secret.dat')
        (self.directory / 'secret.dat').chmod(0o600)
        for owner, arguments, words in (
                (65534, ['-o', 'secret.dat'], 'secret.dat: cannot be read; it may be a recording and is not replaced'),
                (0, [], 'g1.synced.dat: cannot be written: Permission denied')):
            os.chown(self.directory, owner, -1)
            self.directory.chmod(0o755)
            before = self.contents()
            done = subprocess.run([program, 'stamp', *arguments, 'host.dat', 'g1.dat'], cwd=self.directory, text=True,
                                  capture_output=True, check=False, timeout=60, **nobody)
            self.assertEqual((done.returncode, done.stderr), (FAILED, f'tsc-offset: {words}\n'))
            self.assertTrue(self.contents() == before)

    def test_one_name_for_two(self):
        for name in 'host.linked.dat', './host.linked.dat', '../' + self.directory.name + '/host.linked.dat':
            self.refuses(['stamp', '--link', '-o', name, 'host.dat', 'g1.dat'], f'{name}: --output and --link')
        (self.directory / 'host.linked.dat').touch()
        self.refuses(['stamp', '--link', '-o', 'host.linked.dat', 'host.dat', 'g1.dat'], '--output and --link')

    def test_control(self):
        """These are replaced: earlier results under their own names, and files that are not recordings"""
        for _ in range(2):
            self.ends(['stamp', '--link', 'host.dat', 'g1.dat'], DONE)
        (self.directory / 'notes').write_text('words\n')
        for name in 'notes', 'new.dat':
            self.ends(['stamp', '-o', name, 'host.dat', 'g1.dat'], DONE)
        synced = self.directory / 'g1.synced.dat'
        self.assertEqual((self.directory / 'notes').read_bytes(), synced.read_bytes())
        self.assertEqual((self.directory / 'new.dat').read_bytes(), synced.read_bytes())

    def test_other_verbs(self):
        """Other verbs use the same checks"""
        os.mkfifo(self.directory / 'fifo')
        for arguments in ['show', '--svg'], ['export', '--perfetto']:
            files = ['host.dat', 'g1.dat'] if arguments[0] == 'export' else ['host.dat']
            before = self.contents()
            self.ends([*arguments, 'g1.dat', *files], FAILED, 'g1.dat: is a recording and is not replaced')
            self.assertTrue(self.contents() == before)
            self.ends([*arguments, 'fifo', *files], FAILED, 'fifo: exists and is not a regular file')

    def test_no_permission(self):
        """The error has the name of the output, not that of a temporary file"""
        self.ends(['stamp', '-o', 'nowhere/out.dat', 'host.dat', 'g1.dat'], FAILED,
                  'nowhere/out.dat: cannot be written: No such file or directory')
        self.write('six', dict(version=6), changes=2)
        self.ends(['stamp', '-o', 'nowhere/out.dat', 'six/host.dat', 'six/g1.dat'], FAILED,
                  'nowhere/out.dat: cannot be written: No such file or directory')


class TestReplaced(Base):
    """stamp -o replaces a copy that stamp wrote, and nothing else"""
    def setUp(self):
        super().setUp()
        self.write(changes=2, vms=2)

    def stamp(self, guest, *options, status=DONE):
        return self.ends(['stamp', *options, '-o', 'out.dat', 'host.dat', guest], status)

    def out(self):
        return (self.directory / 'out.dat').read_bytes()

    def test_copies(self):
        """Copies of any guest, with any option, also of version 6"""
        self.write('six', changes=2, vms=2, options={'version': 6, 'page_size': 4096})
        shutil.copy(self.directory / 'six/g1.dat', self.directory / 'six.dat')
        results = {}
        for guest, *options in ['g1.dat'], ['g2.dat'], ['g1.dat', '--rewrite'], ['six.dat', '--rewrite'], ['six.dat']:
            self.stamp(guest, *options)
            results[guest, *options] = self.out()
        self.assertEqual(len(set(results.values())), len(results))
        for one in results:
            for other in results:
                with self.subTest([one, other]):
                    self.stamp(*one)
                    self.stamp(*other)
                    # trace-cmd's conversion depends on the time of day
                    if other != ('six.dat',):
                        self.assertEqual(self.out(), results[other])
                    self.ends(['check', 'host.dat', 'out.dat'], DONE, 'fits')

    def test_copies_of_copies(self):
        self.stamp('g1.dat')
        shutil.copy(self.directory / 'out.dat', self.directory / 'copy.dat')
        self.ends(['stamp', '-o', 'next.dat', 'host.dat', 'copy.dat'], DONE)
        self.ends(['stamp', '-o', 'next.dat', 'host.dat', 'copy.dat'], DONE)
        # A copy is not replaced while it is an input
        self.refuses(['stamp', '-o', 'copy.dat', 'host.dat', 'copy.dat'], 'copy.dat: is the guest\'s recording')

    def test_failure_keeps_the_old_one(self):
        self.stamp('g1.dat')
        before = self.contents()
        (self.directory / 'bad.dat').write_bytes((self.directory / 'g2.dat').read_bytes()[:1000])
        self.stamp('bad.dat', status=FAILED)
        self.stamp('g2.dat', '-n')
        (self.directory / 'bad.dat').unlink()
        self.assertEqual(self.contents(), before)

    def test_what_lost_its_mark(self):
        """The mark decides, wherever it is in the file; a damaged file does not count as a copy"""
        self.stamp('g1.dat')
        copy = self.out()
        self.assertEqual(copy.count(b'tsc-offset copy 1\n\0'), 1)
        for other in copy.replace(b'tsc-offset copy 1', b'tsc-offset copy 7'), copy[:len(copy) // 2]:
            (self.directory / 'out.dat').write_bytes(other)
            self.refuses(['stamp', '-o', 'out.dat', 'host.dat', 'g1.dat'], 'out.dat: is a recording and is not replaced')
        (self.directory / 'out.dat').write_bytes(copy)
        self.stamp('g1.dat')

    def test_readers(self):
        """Readers show the recorder's version, as for the original"""
        self.stamp('g1.dat')
        shown = [subprocess.run(['trace-cmd', 'dump', '--options', '-i', name], cwd=self.directory, text=True,
                                capture_output=True, check=True).stdout for name in ('g1.dat', 'out.dat')]
        self.assertEqual(*(re.findall(r'VERSION.*\n.*', text)[-1] for text in shown))


class TestFirstValues(Base):
    """--initial-from does not wait for a writer that may never come"""
    def setUp(self):
        super().setUp()
        scenario = self.write(changes=0)
        self.write('later', changes=1)
        self.snapshot = self.run_tool('show', '--json', 'later/host.dat').stdout
        self.assertIn(f'"vcpu_id": {scenario.vms[0].vcpus[0].vcpu_id}', self.snapshot)
        self.arguments = ['stamp', '--initial-from', 'fifo', 'host.dat', 'g1.dat']

    @staticmethod
    def has_opened(process, path):
        for link in Path(f'/proc/{process.pid}/fd').iterdir():
            try:
                if os.readlink(link) == str(path):
                    return True
            except FileNotFoundError:
                # The process has closed it meanwhile
                pass
        return False

    def test_no_writer(self):
        os.mkfifo(self.directory / 'fifo')
        self.refuses(self.arguments, 'fifo: it is empty')

    def test_writer(self):
        """The shell turns <(command) into such a pipe, on which the text arrives late"""
        os.mkfifo(self.directory / 'fifo')
        reader = os.open(self.directory / 'fifo', os.O_RDONLY | os.O_NONBLOCK)
        with open(self.directory / 'fifo', 'w') as writer:
            os.close(reader)
            with subprocess.Popen([TOOL, *self.arguments], cwd=self.directory, stderr=subprocess.PIPE,
                                  text=True) as process:
                # The command does not wait for more, even after a failure
                try:
                    deadline = time.monotonic() + 30
                    while not self.has_opened(process, self.directory / 'fifo'):
                        self.assertLess(time.monotonic(), deadline)
                        time.sleep(0.01)
                    writer.write(self.snapshot)
                finally:
                    writer.close()
                said = process.communicate(timeout=30)[1]
        (self.directory / 'file').write_text(self.snapshot)
        wanted = self.run_tool(*('file' if word == 'fifo' else word for word in self.arguments))
        self.assertIn('vCPU 0: file is from after the host', wanted.stderr)
        self.assertEqual((process.returncode, said.replace('fifo', 'file')), (wanted.returncode, wanted.stderr))

    def test_others(self):
        (self.directory / 'fifo').mkdir()
        self.refuses(self.arguments, 'fifo: this is neither a file nor a pipe')
        (self.directory / 'fifo').rmdir()
        (self.directory / 'fifo').symlink_to('/dev/zero')
        self.refuses(self.arguments, 'fifo: this is neither a file nor a pipe')


class TestLostReport(Base):
    """If the output is written but the report cannot be, stamp does not report failure"""
    def setUp(self):
        super().setUp()
        self.write(changes=2)

    def lost(self, *arguments):
        with open('/dev/full', 'wb') as full:
            return subprocess.run([TOOL, 'stamp', *arguments, 'host.dat', 'g1.dat'], cwd=self.directory, stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False, timeout=60)

    def test_written(self):
        before = (self.directory / 'g1.dat').read_bytes()
        for arguments, path in (['-o', 'out.dat'], 'out.dat'), ([], 'g1.synced.dat'), (['-i'], 'g1.dat'):
            done = self.lost(*arguments)
            self.assertEqual((done.returncode, done.stderr), (
                INCOMPLETE, f'tsc-offset: {path}: written, but the report on it failed: '
                'No space left on device\n'))
            self.assertGreater((self.directory / path).stat().st_size, len(before))

    def test_not_written(self):
        before = self.contents()
        done = self.lost('-n')
        self.assertEqual((done.returncode, done.stderr), (
            FAILED, 'tsc-offset: cannot write to standard output: No space left on device\n'))
        self.assertTrue(self.contents() == before)
        self.assertEqual(self.lost('-o', 'none/out.dat').returncode, FAILED)


class TestStrangers(Base):
    """stamp does not merge files that do not belong together"""
    def initial(self, scenario):
        return ','.join(f'{vcpu.vcpu_id}={vcpu.initial}' for vcpu in scenario.vms[0].vcpus)

    def test_another_recording(self):
        words = 'host.dat says that VM 2010 is another recording\'s guest'
        mine = ['--initial', self.initial(self.write(changes=0))]
        others = ['--initial', self.initial(self.write('other', changes=0, seed=2))]
        self.write('unlinked', changes=0, linked=False)
        done = self.ends(['stamp', *others, 'host.dat', 'other/g1.dat'], INCOMPLETE, f'other/g1.dat: {words}')
        self.assertTrue(done.stdout.endswith('; a part is in doubt\n'), done.stdout)
        self.ends(['stamp', *others, '--vm', '2010,2011', 'host.dat', 'other/g1.dat'], INCOMPLETE,
                  'another recording\'s guest')
        self.assertNotIn('another', self.ends(['stamp', *mine, 'host.dat', 'g1.dat'], DONE).stderr)
        # If the host's file does not name the guest, the events decide
        for initial, guest, status in (mine, 'g1.dat', DONE), (others, 'other/g1.dat', INCOMPLETE):
            done = self.ends(['stamp', *initial, 'unlinked/host.dat', guest], status)
            self.assertNotIn('another recording', done.stderr)
        # A link that stamp added counts like one of trace-cmd
        self.ends(['stamp', *others, '--link', 'host.dat', 'other/g1.dat'], INCOMPLETE)
        for initial, guest, status in (mine, 'g1.dat', DONE), (others, 'other/g1.dat', INCOMPLETE):
            done = self.ends(['stamp', *initial, 'host.linked.dat', guest], status)
            self.assertNotIn('another recording', done.stderr)

    def test_same_file(self):
        self.write(changes=2)
        os.symlink('host.dat', self.directory / 'link.dat')
        os.link(self.directory / 'host.dat', self.directory / 'hard.dat')
        for second in 'host.dat', './host.dat', 'link.dat', 'hard.dat':
            words = f'host.dat and {second} are the same file; HOST.dat and GUEST.dat have to differ'
            self.refuses(['stamp', 'host.dat', second], words)
            self.ends(['check', 'host.dat', second], FAILED, words)
            self.refuses(['export', '--perfetto', 'out', 'host.dat', second], words)
            self.ends(['explain', 'host.dat', second], FAILED, words)
            self.refuses(['show', '--estimate', second, 'host.dat'], words)
        shutil.copy(self.directory / 'host.dat', self.directory / 'copy.dat')
        self.assertNotIn('same file', self.run_tool('stamp', 'host.dat', 'copy.dat').stderr)

    def test_another_vm(self):
        initial = ['--initial', self.initial(self.write(changes=0, vms=2))]
        self.ends(['stamp', *initial, '--vm', '2110', 'host.dat', 'g1.dat'], INCOMPLETE, 'that VM 2110 is another')
        self.assertNotIn('another', self.ends(['stamp', *initial, '--vm', '2010', 'host.dat', 'g1.dat'], DONE).stderr)

    @needs('trace-cmd')
    def test_other_times(self):
        words = 'none of its events is within the time of host.dat: were both recorded at the same time, or is'
        for options in {}, dict(version=6), dict(compression='zstd'), dict(page_size=8192):
            for host, guest in ((0, 3), (5, 8)), ((5, 8), (0, 3)):
                parameters = dict(changes=0, segments=8, host_segments=host, guest_segments=guest)
                stats, now = trace_dat_writer.stats_option, Scenario(**parameters).events('g1')[-1].time
                # The kernel always records the time of its counts
                with mock.patch.object(trace_dat_writer, 'stats_option', lambda *arguments: stats(
                        *arguments).replace(b'now ts: 0', b'now ts: %d' % now)):
                    scenario = self.write(options=options, **parameters)
                self.ends(['stamp', '--initial', self.initial(scenario), 'host.dat', 'g1.dat'], FAILED,
                          f'g1.dat: {words}')
                self.assertFalse((self.directory / 'g1.synced.dat').exists())

    @needs('trace-cmd')
    def test_other_times_control(self):
        """Files can overlap at either end, also with a scaled TSC, and with any kind of pages"""
        for options in {}, dict(version=6), dict(compression='zstd'), dict(page_size=8192):
            for host, guest in ((0, 5), (4, 8)), ((4, 8), (0, 5)), ((0, 8), (3, 5)), ((3, 5), (0, 8)):
                scenario = self.write(options=options, changes=0, segments=8, host_segments=host, guest_segments=guest)
                self.ends(['stamp', '--initial', self.initial(scenario), 'host.dat', 'g1.dat'], DONE)
        self.write(changes=3, segments=8, patched=True, ratio=1.25, guest_segments=(7, 8))
        self.ends(['stamp', 'host.dat', 'g1.dat'], DONE)

    def test_only_changes(self):
        """A host's file that has only changes does not show when it was recorded"""
        parameters = dict(changes=2, segments=12, host_segments=(0, 10), guest_segments=(11, 12))
        self.write(**parameters)
        self.ends(['stamp', 'host.dat', 'g1.dat'], FAILED, 'none of its events')
        items = Scenario._host_items
        with mock.patch.object(Scenario, '_host_items', lambda *arguments: (
                item for item in items(*arguments) if item[1] == 'kvm_write_tsc_offset')):
            self.write(**parameters)
        self.ends(['stamp', 'host.dat', 'g1.dat'], DONE)


class TestWords(Base):
    """Errors are reported with the name of the file"""
    def setUp(self):
        super().setUp()
        self.write(changes=2)

    def test_truncated(self):
        content = (self.directory / 'host.dat').read_bytes()
        for size in 12, 5000, len(content) // 2, len(content) - 1:
            (self.directory / 'cut.dat').write_bytes(content[:size])
            for verb in ['show'], ['check', 'host.dat']:
                self.refuses([*verb, 'cut.dat'], 'cut.dat: at offset 0x', 'truncated, or trace-cmd did not finish it')
        self.write('six', dict(version=6), changes=2)
        content = (self.directory / 'six/host.dat').read_bytes()
        (self.directory / 'cut.dat').write_bytes(content[:-1])
        self.refuses(['show', 'cut.dat'], 'truncated, or trace-cmd did not finish it')
        self.ends(['show', 'six/host.dat'], DONE)

    def test_no_snapshot(self):
        self.refuses(['stamp', '--initial-from', 'host.dat', 'host.dat', 'g1.dat'],
                     "host.dat: not JSON; use the output of 'tsc-offset show --json'")

    def test_order(self):
        for verb in 'stamp', 'check':
            self.refuses([verb, 'g1.dat', 'host.dat'], 'g1.dat: ', 'record the host with -', '-e kvm, or is this the '
                         'guest\'s file? HOST.dat comes first')
        self.ends(['export', '--perfetto', 'out', 'g1.dat', 'host.dat'], FAILED, 'HOST.dat comes first')

    def misuses(self, arguments, words):
        before = self.contents()
        done = self.ends(arguments, USAGE, f"tsc-offset: {words}; see 'tsc-offset {arguments[0]} -h'\n")
        self.assertEqual(done.stderr.count('\n'), 1)
        self.assertTrue(self.contents() == before)

    def test_no_picture(self):
        self.misuses(['show', '--svg', 'host.dat'],
                     '--svg requires a file name before HOST.dat, \'host.dat\' is a recording')
        self.ends(['show', '--svg', 'new.svg', 'host.dat'], DONE)

    def test_without_effect(self):
        words = '--max-error requires --estimate'
        self.misuses(['show', '--max-error', '1ms', 'host.dat'], words)
        self.ends(['stamp', '--estimate', '--max-error', '1s', 'host.dat', 'g1.dat'], DONE)

    def test_initial_of_nothing(self):
        self.refuses(['stamp', '--initial', '0=5,7=5', 'host.dat', 'g1.dat'],
                     '--initial: there is no vCPU 7 in VM 2010')
        scenario = self.write(changes=0, vcpus=3, vcpu_ids=[0, 2, 5])
        every = ','.join(f'{vcpu.vcpu_id}={vcpu.initial}' for vcpu in scenario.vms[0].vcpus)
        self.ends(['stamp', '--initial', every, 'host.dat', 'g1.dat'], DONE)
        self.refuses(['stamp', '--initial', every + ',3=1', 'host.dat', 'g1.dat'], 'there is no vCPU 3 in VM 2010')

    def test_no_value(self):
        for verb, option in ('stamp', '--vm'), ('check', '--vm'), ('show', '--vm'), ('export', '--vm'), ('explain', '--task'), \
                ('instance', '--buffer-size'):
            self.misuses([verb, option], f'option \'{option}\' requires a value')

    def test_no_buffer(self):
        self.refuses(['stamp', '--buffer', 'x', 'host.dat', 'g1.dat'],
                     'g1.dat: no buffer "x" in it; there is only the top buffer')
        self.write(changes=2, guest_instances={'calls': ['sys_enter'], 'more': ['sys_exit']})
        self.refuses(['stamp', '--buffer', 'x', 'host.dat', 'g1.dat'], 'there are the top buffer, "calls", "more"')


class TestNames(Base):
    """Control characters are never shown, whatever the source of a name"""
    # Sets a title; would set colours; not UTF-8; begins a new line
    EVIL = b'\x1b]0;title\x07\x9b31m\xc2\x9b1m\xff\r\n\x7f'

    def setUp(self):
        super().setUp()
        self.write(changes=2, vms=2, vcpus=1, linked=False)
        for name in 'host', 'g1', 'g2':
            os.rename(self.directory / f'{name}.dat', os.fsencode(self.directory) + b'/' + self.evil(name))

    def evil(self, name):
        return name.encode() + self.EVIL + b'.dat'

    def shows(self, status, *arguments, tabs=False, **kwargs):
        done = subprocess.run([TOOL, *arguments], cwd=self.directory, capture_output=True, check=False, timeout=60,
                              **kwargs)
        self.assertEqual(done.returncode, status, (arguments, done.stderr))
        for text in done.stdout, done.stderr:
            text.decode()
            for line in text.split(b'\n'):
                self.assertRegex(line.replace(b'\t', b'') if tabs else line, b'^[^\x00-\x1f\x7f]*$')
            self.assertNotIn('\x9b', text.decode())
        return done.stdout + done.stderr

    def test_files(self):
        host, guest, other = map(self.evil, ('host', 'g1', 'g2'))
        vm = ['--vm', '2010']
        for arguments in ['show'], ['show', *vm]:
            self.assertIn(b'host?]0;title', self.shows(DONE, *arguments, host))
        for arguments in ['--json'], ['--svg', self.evil('svg')]:
            self.shows(DONE, 'show', *arguments, host)
        self.shows(DONE, 'show', '--tsv', host, tabs=True)
        for arguments in ['-n'], ['-o', self.evil('out')], ['--link'], ['-i']:
            self.assertIn(b'?]0;title', self.shows(DONE, 'stamp', *vm, *arguments, host, guest))
        for arguments in [], ['--json']:
            self.assertIn(b'g1?]0;title' if not arguments else b'g1\\u001b',
                          self.shows(DONE, 'check', *vm, *arguments, host, guest))
        self.shows(INCOMPLETE, 'check', *vm, host, other)
        self.shows(DONE, 'export', *vm, '--perfetto', self.evil('pf'), host, guest)
        for arguments in [], ['--json']:
            # Status 3: this host recorded no sched_waking
            self.shows(INCOMPLETE, 'explain', *vm, '--worst', '3', *arguments, host, guest)
        for arguments in ['show', self.evil('no')], ['check', host, self.evil('no')], ['stamp', host, host], \
                ['show', '--vm', self.EVIL, host], ['stamp', '-i', guest, host]:
            self.assertIn(b'?]0;title', self.shows(FAILED, *arguments))

    def test_words(self):
        evil = self.EVIL
        for arguments in [evil], [b'--' + evil], ['stamp', evil], ['show', b'--' + evil], ['instance', evil], \
                ['check', '--max-violations', evil], ['stamp', '--initial', evil]:
            self.shows(USAGE, *arguments)
        self.assertIn(b'?]0;title', self.shows(FAILED, 'record', env={b'TRACE_CMD': b'/' + evil}))


@needs('trace-cmd')
class TestConverting(Base):
    """Conversion of a file of version 6: which trace-cmd is used, and which of its messages are shown"""
    def setUp(self):
        super().setUp()
        self.write(options=dict(version=6), changes=2)

    def stamp(self, status, *words, script=None, program='./program'):
        if script:
            (self.directory / 'program').write_text(f'#!/bin/sh\n{script}\n')
            (self.directory / 'program').chmod(0o755)
        done = self.ends(['stamp', 'host.dat', 'g1.dat'], status, *words,
                         env={**os.environ, 'TRACE_CMD': program})
        self.assertEqual(self.copies(), 0)
        return done.stderr

    def copies(self):
        return sum('.v7.' in path.name for path in self.directory.iterdir())

    def appears(self, name):
        deadline = time.monotonic() + 30
        while not (self.directory / name).exists():
            self.assertLess(time.monotonic(), deadline, name)
            time.sleep(0.01)

    def test_silent(self):
        control = subprocess.run(['trace-cmd', 'convert', '--file-version', '7', '-i', 'g1.dat', '-o', 'x.dat'],
                                 cwd=self.directory, check=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.assertNotEqual(control.stderr, b'', 'control: it prints something')
        self.assertEqual(self.stamp(DONE, program=''), '')

    def test_which(self):
        self.assertEqual(self.stamp(DONE, script='echo "$1" > ran; exec trace-cmd "$@"'), '')
        self.assertEqual((self.directory / 'ran').read_text(), 'convert\n')

    def test_failed(self):
        said = self.stamp(FAILED, 'tsc-offset: trace-cmd convert: one\ntsc-offset: trace-cmd convert: t?wo\n',
                          'g1.dat: trace-cmd convert failed',
                          script='echo no; echo one >&2; printf "t\\033wo\n" >&2; exit 1')
        self.assertEqual(said.count('\n'), 3)
        self.stamp(FAILED, 'trace-cmd convert failed', script='yes >&2 & sleep 1; kill $!; exit 1')
        self.stamp(FAILED, 'trace-cmd convert: /nonexistent/tc: No such file', program='/nonexistent/tc')

    def test_interrupted(self):
        """A command that a signal ends while trace-cmd works leaves no copy, although trace-cmd continues"""
        program = self.directory / 'program'
        # setpriv: trace-cmd gets no signal when its parent ends
        program.write_text('#!/bin/sh\necho > begun\nwhile [ ! -e go ]; do sleep 0.05; done\n'
                           'trace-cmd "$@" 2> errors\necho $? > status\nmv status done\n')
        program.chmod(0o755)
        (self.directory / 'outliving').write_text('#!/bin/sh\nexec setpriv --pdeathsig clear ./program "$@"\n')
        (self.directory / 'outliving').chmod(0o755)
        with subprocess.Popen([TOOL, 'stamp', 'host.dat', 'g1.dat'], cwd=self.directory,
                              env={**os.environ, 'TRACE_CMD': './outliving'}) as process:
            self.appears('begun')
            self.assertEqual(self.copies(), 1)
            process.terminate()
            self.assertEqual(process.wait(), -signal.SIGTERM)
        (self.directory / 'go').touch()
        self.appears('done')
        self.assertEqual((self.directory / 'done').read_text(), '0\n')
        self.assertEqual(self.copies(), 0)


if __name__ == '__main__':
    main()
