#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""record with guests.

trace-cmd is a script here, which leaves recordings whose truth is known; the real one is in the lab (../lab).
"""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, TOOL, Case, main
from scenario import Scenario

DEADLINE = 30

# What is recorded lies in $MADE; then it does as $LEFT says
SCRIPT = '''#!/bin/bash
shift
while [ $# -gt 0 ] && [ "$1" != -o ]; do shift; done
[ -z "$MADE" ] || cp "$MADE"/host.dat "${2:-trace.dat}"
for guest in g1 g2; do
	[ ! -e "$MADE/$guest.dat" ] || cp "$MADE/$guest.dat" "${NAMED:-trace}-$guest.dat"
done
eval "$LEFT"
'''


class TestRecord(Case):
    def setUp(self):
        super().setUp()
        self.script = self.path('trace-cmd')
        with open(self.script, 'w', encoding='utf-8') as file:
            file.write(SCRIPT)
        os.chmod(self.script, 0o755)
        os.mkdir(self.path('out'))

    def make(self, stamped=True, **parameters):
        """A recording in the folder "made", its guests as record leaves them, or without a synchronisation"""
        made = self.path('made')
        shutil.rmtree(made, ignore_errors=True)
        os.mkdir(made)
        Scenario(**parameters).write(made)
        for guest in 'g1', 'g2':
            if stamped and os.path.exists(os.path.join(made, f'{guest}.dat')):
                subprocess.run([TOOL, 'stamp', '-i', os.path.join(made, 'host.dat'),
                                os.path.join(made, f'{guest}.dat')], check=True, stdout=subprocess.DEVNULL)

    def environment(self, **more):
        return os.environ | {'TRACE_CMD': self.script, 'MADE': self.path('made'), 'LEFT': ''} | more

    def record(self, *arguments, **more):
        return subprocess.run([TOOL, 'record', *arguments], cwd=self.path('out'), env=self.environment(**more),
                              capture_output=True, text=True, check=False)

    def said(self, done):
        """Our lines, without the one that reports that this trace-cmd takes no hook"""
        lines = [line for line in done.stderr.splitlines() if 'trace-cmd\'s own protocol' not in line]
        self.assertTrue(all(line.startswith('tsc-offset: ') for line in lines), done.stderr)
        return [line.removeprefix('tsc-offset: ') for line in lines]

    def test_right(self):
        self.make(changes=2)
        done = self.record('-A', 'g1', '-e', 'kvm')
        self.assertEqual((done.returncode, done.stdout), (DONE, ''))
        line, = self.said(done)
        self.assertRegex(line, r'^trace-g1.dat: VM 2010, 2 vCPUs; ([0-9,]+) of \1 sampled events in guest mode, '
                               r'error at most [0-9,]+ cycles$')

    def test_two_guests_by_another_name(self):
        self.make(vms=2, changes=2)
        done = self.record('-A', 'g1', '-A', 'g2', '-o', 'h[1].dat', NAMED='h[1]')
        lines = self.said(done)
        self.assertEqual([line.split(':')[0] for line in lines], ['h[1]-g1.dat', 'h[1]-g2.dat'])
        self.assertTrue(all(' sampled events in guest mode, error at most' in line for line in lines), lines)

    def test_wrong(self):
        """Times that nothing synchronised: the control of what is right"""
        self.make(stamped=False, changes=2)
        done = self.record('-A', 'g1')
        self.assertEqual(done.returncode, DONE)
        lines = self.said(done)
        self.assertIn('its times are wrong; tsc-offset check', lines[-1])
        self.assertNotIn('error at most', '\n'.join(lines))
        # By less than the recording is long
        self.make(changes=1)
        other = self.path('made', 'other')
        os.mkdir(other)
        scenario, first = Scenario(changes=2, seed=7), Scenario()
        scenario.host_trace_id, scenario.vms[0].trace_id = first.host_trace_id, first.vms[0].trace_id
        scenario.write(other)
        subprocess.run([TOOL, 'stamp', '-i', os.path.join(other, 'host.dat'), os.path.join(other, 'g1.dat')], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(os.path.join(other, 'g1.dat'), self.path('made'))
        self.assertIn('its times are wrong; tsc-offset check', self.said(self.record('-A', 'g1'))[-1])

    def test_other_recording(self):
        """One that is made meanwhile, as trace-other.dat with trace-other-g1.dat, is not of this one"""
        self.make(seed=7)
        os.rename(self.path('made'), self.path('other'))
        self.make()
        done = self.record('-A', 'g1', LEFT='cp ../other/host.dat trace-other.dat; cp ../other/g1.dat trace-other-g1.dat')
        self.assertEqual([line.split(':')[0] for line in self.said(done)], ['trace-g1.dat'])

    def test_not_provable(self):
        self.make(unrecorded=['kvm_entry', 'kvm_exit'], changes=2)
        line, = self.said(self.record('-A', 'g1'))
        self.assertIn("does not prove the guests' times: no kvm:kvm_entry in it (-e kvm)", line)

    def test_host_that_slept(self):
        """Some of its times come twice: where a guest's events are among them is unknown"""
        self.make(stamped=False, changes=2, segments=12, suspend=(6, 1_000_000))
        lines = self.said(self.record('-A', 'g1'))
        self.assertEqual(len(lines), 2)
        self.assertIn("trace.dat: the host's own TSC went back", lines[0])
        self.assertIn('trace.dat: readers show some of its times twice', lines[1])

    def test_older_files(self):
        """Files of an earlier recording do not belong to this one"""
        self.make(changes=1)
        for name in 'trace.dat', 'trace-g1.dat':
            shutil.copy(self.path('made', 'host.dat' if name == 'trace.dat' else 'g1.dat'), self.path('out', name))
            os.utime(self.path('out', name), (1, 1))
        self.assertEqual(self.said(self.record('-A', 'g1', MADE='')), [])

    def test_without_guests_or_files(self):
        self.make(changes=1)
        self.assertEqual(self.said(self.record('-A', 'g1', MADE='')), [])
        self.assertEqual(self.said(self.record('-e', 'kvm')), [])

    def test_damaged_guest(self):
        self.make(changes=1)
        with open(self.path('made', 'g1.dat'), 'r+b') as file:
            file.truncate(1000)
        done = self.record('-A', 'g1')
        self.assertEqual(done.returncode, DONE)
        self.assertEqual([line.split(':')[0] for line in self.said(done)], ['trace-g1.dat'])

    def test_guest_without_a_file(self):
        self.make(vms=2, changes=1)
        os.unlink(self.path('made', 'g2.dat'))
        lines = self.said(self.record('-A', 'g1', '-A', 'g2'))
        self.assertIn('error at most', lines[0])
        self.assertEqual(lines[1:], ['trace.dat: no file was found of 1 of its 2 guests: not proved'])

    def test_status(self):
        self.make(changes=1)
        for guests in ['-A', 'g1'], []:
            done = self.record(*guests, LEFT='exit 5')
            self.assertEqual((done.returncode, self.said(done)), (5, []))
            done = self.record(*guests, LEFT='kill -KILL $$')
            self.assertEqual((done.returncode, self.said(done)), (-signal.SIGKILL, []))

    def start(self, left, **more):
        """trace-cmd that is at work"""
        command = subprocess.Popen([TOOL, 'record', '-A', 'g1'], cwd=self.path('out'), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment(LEFT=left), **more)
        self.addCleanup(command.__exit__, None, None, None)
        self.addCleanup(command.kill)
        self.wait_for('ready')
        return command

    def wait_for(self, name):
        end = time.monotonic() + DEADLINE
        while not os.path.exists(self.path('out', name)):
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.01)

    def test_signals(self):
        """One for this process alone goes to trace-cmd; what it writes then is proved"""
        self.make(changes=1)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
            # A shell cannot trap what nohup has it ignore
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_DFL))
            command = self.start(f'trap "exit 0" {number.name[3:]}; touch ready; while :; do sleep 0.01; done')
            command.send_signal(number)
            _, stderr = command.communicate(timeout=DEADLINE)
            self.assertEqual(command.returncode, DONE, stderr)
            self.assertIn('sampled events in guest mode', stderr)
            os.unlink(self.path('out', 'ready'))

    def test_signal_that_ends_it(self):
        self.make(changes=1)
        command = self.start('touch ready; exec sleep 1000')
        command.send_signal(signal.SIGTERM)
        _, stderr = command.communicate(timeout=DEADLINE)
        self.assertEqual(command.returncode, -signal.SIGTERM)
        self.assertNotIn('sampled', stderr)

    def test_killed(self):
        """The recording goes on without the proof"""
        self.make(changes=1)
        command = self.start('touch ready; until [ -e go ]; do sleep 0.01; done; touch gone')
        command.kill()
        command.wait(timeout=DEADLINE)
        with open(self.path('out', 'go'), 'w', encoding='utf-8'):
            pass
        self.wait_for('gone')

    def test_ignored_signals(self):
        """Ignored ones stay so for trace-cmd, and do not hide how it ends"""
        self.make(changes=1)

        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        done = subprocess.run([TOOL, 'record', '-A', 'g1'], cwd=self.path('out'), preexec_fn=ignore, text=True,
                              capture_output=True, check=False,
                              env=self.environment(LEFT='grep SigIgn /proc/$$/status > ignored; exit 3'))
        self.assertEqual((done.returncode, self.said(done)), (3, []))
        with open(self.path('out', 'ignored'), encoding='utf-8') as file:
            ignored = int(file.read().split()[1], 16)
        self.assertTrue(ignored & 1 << signal.SIGINT - 1)


if __name__ == '__main__':
    main()
