#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset mark on this machine's KVM: the lines in a buffer of tracefs equal debugfs."""
import glob
import os
import re
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, USAGE, Case
from kvm_tracing import TRACING, Tool, Vm, main_live, read, write

MARK = Tool('mark')
PID = os.getpid()
NAME = f'tsc_offset_test_mark.{PID}'
BUFFER = f'{TRACING}/instances/{NAME}'
LINE = re.compile(r'tracing_mark_write: tsc-offset mark 1 vm=(\d+)-\d+ vcpu=(\d+) thread=(\d+) offset=(-?\d+) '
                  r'ratio=(\d+) bits=(\d+) protected=0 from=(\d+) until=(\d+)$', re.M)


class TestMark(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(BUFFER)
        self.addCleanup(lambda: os.path.isdir(BUFFER) and os.rmdir(BUFFER))
        write(f'{BUFFER}/trace_clock', 'x86-tsc')
        self.vm = Vm(2)
        self.addCleanup(self.vm.close)
        self.vm.set_tsc(0, 1 << 40)
        self.vm.set_tsc(1, 1 << 45)
        self.vm.run(0)

    def lines(self):
        """The mark's lines for this process's VM"""
        return [line.groups() for line in LINE.finditer(read(f'{BUFFER}/trace')) if int(line[1]) == PID]

    def test_lines(self):
        done = MARK('-B', NAME)
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertRegex(done.stderr, rf'marked [0-9]+ vCPUs \([0-9]+ VMs?\) in {NAME}; offsets from ')
        offsets = [int(read(glob.glob(f'/sys/kernel/debug/kvm/{PID}-*/vcpu{number}/tsc-offset')[0]))
                   for number in range(2)]
        found = self.lines()
        self.assertEqual([(int(vcpu), int(offset)) for _, vcpu, _, offset, *_ in found], list(enumerate(offsets)))
        self.assertEqual([int(thread) for _, _, thread, *_ in found], [PID, 0])
        for _, _, _, _, ratio, bits, begin, end in found:
            self.assertEqual(int(ratio), 1 << int(bits))
            self.assertLessEqual(int(begin), int(end))
        text = read(f'{BUFFER}/trace')
        self.assertLess(text.index('mark 1 begin'), text.index('mark 1 vm='))
        self.assertFalse(glob.glob(f'{TRACING}/instances/tsc_offset.record-*'))

    def test_option(self):
        self.assertEqual(MARK('--instance', NAME).returncode, DONE)
        self.assertEqual(len(self.lines()), 2)

    def test_clock(self):
        write(f'{BUFFER}/trace_clock', 'local')
        done = MARK('-B', NAME)
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn(f'the clock of {NAME} is local, not x86-tsc', done.stderr)

    def test_off(self):
        """A buffer that does not record gets no mark"""
        write(f'{BUFFER}/tracing_on', '0')
        self.one_line(MARK('-B', NAME), FAILED, f'nothing is recorded in {NAME}')
        self.assertEqual(self.lines(), [])

    def test_no_instance(self):
        for name in 'no_such', '../instances', '':
            self.one_line(MARK('-B', name), FAILED, 'there is no instance')

    def test_usage(self):
        self.assertEqual(MARK('more').returncode, USAGE)

    def test_without_mounts(self):
        self.one_line(MARK.hidden(f'umount {TRACING}', '-B', NAME), FAILED, 'tracefs is not mounted')
        self.one_line(MARK.hidden('umount -a -t debugfs', '-B', NAME), FAILED, 'debugfs')


if __name__ == '__main__':
    main_live('unshare')
