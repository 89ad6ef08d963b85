#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""record --ssh.

ssh is a script here, which runs the command on this machine, and so are the trace-cmd of the host and that of the
guests; ../lab has a real guest.
"""
import fcntl
import os
import re
import resource
import signal
import subprocess
import sys
import termios
import time

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, NOBODY, TOOL, USAGE, each, main, skip
from kvm_tracing import EVENT, TRACING
from record_case import ALL_FIT, DEADLINE, TAKE, RecordCase

# As much of one as is looked at
RECORDING = '\x17\x08Dtracing6\0'
MARK = 'tsc-offset: recording'
# Guests have their files in $GUESTS, and a directory each for what is temporary there; $LEFT is not for them
SSH = '''#!/bin/bash
export GUEST=${1##*@}
export TMPDIR=$GUESTS/tmp PATH=$GUESTS/bin:$PATH
shift
eval "${CONNECT:-exec \\"\\$@\\"}"
'''
# trace-cmd in a guest: it records as long as its command runs
TRACE_CMD = '''#!/bin/bash
printf '%s\\n' "$*" > "$GUESTS/$GUEST.arguments"
echo of trace-cmd
while [ "$1" != -o ]; do shift; done
file=$2
shift 2
"$@" || exit
cp "$GUESTS/$GUEST.dat" "$file"
'''
# A connection that is lost when both of its processes are killed. What the guest says then is lost, too
LOST = '''exec 2> /dev/null
relay() { sh -c 'echo $$ >> "$GUESTS/pids"; exec cat'; }
set -o pipefail
relay | "$@" | relay'''
LOSE = 'kill -KILL $(cat "$GUESTS/pids")'
BEFORE = f'echo {MARK}; cat > /dev/null; '


class SshCase(RecordCase):
    def setUp(self):
        super().setUp()
        for name in 'guests', 'guests/tmp', 'guests/bin':
            os.mkdir(self.path(name))
        self.write('ssh', SSH)
        self.write('guests/bin/trace-cmd', TRACE_CMD)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(self.path(name), 0o755)

    def read(self, *names):
        with open(self.path(*names), 'rb') as file:
            return file.read()

    def make_guests(self, *names, **parameters):
        """A recording whose guests are known to these names, and not to the host's trace-cmd"""
        self.make(**{'vms': len(names), 'changes': 2, 'linked': False, **parameters})
        for number, name in enumerate(names, 1):
            os.rename(self.path('made', f'g{number}.dat'), self.path('guests', f'{name}.dat'))

    def environment(self, **more):
        return super().environment(**{'TSC_OFFSET_SSH': self.path('ssh'), 'GUESTS': self.path('guests'), **more})

    def nothing_is_left(self):
        """In the guest, and beside the host's file, which is whole"""
        self.assertEqual(os.listdir(self.path('guests/tmp')), [])
        self.assertEqual([name for name in os.listdir(self.path('out')) if name.startswith('trace')], ['trace.dat'])
        self.assertEqual(self.read('made', 'host.dat'), self.read('out', 'trace.dat'))

    def guests(self):
        """Those of the host's file, as trace-cmd reads it: name, and the thread of each CPU"""
        dump = subprocess.run(['trace-cmd', 'dump', '--options', '-i', self.path('out', 'trace.dat')],
                              capture_output=True, text=True, check=True).stdout
        return {name: [int(tid) for tid in re.findall(r'^  \d+ (\d+)', cpus, re.M)]
                for name, cpus in re.findall(r'^(\S+) \[Guest name\](.*?)(?=^\t\t\[|\Z)', dump, re.M | re.S)}


class TestSsh(SshCase):
    def test_right(self):
        self.make_guests('fedora', 'other')
        done = self.record('--ssh', 'root@fedora', '--ssh=other', '-e', 'kvm', '--', 'sleep', '1')
        self.assertEqual((done.returncode, done.stdout), (DONE, ''), done.stderr)
        lines = self.said(done)
        self.assertEqual([line.split(':')[0] for line in lines], ['trace-fedora.dat', 'trace-other.dat'])
        for line in lines:
            self.assertRegex(line, r'2 vCPUs, 4 changes; ' + ALL_FIT)
        for name in 'fedora', 'other':
            self.fits(f'trace-{name}.dat')
            self.assertRegex(self.read('guests', f'{name}.arguments').decode(),
                             '^record -C x86-tsc -e sched -o trace.dat sh -c ')
        self.assertEqual(os.listdir(self.path('guests/tmp')), [])
        self.assertEqual(self.guests(), {'fedora': [2010, 2011], 'other': [2110, 2111]})
        # The control: as it came it does not fit
        os.rename(self.path('guests/fedora.dat'), self.path('out/raw.dat'))
        self.fits('raw.dat', expected=False)

    def test_host_arguments(self):
        """The host gets the clock unless it is given, and nothing else"""
        self.make_guests('g')
        self.write('trace-cmd', '#!/bin/sh\nprintf "%s|" "$@" > arguments\ncp "$MADE/host.dat" h.dat\n')
        for given, seen in ((['-e', 'kvm'], '-C|x86-tsc|-e|kvm|'), (['-C', 'x86-tsc'], '-C|x86-tsc|'),
                            (['-e', 'x', '-Cx86-tsc'], '-e|x|-Cx86-tsc|')):
            done = self.record('--ssh', 'g', '-o', 'h.dat', *given)
            self.assertEqual(done.returncode, DONE, done.stderr)
            # Where perf knows the frequency of the TSC
            found = self.read('out', 'arguments').decode().replace('-C|x86-tsc|--tsc2nsec|', '-C|x86-tsc|')
            self.assertEqual(found, f'record|-o|h.dat|{seen}'.replace(
                'record|-o|h.dat|-C|x86-tsc|-e|kvm', 'record|-C|x86-tsc|-o|h.dat|-e|kvm'))
            self.fits('h-g.dat', 'h.dat')

    def test_guest_arguments(self):
        """A shell reads them, with its quotes"""
        self.make_guests('g')
        done = self.record('--ssh', 'g', '--ssh-record', '-e sched_switch -f \'next_prio < 5\' -b 100')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertTrue(self.read('guests', 'g.arguments').decode().startswith(
            'record -C x86-tsc -e sched_switch -f next_prio < 5 -b 100 -o trace.dat sh -c'))

    def test_rewrite(self):
        self.make_guests('g', direction='backward', changes=4)
        done = self.record('--rewrite', '--ssh', 'g')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.fits('trace-g.dat')

    def test_with_agent(self):
        """One guest has an agent, which trace-cmd knows"""
        self.make(vms=2, changes=2)
        os.rename(self.path('made/g2.dat'), self.path('guests/g.dat'))
        done = self.record('--ssh', 'g', '-A', 'g1@3')
        self.assertEqual(done.returncode, DONE, done.stderr)
        for name in 'trace-g.dat', 'trace-g1.dat':
            self.fits(name)

    def test_noise_of_the_shell(self):
        self.make_guests('g')
        done = self.record('--ssh', 'g', CONNECT='echo Welcome; echo; echo more >&2; exec "$@"')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.fits('trace-g.dat')

    def test_names(self):
        """A name never leads to another directory"""
        self.make_guests('0')
        done = self.record('--ssh', 'ssh://root@a/../\x1b[2J', CONNECT='GUEST=0; exec "$@"')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['trace-a_.._[2J.dat'.replace('[', '_['), 'trace.dat'])

    def test_version_6(self):
        """The link is for files of version 7 only"""
        self.make_guests('g', write={'version': 6})
        with open(self.script, encoding='utf-8') as file:
            text = file.read()
        self.write('trace-cmd', text.replace('shift\n', '[ "$1" != convert ] || exec trace-cmd "$@"\nshift\n', 1))
        done = self.record('--ssh', 'g')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.fits('trace-g.dat')
        self.assertEqual(self.read('made', 'host.dat'), self.read('out', 'trace.dat'))

    def test_older_recording(self):
        """It is replaced, as trace-cmd replaces it"""
        self.make_guests('g')
        self.write('out/trace-g.dat', RECORDING)
        self.assertEqual(self.record('--ssh', 'g').returncode, DONE)
        self.fits('trace-g.dat')

    def test_no_changes_recorded(self):
        """Not for this user: the events in the host's file are enough"""
        self.make_guests('g')
        for name in '', 'out', 'guests', 'guests/tmp':
            os.chmod(self.path(name), 0o777)
        with open(TOOL, 'rb') as tool, open(self.path('tool'), 'wb') as copy:
            copy.write(tool.read())
        os.chmod(self.path('tool'), 0o755)
        done = self.record('--ssh', 'g', tool=self.path('tool'), run={'user': NOBODY, 'group': NOBODY})
        self.assertEqual(done.returncode, DONE, done.stderr)
        first, *_, last = self.said(done)
        self.assertIn("using only the events in the host's file: the changes of TSC offsets cannot be recorded", first)
        self.assertRegex(last, ALL_FIT)
        self.fits('trace-g.dat')


@each({
    'no trace-cmd': ('PATH=$GUESTS/bare; exec "$@"', 'trace-cmd: .*not found'),
    'refused': ('echo "ssh: connect to host g port 22: Connection refused" >&2; exit 255', 'Connection refused$'),
    'silent status': ('exit 7', 'the connection ended with status 7$'),
    'silent signal': ('kill -KILL $$', 'signal 9 ended the connection$'),
    'silent end': ('exit 0', 'the connection ended with status 0$'),
    'another command': ('echo hello', 'the connection ended with status 0$'),
    'control characters': (r'printf "a\033[2J\n" >&2; exit 255', r'a\?\[2J$'),
    'no size after a warning': (f'echo Warning >&2; {BEFORE} echo -1', 'what came is not a recording$'),
    'a size that is too large': (f'{BEFORE} echo 99999999999999999999', 'what came is not a recording$'),
    'less than the size': (f'{BEFORE} echo 99; printf garbage', 'the connection ended with status 0$'),
    'garbage': (f'{BEFORE} echo 7; printf garbage', 'not a trace.dat file$'),
    'a part of a recording': (f'{BEFORE} echo 1000; head -c 1000 "$GUESTS/g.dat"', '.'),
    'a status at its end': ('"$@"; exit 9', 'the connection ended with status 9$'),
    'ends in its middle': ('"$@" 2> /dev/null | dd bs=1 count=5000 2> /dev/null', 'the connection ended with status 0$'),
})
class TestFailures(SshCase):
    """One line for the guest; the host's recording is whole, and nothing is left in the guest"""
    def one(self, connect, said):
        self.make_guests('g')
        os.mkdir(self.path('guests/bare'))
        for name in 'sh', 'mktemp', 'rm', 'cat', 'tail', 'tr', 'wc':
            os.symlink(f'/bin/{name}', self.path('guests/bare', name))
        done = self.record('--ssh', 'g', '-e', 'kvm', CONNECT=connect)
        self.assertEqual((done.returncode, done.stdout), (INCOMPLETE, ''), done.stderr)
        line, = self.said(done)
        self.assertRegex(line, '^--ssh g: not recorded: .*' + said)
        self.nothing_is_left()

    def test_control(self):
        """The same without a failure"""
        with self.assertRaises(AssertionError):
            self.one('exec "$@"', '')
        self.fits('trace-g.dat')


class TestEnd(SshCase):
    def test_no_program(self):
        self.make_guests('g')
        done = self.record('--ssh', 'g', TSC_OFFSET_SSH='/nonexistent/ssh')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertEqual(self.said(done),
                         ['--ssh g: not recorded: cannot run /nonexistent/ssh: No such file or directory'])
        self.nothing_is_left()

    def test_no_room(self):
        """The reason is ours, whatever the program said before"""
        self.make_guests('g')
        size = os.path.getsize(self.path('guests/g.dat')) - 1
        self.assertLess(os.path.getsize(self.path('made/host.dat')), size)
        # The guest has room
        self.write('guests/bin/trace-cmd', TRACE_CMD.replace('cp "$GUESTS/$GUEST.dat"', 'ln -s "$GUESTS/$GUEST.dat"'))
        done = self.record('--ssh', 'g', CONNECT='echo Warning >&2; exec "$@"', run={
            'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))})
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertEqual(self.said(done), ['--ssh g: not recorded: File too large'])
        self.nothing_is_left()

    def test_one_of_two_fails(self):
        self.make_guests('a', 'b')
        done = self.record('--ssh', 'a', '--ssh', 'b', CONNECT='[ $GUEST = b ] || exit 5; exec "$@"')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn('--ssh a: not recorded: the connection ended with status 5', self.said(done))
        self.fits('trace-b.dat')

    def test_lost_connection(self):
        """While the host records"""
        self.make_guests('g')
        done = self.record('--ssh', 'g', CONNECT=LOST, LEFT=LOSE)
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        line, = self.said(done)
        self.assertRegex(line, '^--ssh g: not recorded: the connection ended with status 137$')
        self.nothing_is_left()
        # The control: the relay alone does no harm
        os.unlink(self.path('guests/pids'))
        self.assertEqual(self.record('--ssh', 'g', CONNECT=LOST).returncode, DONE)
        self.fits('trace-g.dat')

    def test_status_of_trace_cmd(self):
        self.make_guests('g')
        for left, status in ('exit 5', 5), ('kill -TERM $$', -signal.SIGTERM):
            done = self.record('--ssh', 'g', LEFT=left)
            self.assertEqual(done.returncode, status, done.stderr)
            self.fits('trace-g.dat')
            self.assertEqual(self.record('--ssh', 'g', LEFT=left, CONNECT='exit 1').returncode, status)

    def test_no_recording_of_the_host(self):
        """An older file of the guest stays"""
        self.make_guests('g')
        self.write('out/trace-g.dat', RECORDING)
        done = self.record('--ssh', 'g', MADE='', LEFT='exit 1')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.said(done), ['trace.dat was not written: the files of --ssh are not fetched'])
        self.assertEqual(self.read('out', 'trace-g.dat'), RECORDING.encode())
        self.assertEqual(os.listdir(self.path('guests/tmp')), [])

    def test_other_file(self):
        """Nothing is recorded if another file has the name"""
        self.make_guests('g')
        self.write('out/trace-g.dat', 'notes')
        done = self.record('--ssh', 'g')
        self.one_line(done, FAILED, 'trace-g.dat: exists, is not a recording and is not replaced')
        self.assertEqual(os.listdir(self.path('out')), ['trace-g.dat'])
        self.assertEqual(self.read('out', 'trace-g.dat'), b'notes')

    def test_other_file_meanwhile(self):
        self.make_guests('g')
        done = self.record('--ssh', 'g', LEFT='echo notes > trace-g.dat')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertEqual(self.said(done)[0], 'trace-g.dat: exists, is not a recording and is not replaced')
        self.assertEqual(self.read('out', 'trace-g.dat'), b'notes\n')
        self.assertEqual(len(os.listdir(self.path('out'))), 2)

    def start(self, connect, **more):
        command = subprocess.Popen([TOOL, 'record', '--ssh', 'g'], cwd=self.path('out'), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   env=self.environment(CONNECT=connect, TAKE=TAKE,
                                                        LEFT=f'exec {sys.executable} -c "$TAKE"'), **more)
        self.addCleanup(command.__exit__, None, None, None)
        self.addCleanup(command.kill)
        self.wait_for('ready')
        return command

    def test_interrupt_before(self):
        """While a connection is made: nothing is recorded, and the connection ends"""
        self.make_guests('g')
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_DFL))
        command = self.start('touch ready; cat > /dev/null; touch gone')
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=DEADLINE)
        self.assertEqual(command.returncode, -signal.SIGINT)
        self.wait_for('gone')
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['gone', 'ready'])

    def interrupt(self, connect):
        """^C at the terminal"""
        self.make_guests('g')
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        command = self.start(connect, stdin=slave, start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.close(slave)
        os.write(master, b'\x03')
        end = time.monotonic() + DEADLINE
        while not os.path.getsize(self.path('out', 'ints')):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        command.send_signal(signal.SIGUSR1)
        _, stderr = command.communicate(timeout=DEADLINE)
        self.assertEqual(os.listdir(self.path('guests/tmp')), [])
        return command.returncode, stderr

    def test_interrupt(self):
        """It ends trace-cmd, and not the connection"""
        status, stderr = self.interrupt('cat | "$@"; exit ${PIPESTATUS[0]}')
        self.assertEqual(status, DONE, stderr)
        self.fits('trace-g.dat')

    def test_interrupt_control(self):
        """A program that does not keep what is ignored"""
        python = 'import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])'
        status, stderr = self.interrupt(f"{sys.executable} -c '{python}' cat | \"$@\"; exit ${{PIPESTATUS[0]}}")
        self.assertEqual(status, INCOMPLETE)
        self.assertIn('the connection ended with status 130', stderr)


class TestTimeout(SshCase):
    def test_silent(self):
        """A connection that is never made; the program is ended"""
        self.make_guests('g')
        done = self.record('--ssh', 'g', CONNECT='echo $$ > ../pid; exec sleep 1000')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertEqual(self.said(done), ['--ssh g: not recorded: no answer'])
        self.assertFalse(os.path.exists(f'/proc/{self.read("pid").decode().strip()}'))
        self.nothing_is_left()


class TestCommandLine(SshCase):
    def test_wrong_usage(self):
        for arguments, said in ((['--ssh'], '--ssh requires [USER@]HOST'), (['--ssh='], '--ssh requires [USER@]HOST'),
                                (['--ssh', '-e', 'kvm'], '--ssh requires [USER@]HOST'),
                                (['--ssh', 'root@'], '--ssh requires [USER@]HOST'),
                                (['--ssh-record'], "option '--ssh-record' requires a value"),
                                (['--ssh-record', '-e sched', '-e', 'kvm'], '--ssh-record requires --ssh'),
                                (['--ssh', 'g', '-C', 'mono'], '--ssh requires -C x86-tsc')):
            self.one_line(self.record(*arguments), USAGE, said)

    def test_twice(self):
        for arguments, said in ((['--ssh', 'root@g'], '--ssh g and --ssh root@g would both write trace-g.dat'),
                                (['-A', 'g@3:823'], '--ssh g and -A g@3:823 would both write trace-g.dat')):
            self.one_line(self.record('--ssh', 'g', *arguments), FAILED, said)

    def test_of_the_traced_command(self):
        """Only what precedes trace-cmd's arguments is ours"""
        self.make()
        done = self.record('-e', 'kvm', '--', '--ssh', 'g')
        self.assertEqual((done.returncode, done.stderr), (DONE, ''))
        self.assertFalse(os.path.exists(self.path('guests/g.arguments')))


if __name__ == '__main__':
    if not os.access(f'{TRACING}/{EVENT}', os.R_OK):
        skip('this machine reports no changes of TSC offsets, or not to this user')
    main('trace-cmd')
