#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset record on this machine, with a KVM VM whose offsets do not change.

A script replaces trace-cmd and creates a recording of only this VM, without its offsets.
"""
import ctypes
import fcntl
import filecmp
import json
import os
import re
import struct
import subprocess
import sys
import time

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, TOOL, Case, skip
from kvm_tracing import Vm, main_live, read
from scenario import Scenario

OFFSET = -44_000_000_000
DEBUGFS = '/sys/kernel/debug/kvm'
SET_DEVICE_ATTR, TSC_CTRL, TSC_OFFSET = 0x4018aee1, 0, 0
TRACEFS = '/sys/kernel/tracing'
# If there is a FIFO, it records until something is written to the FIFO; a file named "fill" takes the remaining space
SCRIPT = '''#!/bin/bash
[ ! -p fifo ] || read -r word < fifo
cp ../made/host.dat trace.dat
cp ../made/g1.dat trace-g1.dat
[ ! -e fill ] || cat /dev/zero > fill
touch ended
exit "${STATUS-0}"
'''


def set_offset(vm, vcpu, offset):
    value = ctypes.c_int64(offset)
    attribute = struct.pack('=IIQQ', 0, TSC_CTRL, TSC_OFFSET, ctypes.addressof(value))
    fcntl.ioctl(vm.fds[1 + vcpu], SET_DEVICE_ATTR, attribute)


class TestRecordLive(Case):
    def setUp(self):
        super().setUp()
        self.vm = Vm(1)
        self.addCleanup(self.vm.close)
        # This thread becomes the vCPU's thread
        self.vm.run(0)
        for name in 'made', 'out', 'out2':
            os.mkdir(self.path(name))
        with open(self.path('trace-cmd'), 'w', encoding='utf-8') as file:
            file.write(SCRIPT)
        os.chmod(self.path('trace-cmd'), 0o755)
        self.directory_of_vm = f'{DEBUGFS}/{os.getpid()}-{self.vm.fds[0]}'
        if not os.path.exists(f'{self.directory_of_vm}/vcpu0/pid'):
            skip("KVM's debugfs does not show the threads of vCPUs")

    def write(self, wrong=0):
        """Write a recording of the VM; its time does not matter, because nothing changes"""
        set_offset(self.vm, 0, OFFSET)
        scenario = Scenario(vcpus=1, changes=0, segments=8, tids=[[os.getpid()]])
        vm, = scenario.vms
        vm.pid, vm.fd = os.getpid(), self.vm.fds[0]
        # Some kernels do not set the requested offset
        vm.vcpus[0].initial = int(read(f'{self.directory_of_vm}/vcpu0/tsc-offset').strip('\n\0')) + wrong
        scenario.write(self.path('made'))

    def record(self, status=DONE):
        done = subprocess.run([TOOL, 'record', '-A', 'g1'], cwd=self.path('out'), capture_output=True, text=True,
                              check=False, env=os.environ | {'TRACE_CMD': self.path('trace-cmd'), 'STATUS': str(status)})
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr.splitlines()[-1]

    def violations(self, out='out'):
        done = self.run_tool('check', '--json', 'trace.dat', 'trace-g1.dat', cwd=self.path(out))
        return json.loads(done.stdout)['guests'][0]['violations']

    def begin(self, out='out'):
        """Start a record whose trace-cmd waits. Returns the process, and a file: writing to it ends trace-cmd. By
        then the instance has everything."""
        os.mkfifo(self.path(f'{out}/fifo'))
        process = subprocess.Popen([TOOL, 'record', '-A', 'g1'], cwd=self.path(out), stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {'TRACE_CMD': self.path('trace-cmd')})
        self.addCleanup(process.kill)
        # This blocks until trace-cmd runs
        return process, open(self.path(f'{out}/fifo'), 'w', encoding='utf-8')

    @staticmethod
    def instances():
        return {name for name in os.listdir(f'{TRACEFS}/instances') if name.startswith('tsc_offset.record-')}

    def test_offset_that_does_not_change(self):
        self.write()
        name = f'{os.getpid()}-{self.vm.fds[0]}'
        self.assertRegex(self.record(), rf'^tsc-offset: trace-g1.dat: VM {name}, 1 vCPU, 0 changes; '
                                        r'([0-9,]+) of \1 sampled events in guest mode, error at most [0-9,]+ cycles$')
        self.assertEqual(self.violations(), 0)
        # The control: the files alone lack the offset
        done = self.run_tool('stamp', 'made/host.dat', 'made/g1.dat')
        self.assertNotEqual(done.returncode, DONE)

    def kill(self):
        """Kill record while trace-cmd continues; it ends later. Returns the name of the instance that is left."""
        process, fifo = self.begin()
        with process, fifo:
            process.kill()
            process.wait()
            fifo.write('end\n')
        deadline = time.monotonic() + 30
        while not os.path.exists(self.path('out/ended')):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        name = f'tsc_offset.record-{process.pid}-0'
        self.assertIn(name, self.instances())
        return name

    def stamp_here(self):
        return subprocess.run([TOOL, 'stamp', '--in-place', 'trace.dat', 'trace-g1.dat'], cwd=self.path('out'),
                              capture_output=True, text=True, check=False)

    def test_killed(self):
        """stamp completes the recording from the instance that is left, once"""
        self.write()
        name = self.kill()
        done = self.stamp_here()
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertIn('trace.dat: tsc-offset record was killed during this recording: using the offsets', done.stderr)
        self.assertEqual(self.violations(), 0)
        self.assertNotIn(name, self.instances())

    def test_killed_elsewhere(self):
        """The control: the instance of another file's recording is not touched"""
        self.write()
        name = self.kill()
        os.rename(self.path('out/trace.dat'), self.path('out/other.dat'))
        done = subprocess.run([TOOL, 'stamp', '--in-place', 'other.dat', 'trace-g1.dat'], cwd=self.path('out'),
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, DONE)
        self.assertNotIn('was killed', done.stderr)
        os.rmdir(f'{TRACEFS}/instances/{name}')

    def two_at_once(self, first_to_end):
        """Two recordings of the same VM: neither uses the other's instance or offsets"""
        outs = ['out', 'out2']
        begun = {out: self.begin(out) for out in outs}
        running = {out: f'tsc_offset.record-{process.pid}-' for out, (process, _) in begun.items()}
        for out in sorted(outs, key=lambda out: out != first_to_end):
            process, fifo = begun[out]
            names = self.instances()
            for name in running.values():
                self.assertTrue(any(found.startswith(name) for found in names), (name, names))
            with process, fifo:
                fifo.write('end\n')
                fifo.flush()
                said = process.stderr.read()
            self.assertEqual(process.returncode, DONE, said)
            self.assertRegex(said, r'tsc-offset: trace-g1.dat: VM .* 1 vCPU, 0 changes; ([0-9,]+) of \1 sampled events '
                                   r'in guest mode, error at most [0-9,]+ cycles\n\Z')
            self.assertNotIn('killed recording', said)
            self.assertEqual(self.violations(out), 0)
            del running[out]
        self.assertEqual(self.instances(), set())

    def test_two_at_once(self):
        self.write()
        self.two_at_once('out')

    def test_two_at_once_in_turn(self):
        self.write()
        self.two_at_once('out2')

    def fill(self, room):
        """Record with this much free space after trace-cmd. Returns the last message."""
        self.write()
        # What record appends would otherwise fit into an existing page
        os.truncate(self.path('made/g1.dat'), -(-os.path.getsize(self.path('made/g1.dat')) // 4096) * 4096)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'none', self.path('out')], check=True)
        self.addCleanup(subprocess.run, ['umount', self.path('out')], check=True)
        if not room:
            with open(self.path('out/fill'), 'wb'):
                pass
        return self.record(status=7)

    def test_disk_full(self):
        """trace-cmd's files and exit status are unchanged"""
        self.assertRegex(self.fill(room=False), 'No space left on device; trace-g1.dat is left as trace-cmd wrote it$')
        for name, made in ('trace.dat', 'host.dat'), ('trace-g1.dat', 'g1.dat'):
            self.assertTrue(filecmp.cmp(self.path(f'out/{name}'), self.path(f'made/{made}'), shallow=False), name)
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['ended', 'fill', 'trace-g1.dat', 'trace.dat'])
        self.assertEqual(self.instances(), set())

    def test_disk_with_room(self):
        """The control: with enough space"""
        self.assertRegex(self.fill(room=True), 'sampled events in guest mode')
        self.assertFalse(filecmp.cmp(self.path('out/trace-g1.dat'), self.path('made/g1.dat'), shallow=False))
        self.assertEqual(self.violations(), 0)

    def test_wrong_offset(self):
        """The control: a recording with another offset than the machine's"""
        self.write(wrong=12_345_678)
        self.assertTrue(re.search('in doubt|left as trace-cmd wrote it', self.record()))


if __name__ == '__main__':
    main_live()
