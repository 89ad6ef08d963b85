#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Without operands verbs use trace.dat in the current directory, or else host.dat, and the files of its guests, and no
others"""
import os
import re
import shutil
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main
from scenario import Scenario

HOST, NO_GUEST = 'trace.dat', 'missing GUEST.dat, and there is no trace-*.dat of a guest of trace.dat'
BOTH = 'using trace.dat, trace-g1.dat and trace-g2.dat'
EXPORT = 'export', '--perfetto', 'out'


class Base(Case):
    def write(self, directory='.', identified=True, **parameters):
        """Write files with the names that trace-cmd gives them, and with their TRACEIDs if @identified"""
        where = self.directory / directory
        where.mkdir(exist_ok=True)
        scenario = Scenario(**{'vms': 2, 'changes': 1, **parameters})
        if not identified:
            scenario.host_trace_id = 0
            for vm in scenario.vms:
                vm.trace_id = 0
        scenario.write(where)
        (where / 'host.dat').rename(where / HOST)
        for vm in scenario.vms:
            (where / f'{vm.name}.dat').rename(where / f'trace-{vm.name}.dat')
        return scenario

    def uses(self, done, line):
        """The first line is exactly this one. Returns the rest."""
        first, _, rest = done.stderr.partition('\n')
        self.assertEqual(first, f'tsc-offset: {line}')
        return rest

    def stamp(self, *names):
        for name in names:
            self.says(self.run_tool('stamp', HOST, f'trace-{name}.dat'), DONE)


class TestVerbs(Base):
    def test_same_as_named(self):
        """Verbs print and write the same as with the files named"""
        self.write()
        self.stamp('g1', 'g2')
        files = [HOST, 'trace-g1.synced.dat', 'trace-g2.synced.dat']
        for arguments in ['check'], ['check', '--json'], ['explain'], ['explain', '--json', '--worst', '3'], EXPORT:
            with self.subTest(arguments):
                named = self.run_tool(*arguments, *files)
                written = (self.directory / 'out').read_bytes() if arguments is EXPORT else b''
                found = self.run_tool(*arguments)
                self.assertEqual((found.returncode, found.stdout), (named.returncode, named.stdout))
                self.assertEqual(self.uses(found, 'using trace.dat, trace-g1.synced.dat and trace-g2.synced.dat'),
                                 named.stderr)
                if arguments is EXPORT:
                    self.assertTrue(written)
                    self.assertEqual((self.directory / 'out').read_bytes(), written)
        # Control: other files give another result
        self.assertNotEqual(self.run_tool('check').stdout, self.run_tool('check', *files[:2]).stdout)

    def test_named_files_alone(self):
        """If any file is named, no others are searched"""
        self.write()
        done = self.says(self.run_tool('check', HOST, 'trace-g1.dat'), INCOMPLETE, 'trace-g1.dat')
        self.assertNotIn('g2', done.stdout)
        self.assertNotIn('using', done.stderr)
        self.one_line(self.run_tool('check', HOST), USAGE, 'missing GUEST.dat;')

    def test_too_few(self):
        for arguments in ['check'], ['explain'], EXPORT:
            self.one_line(self.run_tool(*arguments), USAGE, 'missing HOST.dat, and there is no trace.dat or host.dat in this directory')
        self.write()
        for name in 'g1', 'g2':
            (self.directory / f'trace-{name}.dat').unlink()
        for arguments in ['check'], EXPORT:
            self.one_line(self.run_tool(*arguments), USAGE, NO_GUEST)
        # explain needs no guest
        self.uses(self.says(self.run_tool('explain'), INCOMPLETE), 'using trace.dat')

    def test_options_of_one_guest(self):
        self.write()
        self.one_line(self.run_tool('check', '--vm', '2010'), USAGE, '--vm requires a single GUEST.dat')
        (self.directory / 'trace-g2.dat').unlink()
        self.uses(self.run_tool('check', '--vm', '2010'), 'using trace.dat and trace-g1.dat')

    def test_wrong_option_first(self):
        """With a wrong command line no files are searched"""
        self.write()
        self.one_line(self.run_tool('export'), USAGE, 'missing --perfetto OUT')
        self.one_line(self.run_tool('check', '--nonsense'), USAGE, '--nonsense')

    def test_show_and_stamp(self):
        """These verbs need operands: without them show reports this machine, and stamp writes files"""
        self.write()
        done = self.run_tool('show')
        self.assertNotIn('2010', done.stdout)
        # Unless a VM runs here and can be read
        if done.returncode == FAILED or 'no VM runs' in done.stderr:
            self.assertIn('for the recording in this directory: tsc-offset show trace.dat', done.stderr)
            (self.directory / HOST).unlink()
            self.assertNotIn('in this directory', self.run_tool('show').stderr)
        self.one_line(self.run_tool('stamp'), USAGE, 'missing HOST.dat;')


class TestChoice(Base):
    def test_other_recordings(self):
        """trace-cmd's option GUEST decides, by the recording's trace id and not by the file's name"""
        self.write()
        self.write('other', seed=2, vms=1)
        shutil.copy(self.path('other', 'trace-g1.dat'), self.path('trace-other.dat'))
        self.uses(self.run_tool('check'), BOTH + '; left out: trace-other.dat (not a guest of trace.dat)')
        os.replace(self.path('trace-other.dat'), self.path('trace-g1.dat'))
        self.uses(self.run_tool('check'),
                  'using trace.dat and trace-g2.dat; left out: trace-g1.dat (not a guest of trace.dat)')
        (self.directory / 'trace-g2.dat').unlink()
        self.one_line(self.run_tool('check'), USAGE, NO_GUEST + '; left out: trace-g1.dat (not a guest of trace.dat)')

    def test_without_guest_options(self):
        """Without an agent the host's file names no guest: any file can be a
        guest of it, but not a copy of the host's file"""
        self.write(linked=False)
        shutil.copy(self.path(HOST), self.path('trace-copy.dat'))
        self.uses(self.run_tool('check'), BOTH + '; left out: trace-copy.dat (not a guest of trace.dat)')

    def test_without_trace_ids(self):
        """trace-cmd record -B writes none into a host's file: equal ones do not mean the same file then"""
        self.write(identified=False)
        self.uses(self.run_tool('check'), BOTH)

    def test_copies(self):
        self.write()
        self.stamp('g2')
        self.uses(self.run_tool('check'), 'using trace.dat, trace-g1.dat and trace-g2.synced.dat')
        # Also without the original file
        (self.directory / 'trace-g2.dat').unlink()
        self.uses(self.run_tool('check'), 'using trace.dat, trace-g1.dat and trace-g2.synced.dat')

    def test_old_copies(self):
        """A new recording next to the copies of an old one"""
        for linked, reason in (False, 'a copy of another recording'), (True, 'not a guest of trace.dat'):
            self.write(linked=linked)
            self.stamp('g1')
            self.write(linked=linked, seed=7)
            self.uses(self.run_tool('check'), f'{BOTH}; left out: trace-g1.synced.dat ({reason})')
            (self.directory / 'trace-g1.synced.dat').unlink()

    def test_what_is_no_recording(self):
        self.write()
        os.mkfifo(self.path('trace-fifo.dat'))
        (self.directory / 'trace-directory.dat').mkdir()
        (self.directory / 'trace-text.dat').write_text('some numbers\n')
        (self.directory / 'trace-empty.dat').touch()
        os.symlink('nothing', self.path('trace-gone.dat'))
        self.uses(self.run_tool('check'), BOTH)

    def test_damaged(self):
        """An unreadable guest's file is reported"""
        self.write()
        os.truncate(self.path('trace-g2.dat'), 100)
        done = self.says(self.run_tool('check'), FAILED, 'trace-g2.dat: at offset')
        self.uses(done, BOTH)
        os.truncate(self.path(HOST), 100)
        self.one_line(self.run_tool('check'), FAILED, 'trace.dat: at offset')

    def test_no_trace_dat(self):
        """A directory or a FIFO with this name is not a recording"""
        (self.directory / HOST).mkdir()
        self.one_line(self.run_tool('check'), USAGE, 'there is no trace.dat')
        (self.directory / HOST).rmdir()
        os.mkfifo(self.path(HOST))
        self.one_line(self.run_tool('check'), USAGE, 'there is no trace.dat')

    def test_names_with_control_characters(self):
        self.write()
        os.rename(self.path('trace-g2.dat'), self.path('trace-\x1b[2J.dat'))
        self.assertNotIn('\x1b', self.says(self.run_tool('check'), INCOMPLETE, 'trace-?[2J.dat').stderr)


class TestSeparateFiles(Base):
    """host.dat, guest.dat and guest-*.dat"""
    def write(self, directory='.', **parameters):
        where = self.directory / directory
        scenario = Scenario(**{'vms': 2, 'changes': 1, 'linked': False, **parameters})
        where.mkdir(exist_ok=True)
        scenario.write(where)
        (where / 'g1.dat').rename(where / 'guest.dat')
        if len(scenario.vms) > 1:
            (where / 'g2.dat').rename(where / 'guest-two.dat')
        return scenario

    def test_used(self):
        self.write()
        for arguments in ['check'], ['explain'], EXPORT:
            self.uses(self.run_tool(*arguments), 'using host.dat, guest.dat and guest-two.dat')
        self.says(self.run_tool('stamp', 'host.dat', 'guest.dat', 'guest-two.dat'), DONE)
        files = ['host.dat', 'guest-two.synced.dat', 'guest.synced.dat']
        found, named = self.run_tool('check'), self.run_tool('check', *files)
        self.assertEqual((found.returncode, found.stdout), (DONE, named.stdout))
        self.uses(found, 'using host.dat, guest-two.synced.dat and guest.synced.dat')

    def test_trace_dat_first(self):
        """If trace.dat is there, neither host.dat nor its guests are used"""
        self.write(seed=3)
        Base.write(self)
        self.write(seed=3)
        self.uses(self.run_tool('check'), BOTH)
        # A damaged one as well
        os.truncate(self.path(HOST), 100)
        self.one_line(self.run_tool('check'), FAILED, 'trace.dat: at offset')
        os.unlink(self.path(HOST))
        self.uses(self.run_tool('check'), 'using host.dat, guest.dat and guest-two.dat')

    def test_guests_of_one_naming(self):
        """Names of guests' files from the other kind of recording do not count"""
        self.write(vms=1)
        os.rename(self.path('guest.dat'), self.path('trace-g1.dat'))
        self.one_line(self.run_tool('check'), USAGE,
                      'missing GUEST.dat, and there is no guest.dat or guest-*.dat of a guest of host.dat')
        for name in 'guests.dat', 'guest1.dat', 'myguest.dat', 'guest.synced.dat.old':
            shutil.copy(self.path('trace-g1.dat'), self.path(name))
            self.one_line(self.run_tool('check'), USAGE, 'missing GUEST.dat')

    def test_left_out(self):
        """The host's file decides if it names its guests"""
        self.write('other', seed=2)
        self.write(linked=True)
        shutil.copy(self.path('other', 'guest.dat'), self.path('guest-x.dat'))
        self.uses(self.run_tool('check'),
                  'using host.dat, guest.dat and guest-two.dat; left out: guest-x.dat (not a guest of host.dat)')

    def test_show(self):
        self.write()
        done = self.run_tool('show')
        # Unless a VM runs here and can be read
        if done.returncode == FAILED or 'no VM runs' in done.stderr:
            self.assertIn('for the recording in this directory: tsc-offset show host.dat', done.stderr)


class TestOtherDirectories(Base):
    def test_names_in_the_file(self):
        """The name in an option GUEST is not used as a path"""
        self.write('in', vms=1)
        inside, outside = self.path('in', 'trace-g1.dat'), self.path('outside.dat')
        (self.directory / 'in/trace-x').mkdir()
        os.rename(inside, outside)
        for name in 'x/../../outside', '/../outside', '..', outside[:-len('.dat')]:
            hostile = Scenario(changes=1)
            hostile.vms[0].name = name
            hostile.write(self.directory / 'in', only=[])
            os.rename(self.path('in', 'host.dat'), self.path('in', HOST))
            self.one_line(self.run_tool('check', cwd=self.directory / 'in'), USAGE, NO_GUEST)
            # Control: the file belongs to this guest
            shutil.copy(outside, self.path('in', 'trace-any.dat'))
            self.uses(self.run_tool('check', cwd=self.directory / 'in'), 'using trace.dat and trace-any.dat')
            os.unlink(self.path('in', 'trace-any.dat'))


class TestNextSteps(Base):
    """tsc-offset without arguments"""
    def steps(self, *arguments, **kwargs):
        done = self.run_tool(*arguments, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (USAGE, ''))
        self.assertIn('\n  check      ', done.stdout)
        return done.stdout.partition('man tsc-offset-tutorial\n')[2]

    def commands(self):
        """The commands that it prints for the files in the directory; all of them work"""
        found = re.findall(r'^  .*?:  +(tsc-offset .*|trace-cmd .*)$', self.steps(), re.M)
        bin_directory = self.directory / 'bin'
        bin_directory.mkdir(exist_ok=True)
        if not (bin_directory / 'tsc-offset').exists():
            (bin_directory / 'tsc-offset').symlink_to(TOOL)
        for command in found:
            with self.subTest(command):
                done = subprocess.run(command, shell=True, cwd=self.directory, capture_output=True, check=False,
                                      env=os.environ | {'PATH': f'{bin_directory}:{os.environ["PATH"]}'})
                self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
        return found

    def test_nothing(self):
        for arguments in [], ['--']:
            self.assertIn('No recordings in this directory', self.steps(*arguments))

    def test_trace_dat(self):
        self.write()
        commands = self.commands()
        self.assertIn('tsc-offset stamp trace.dat trace-g1.dat trace-g2.dat', commands)
        self.assertFalse(any('report' in command for command in commands))
        # The printed commands have stamped the guests
        commands = self.commands()
        self.assertIn('trace-cmd report -i trace.dat -i trace-g1.synced.dat -i trace-g2.synced.dat', commands)
        self.assertFalse(any('stamp' in command for command in commands))
        self.assertIn('tsc-offset check', commands)
        for name in 'g1', 'g2':
            (self.directory / f'trace-{name}.dat').unlink()
            (self.directory / f'trace-{name}.synced.dat').unlink()
        self.assertNotIn('tsc-offset check', self.commands())

    def test_names_for_the_shell(self):
        """The shell reads a printed name as a single word"""
        name = "trace-it's $(touch evil) a\u00fc;b.dat"
        self.write()
        os.rename(self.path('trace-g1.dat'), self.path(name))
        self.assertTrue(any('stamp' in command and 'evil' in command for command in self.commands()))
        self.assertTrue((self.directory / name.replace('.dat', '.synced.dat')).exists())
        self.assertFalse((self.directory / 'evil').exists())

    def test_separate_files(self):
        Scenario(changes=1).write(self.directory)
        os.rename(self.path('g1.dat'), self.path('guest.dat'))
        self.assertIn('tsc-offset stamp host.dat guest.dat', self.commands())
        commands = self.commands()
        self.assertIn('trace-cmd report -i host.dat -i guest.synced.dat', commands)
        self.assertIn('tsc-offset show host.dat', commands)

    def test_other_names(self):
        Scenario(changes=1).write(self.directory)
        os.rename(self.path('host.dat'), self.path('h.dat'))
        self.assertIn('\nRecordings in this directory: g1.dat, h.dat\n', self.steps())
        for number in range(9):
            shutil.copy(self.path('g1.dat'), self.path(f'a{number}.dat'))
        self.assertIn(': a0.dat, a1.dat, a2.dat, a3.dat, a4.dat, a5.dat, ...\n', self.steps())
        # A damaged trace.dat is reported, not skipped
        (self.directory / HOST).write_bytes((self.directory / 'h.dat').read_bytes()[:100])
        self.says(self.run_tool(), USAGE, 'trace.dat: at offset')


if __name__ == '__main__':
    main('trace-cmd')
