#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""record with guests.

A script replaces trace-cmd and creates recordings with known truth; ../lab uses the real one.
"""
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import termios
import time

sys.path.append(sys.path[0] + '/../lib')
import trace_dat_writer as dat
from case import DONE, NOBODY, TOOL, main, skip
from kvm_tracing import EVENT, TRACING
from record_case import ALL_FIT, DEADLINE, OF_THE_MACHINE, REMOVED, SCRIPT, TAKE, RecordCase
from scenario import Scenario

PREFIX = f'{TRACING}/instances/tsc_offset.record-'
# Like a shell: the command is a job in the foreground of the terminal, and SIGUSR1 is its "fg" command
SHELL = '''
import os, signal, subprocess, sys

def front():
    os.setpgrp()
    os.tcsetpgrp(0, os.getpid())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)

blocked = {signal.SIGUSR1, signal.SIGTTOU}
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
job = subprocess.Popen(sys.argv[1:], preexec_fn=front)
_, status = os.waitpid(job.pid, os.WUNTRACED)
open("stopped", "w").close()
signal.sigwait({signal.SIGUSR1})
os.killpg(job.pid, signal.SIGCONT)
print(os.WSTOPSIG(status), job.wait())
'''


class TestRecord(RecordCase):
    def test_right(self):
        self.make(changes=2)
        done = self.record('-A', 'g1', '-e', 'kvm')
        self.assertEqual((done.returncode, done.stdout), (DONE, ''))
        line, = self.said(done)
        self.assertRegex(line, r'^trace-g1.dat: VM 2010, 2 vCPUs, 4 changes; ' + ALL_FIT)
        self.fits()
        # The control: with trace-cmd's own samples events do not fit
        shutil.copy(self.path('made', 'g1.dat'), self.path('out', 'stock.dat'))
        self.fits('stock.dat', expected=False)

    def test_messages_of_a_run(self):
        """At most one message about the machine, and one for each guest"""
        self.make(vms=3, changes=2)
        lines = self.record('-A', 'g1', '-A', 'g2').stderr.splitlines()
        of_the_machine = [line for line in lines if OF_THE_MACHINE[0] in line]
        self.assertLessEqual(len(of_the_machine), 1)
        self.assertEqual(len([line for line in lines if REMOVED not in line]) - len(of_the_machine), 2 + 1)

    def test_two_guests_by_another_name(self):
        self.make(vms=2, changes=2)
        done = self.record('-A', 'g1', '-A', 'g2', '-o', 'h[1].dat', NAMED='h[1]')
        lines = self.said(done)
        self.assertEqual([line.split(':')[0] for line in lines], ['h[1]-g1.dat', 'h[1]-g2.dat'])
        for line, name in zip(lines, ('h[1]-g1.dat', 'h[1]-g2.dat')):
            self.assertRegex(line, ALL_FIT)
            self.fits(name, 'h[1].dat')

    def test_version_6(self):
        """The guest's file is converted to version 7, which is necessary"""
        self.make(write={'version': 6}, changes=2)
        shutil.copy(self.script, self.path('convert'))
        with open(self.script, 'w', encoding='utf-8') as file:
            file.write(SCRIPT.replace('shift\n', '[ "$1" != convert ] || exec trace-cmd "$@"\nshift\n', 1))
        line, = self.said(self.record('-A', 'g1'))
        self.assertRegex(line, ALL_FIT)
        self.fits()
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['trace-g1.dat', 'trace.dat'])

    def test_rewrite(self):
        """--rewrite works even if a TSC jumps backward, which the control
        shows. A file of version 6 keeps its version."""
        for version in 6, 7:
            self.make(write={'version': version}, changes=4, direction='backward')
            lines = self.said(self.record('--rewrite', '-A', 'g1'))
            self.assertRegex(lines[-1], r'2 vCPUs, \d+ changes; ([0-9,]+) of \1 events in guest mode')
            self.fits()
            with open(self.path('out', 'trace-g1.dat'), 'rb') as file:
                self.assertEqual(file.read(11)[10:], str(version).encode())
            self.assertEqual(sorted(os.listdir(self.path('out'))), ['trace-g1.dat', 'trace.dat'])
        self.said(self.record('-A', 'g1'))
        self.fits(expected=False)

    def test_rewrite_of_the_traced_command(self):
        """Only an argument before the traced command is ours"""
        self.make(changes=2)
        line, = self.said(self.record('-A', 'g1', '--', '--rewrite'))
        self.assertIn('sampled events', line)

    def test_doubts(self):
        """Events that no history corrects: doubts are reported, but are not an error"""
        self.make(changes=1)
        other = self.path('other')
        os.mkdir(other)
        scenario, first = Scenario(changes=2, seed=7), Scenario()
        scenario.host_trace_id, scenario.vms[0].trace_id = first.host_trace_id, first.vms[0].trace_id
        scenario.write(other)
        shutil.copy(os.path.join(other, 'g1.dat'), self.path('made'))
        done = self.record('-A', 'g1')
        self.assertEqual(done.returncode, DONE)
        lines = self.said(done)
        self.assertGreater(len(lines), 1)
        self.assertTrue(all(line.startswith('trace-g1.dat: ') for line in lines), lines)

    def test_other_recording(self):
        """Another recording that is made at the same time, trace-other.dat with trace-other-g1.dat, is not touched"""
        self.make(seed=7)
        os.rename(self.path('made'), self.path('other'))
        self.make()
        done = self.record('-A', 'g1', LEFT='cp ../other/host.dat trace-other.dat; cp ../other/g1.dat trace-other-g1.dat')
        self.assertEqual([line.split(':')[0] for line in self.said(done)], ['trace-g1.dat'])

    def test_not_provable(self):
        self.make(unrecorded=['kvm_entry', 'kvm_exit'], changes=2)
        line, = self.said(self.record('-A', 'g1'))
        self.assertIn("not proved, the host's file has no kvm_entry", line)

    def test_other_clock(self):
        self.make(changes=2)
        with open(self.path('made', 'g1.dat'), 'r+b') as file:
            data = file.read().replace(b'x86-tsc', b'globalz')
            file.seek(0)
            file.write(data)
        line, = self.said(self.record('-A', 'g1'))
        self.assertEqual(line, 'trace-g1.dat: its clock is "globalz", not x86-tsc: record with -C x86-tsc; '
                               'trace-g1.dat is left as trace-cmd wrote it')
        self.unchanged()

    def test_default_clock(self):
        """With a guest, trace-cmd is given one, and --tsc2nsec where perf knows the frequency of the TSC"""
        with open(self.script, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nprintf "%s|" "$@" > arguments\n')
        for given, wanted in (
                ('-e kvm -A g1 sleep -C 1', r'record\|-C\|x86-tsc\|(--tsc2nsec\|)?-e\|kvm\|-A\|g1\|sleep\|-C\|1\|'),
                ('-C x86-tsc -A g1', r'record\|-C\|x86-tsc\|-A\|g1\|'), ('-A g1 -Cmono', r'record\|-A\|g1\|-Cmono\|'),
                ('-e kvm', r'record\|-e\|kvm\|')):
            self.record(*given.split())
            with open(self.path('out', 'arguments'), encoding='utf-8') as file:
                self.assertRegex(file.read(), f'^{wanted}$', given)

    def test_host_that_slept(self):
        """The host had some times twice: where a guest's events are among them is unknown"""
        self.make(changes=2, segments=12, suspend=(6, 1_000_000))
        lines = self.said(self.record('-A', 'g1'))
        self.assertTrue(any("the host's own TSC went back" in line for line in lines), lines)
        self.assertTrue(lines[-1].endswith('; a part is in doubt'), lines)

    def test_older_files(self):
        """Files of an earlier recording do not belong to this one, even if it has just ended"""
        self.make(changes=1)
        for name in 'trace.dat', 'trace-g1.dat':
            shutil.copy(self.path('made', 'host.dat' if name == 'trace.dat' else 'g1.dat'), self.path('out', name))
        self.assertEqual(self.said(self.record('-A', 'g1', MADE='')), [])
        self.unchanged()

    def test_clock_of_the_file_system(self):
        """The file system's clock differs, as on a server, or was set meanwhile"""
        self.make(changes=2)
        line, = self.said(self.record('-A', 'g1', LEFT='touch -d "1 hour ago" trace.dat trace-g1.dat'))
        self.assertRegex(line, ALL_FIT)
        self.fits()

    def test_without_guests_or_files(self):
        self.make(changes=1)
        self.assertEqual(self.said(self.record('-A', 'g1', MADE='')), [])
        self.assertEqual(self.record('-e', 'kvm').stderr, '')
        self.unchanged()

    def test_damaged_guest(self):
        self.make(vms=2, changes=1)
        with open(self.path('made', 'g1.dat'), 'r+b') as file:
            file.truncate(1000)
        done = self.record('-A', 'g1', '-A', 'g2')
        self.assertEqual(done.returncode, DONE)
        first, second = self.said(done)
        self.assertRegex(first, r'^trace-g1.dat: .*; trace-g1.dat is left as trace-cmd wrote it$')
        self.unchanged()
        self.assertRegex(second, '^trace-g2.dat: .*' + ALL_FIT)

    def test_guest_without_a_file(self):
        self.make(vms=2, changes=1)
        os.unlink(self.path('made', 'g2.dat'))
        lines = self.said(self.record('-A', 'g1', '-A', 'g2'))
        self.assertIn('error at most', lines[0])
        self.assertEqual(lines[1:], ['trace.dat: 1 of its 2 guests have no file'])


class TestLink(RecordCase):
    """Guests whose process trace-cmd did not find: the host's file names them without vCPUs"""
    def make_unknown(self, unknown=('g1', 'g2'), **write):
        scenario = Scenario(vms=2, changes=2, linked=False)
        scenario.more_options['host'] += [
            (dat.GUEST, dat.guest_option(f'of-{vm.name}', vm.trace_id,
                                         [] if vm.name in unknown else [vcpu.tid for vcpu in vm.vcpus]))
            for vm in scenario.vms]
        os.mkdir(self.path('made'))
        scenario.write(self.path('made'), time_shift='stock', **write)
        return scenario

    def guests(self):
        """The guests in the host's file as trace-cmd reads it: name, and the thread of each CPU"""
        dump = subprocess.run(['trace-cmd', 'dump', '--options', '-i', self.path('out', 'trace.dat')],
                              capture_output=True, text=True, check=True).stdout
        return [(name, [int(tid) for tid in re.findall(r'^  \d+ (\d+)', cpus, re.M)])
                for name, cpus in re.findall(r'^(\S+) \[Guest name\](.*?)(?=^\t\t\[|\Z)', dump, re.M | re.S)]

    def report(self):
        return subprocess.run(['trace-cmd', 'report', '-i', 'trace.dat', '-i', 'trace-g1.dat', '-i', 'trace-g2.dat'],
                              cwd=self.path('out'), capture_output=True, text=True, errors='replace', check=False)

    def test_linked(self):
        scenario = self.make_unknown()
        # The control: report cannot read the original file
        for name, made in ('trace', 'host'), ('trace-g1', 'g1'), ('trace-g2', 'g2'):
            shutil.copy(self.path('made', f'{made}.dat'), self.path('out', f'{name}.dat'))
        self.assertIn('Could not allocate vcpu maps', self.report().stderr)
        self.assertEqual(len(self.said(self.record('-A', 'g1', '-A', 'g2'))), 2)
        self.assertEqual(self.guests(), [(f'of-{vm.name}', [vcpu.tid for vcpu in vm.vcpus]) for vm in scenario.vms])
        done = self.report()
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('kvm_entry', done.stdout)
        for name in 'trace-g1.dat', 'trace-g2.dat':
            self.fits(name)

    def test_one_is_known(self):
        """What trace-cmd recorded is kept"""
        scenario = self.make_unknown(unknown=['g2'])
        self.record('-A', 'g1', '-A', 'g2')
        self.assertEqual(sorted(self.guests()),
                         [(f'of-{vm.name}', [vcpu.tid for vcpu in vm.vcpus]) for vm in scenario.vms])

    def test_nothing_to_do(self):
        for unknown, write in ((), {}), (('g1', 'g2'), {'version': 6}):
            shutil.rmtree(self.path('made'), ignore_errors=True)
            self.make_unknown(unknown, **write)
            self.record('-A', 'g1', '-A', 'g2')
            with open(self.path('made', 'host.dat'), 'rb') as made, open(self.path('out', 'trace.dat'), 'rb') as out:
                self.assertEqual(made.read(), out.read())

    def test_that_cannot_be_written(self):
        """The host's file cannot be written: the guests' files are still correct"""
        self.make_unknown()
        lines = self.said(self.record('-A', 'g1', '-A', 'g2', LEFT='exec 9< trace.dat; flock 9; '
                                      'sleep 1000 9<&9 > /dev/null 2>&1 & echo $! > pid'))
        with open(self.path('out', 'pid'), encoding='utf-8') as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.assertEqual(lines[2:], ['trace.dat: another process writes to it: Resource temporarily unavailable'])
        self.assertEqual(self.guests(), [('of-g1', []), ('of-g2', [])])
        self.fits()


class TestMachine(RecordCase):
    """What record creates on the machine, and what it does if it cannot"""
    def test_nothing_can_be_recorded(self):
        self.make(changes=2)
        os.chmod(self.directory, 0o755)
        os.chmod(self.path('out'), 0o777)
        shutil.copy(TOOL, self.path('tool'))
        done = self.record('-A', 'g1', tool=self.path('tool'), run={'user': NOBODY, 'group': NOBODY})
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertRegex(done.stderr, r"^tsc-offset: recording with trace-cmd's own protocol: "
                                      r'the changes of TSC offsets cannot be recorded: .*\n$')
        self.unchanged()

    def test_remains_of_a_killed_recording(self):
        self.make(changes=1)
        child = subprocess.Popen(['true'])
        child.wait()
        for _ in range(10):
            os.mkdir(f'{PREFIX}{child.pid}-0')
            done = self.record('-A', 'g1')
            self.assertFalse(os.path.exists(f'{PREFIX}{child.pid}-0'))
            # The record of another test may have been faster
            if REMOVED in done.stderr:
                break
        self.assertEqual(done.stderr.count(REMOVED), 1)

    def test_none_is_left(self):
        """No instance is left, whether trace-cmd ends, fails or is killed"""
        self.make(changes=1)
        for left in '', 'exit 3', 'kill -KILL $$', 'kill -TERM $$', 'rm trace.dat; exit 1':
            done = self.record('-A', 'g1', LEFT=f'ls -d {PREFIX}$PPID-* > instances; {left}')
            with open(self.path('out', 'instances'), encoding='utf-8') as file:
                instances = file.read().split()
            self.assertEqual(len(instances), 1, done.stderr)
            self.assertFalse(os.path.exists(instances[0]), left)


class TestEnd(RecordCase):
    def test_status(self):
        """record ends with trace-cmd's status; the files on the disk get the history"""
        self.make(changes=1)
        for left, status in ('exit 5', 5), ('kill -KILL $$', -signal.SIGKILL), ('kill -TERM $$', -signal.SIGTERM):
            done = self.record(LEFT=left)
            self.assertEqual((done.returncode, done.stderr), (status, ''))
            done = self.record('-A', 'g1', LEFT=left)
            self.assertEqual(done.returncode, status)
            line, = self.said(done)
            self.assertRegex(line, ALL_FIT)

    def test_nothing_on_the_disk(self):
        self.make(changes=1)
        done = self.record('-A', 'g1', MADE='', LEFT='echo of trace-cmd >&2; exit 1')
        lines = [line for line in done.stderr.splitlines() if not any(words in line for words in OF_THE_MACHINE)]
        self.assertEqual((done.returncode, lines), (1, ['of trace-cmd']))

    def test_half_of_it_on_the_disk(self):
        self.make(changes=1)
        with open(self.path('made', 'host.dat'), 'r+b') as file:
            file.truncate(1000)
        done = self.record('-A', 'g1', LEFT='kill -KILL $$')
        self.assertEqual(done.returncode, -signal.SIGKILL)
        line, = self.said(done)
        self.assertTrue(line.startswith('trace.dat: '), line)
        self.unchanged()

    def start(self, left, **more):
        """Start a record whose trace-cmd is running"""
        environment = {name: more.pop(name) for name in ['TAKE'] if name in more}
        command = subprocess.Popen([TOOL, 'record', '-A', 'g1'], cwd=self.path('out'), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   env=self.environment(LEFT=left, **environment), **more)
        self.addCleanup(command.__exit__, None, None, None)
        self.addCleanup(command.kill)
        self.wait_for('ready')
        return command

    def test_signals(self):
        """A signal to record alone is passed on to trace-cmd; the files that trace-cmd then writes get the history"""
        self.make(changes=1)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
            # A shell cannot trap a signal that is ignored, as under nohup
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_DFL))
            command = self.start(f'trap "exit 0" {number.name[3:]}; touch ready; while :; do sleep 0.01; done')
            command.send_signal(number)
            _, stderr = command.communicate(timeout=DEADLINE)
            self.assertEqual(command.returncode, DONE, stderr)
            self.assertIn('sampled events in guest mode', stderr)
            os.unlink(self.path('out', 'ready'))

    def test_terminal(self):
        """The terminal sends its signals to trace-cmd as well: record does not pass them on again"""
        self.make(changes=1)
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        command = self.start(f'exec {sys.executable} -c "$TAKE"', TAKE=TAKE, stdin=slave, start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.close(slave)
        # Two signals at the same time count as one, so send them one by one
        for number in range(10):
            os.write(master, b'\x03')
            end = time.monotonic() + DEADLINE
            while os.path.getsize(self.path('out', 'ints')) <= number:
                self.assertLess(time.monotonic(), end, number)
                time.sleep(0.01)
        # A later signal is passed on after these
        command.send_signal(signal.SIGUSR1)
        _, stderr = command.communicate(timeout=DEADLINE)
        self.assertEqual(command.returncode, DONE, stderr)
        self.assertEqual(os.path.getsize(self.path('out', 'ints')), 10)

    @staticmethod
    def state(pid):
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            return file.read().rsplit(')', 1)[1].split()[0]

    def job(self, *command):
        """Stop a job by ^Z and continue it. Returns ((stop signal and exit
        status, trace-cmd's state while stopped), stderr)."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        shell = subprocess.Popen([sys.executable, '-c', SHELL, *command, 'record', '-A', 'g1'], cwd=self.path('out'),
                                 stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 start_new_session=True, preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
                                 env=self.environment(LEFT='echo $$ > pid; touch ready; '
                                                      'while [ -e ready -a ! -e end ]; do sleep 0.01; done; exit 5'))
        self.addCleanup(shell.__exit__, None, None, None)
        self.addCleanup(shell.kill)
        os.close(slave)
        self.wait_for('ready')
        os.write(master, b'\x1a')
        self.wait_for('stopped')
        # trace-cmd may stop later than the job of the shell
        end = time.monotonic() + DEADLINE
        while (state := self.state(self.read('pid'))) != 'T' and time.monotonic() < end:
            time.sleep(0.01)
        with open(self.path('out', 'end'), 'w', encoding='utf-8'):
            pass
        os.kill(shell.pid, signal.SIGUSR1)
        printed, stderr = shell.communicate(timeout=DEADLINE)
        for name in 'ready', 'pid', 'stopped', 'end':
            os.unlink(self.path('out', name))
        return (printed, state), stderr

    def read(self, name):
        with open(self.path('out', name), encoding='utf-8') as file:
            return file.read().strip()

    def test_stopped_and_continued(self):
        """record behaves like trace-cmd alone, which is the control, and the files get the history"""
        self.make(changes=1)
        alone, _ = self.job(self.script)
        self.assertEqual(alone, (f'{int(signal.SIGTSTP)} 5\n', 'T'))
        ours, stderr = self.job(TOOL)
        self.assertEqual(ours, alone)
        self.assertIn('sampled events in guest mode', stderr)

    def test_signal_that_ends_it(self):
        self.make(changes=1)
        command = self.start('touch ready; exec sleep 1000')
        command.send_signal(signal.SIGTERM)
        _, stderr = command.communicate(timeout=DEADLINE)
        self.assertEqual(command.returncode, -signal.SIGTERM)
        self.assertIn('sampled events in guest mode', stderr)

    def test_killed(self):
        """If record is killed, trace-cmd continues, and its files stay as they are"""
        self.make(changes=1)
        command = self.start('touch ready; until [ -e go ]; do sleep 0.01; done; touch gone')
        command.kill()
        command.wait(timeout=DEADLINE)
        with open(self.path('out', 'go'), 'w', encoding='utf-8'):
            pass
        self.wait_for('gone')
        self.unchanged()

    def test_reader_of_messages_has_ended(self):
        """The reader of the messages has ended, as tee does on the same ^C: each guest's file gets its history, and
        trace-cmd does not ignore SIGPIPE"""
        self.make(vms=2, changes=2)
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([TOOL, 'record', '-A', 'g1', '-A', 'g2'], cwd=self.path('out'), stderr=write, check=False,
                              env=self.environment(LEFT='grep SigIgn /proc/$$/status > ignored; exit 3'))
        os.close(write)
        self.assertEqual(done.returncode, 3)
        for name in 'trace-g1.dat', 'trace-g2.dat':
            self.fits(name)
        with open(self.path('out', 'ignored'), encoding='utf-8') as file:
            self.assertFalse(int(file.read().split()[1], 16) & 1 << signal.SIGPIPE - 1)

    def test_size_of_files_is_limited(self):
        """A limit on the file size is reported, and does not end the process"""
        self.make(changes=2)
        size = os.path.getsize(self.path('made', 'g1.dat')) + 10
        self.assertLess(os.path.getsize(self.path('made', 'host.dat')), size)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        done = self.record('-A', 'g1', run={'preexec_fn': limit})
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertIn('left as trace-cmd wrote it', done.stderr)
        self.unchanged()

    def test_ignored_signals(self):
        """Ignored signals stay ignored for trace-cmd, and do not hide how it ends"""
        self.make(changes=1)

        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        done = subprocess.run([TOOL, 'record', '-A', 'g1'], cwd=self.path('out'), preexec_fn=ignore, text=True,
                              capture_output=True, check=False,
                              env=self.environment(LEFT='grep SigIgn /proc/$$/status > ignored; exit 3'))
        self.assertEqual((done.returncode, len(self.said(done))), (3, 1))
        with open(self.path('out', 'ignored'), encoding='utf-8') as file:
            ignored = int(file.read().split()[1], 16)
        self.assertTrue(ignored & 1 << signal.SIGINT - 1)


if __name__ == '__main__':
    if not os.access(f'{TRACING}/{EVENT}', os.R_OK):
        skip('this machine reports no changes of TSC offsets, or not to this user')
    main()
