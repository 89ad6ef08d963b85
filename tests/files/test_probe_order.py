#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""probe-order, which evaluates the lab's recordings: its results for probes
in order, out of order, and with lost events."""
import json
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import TREE, Case, main

GUEST = 'g.dat: probe-7 [000] {}: print: 0xffff: probe {} {:04x} 0 0'
HOST = 'h.dat: CPU 0/KVM-9 [{:03}] {}: {}: {}'
PIO = 'pio_write at 0x5f{} size 1 count 1 val 0x{:x}'


def access(time, value, cpu=0):
    """An exit, two port writes and an entry on the host"""
    return [HOST.format(cpu, time, 'kvm_exit', 'reason io'),
            HOST.format(cpu, time + 1, 'kvm_pio', PIO.format(0, value & 0xff)),
            HOST.format(cpu, time + 2, 'kvm_pio', PIO.format(1, value >> 8)),
            HOST.format(cpu, time + 3, 'kvm_entry', 'vcpu 0')]


def probe(time, value, cpu=0, shift=0):
    return [GUEST.format(time + shift - 1, 'b', value), *access(time, value, cpu),
            GUEST.format(time + shift + 4, 'a', value)]


class TestOrder(Case):
    def judged(self, lines, *options):
        text = ''.join(line + '\n' for line in lines)
        done = subprocess.run([TREE / 'scripts/lab/probe-order', '--json', *options], input=text, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.stderr, '')
        found = json.loads(done.stdout)
        return found['probes'], found['out_of_order'], found['unpaired'], done.returncode

    def test_order(self):
        self.assertEqual(self.judged(probe(100, 1) + probe(200, 0x102, cpu=1)), (2, 0, 0, 0))
        self.assertEqual(self.judged(probe(100, 1) + probe(200, 2, shift=50)), (2, 1, 0, 1))

    def test_lost_entry(self):
        """The next recorded entry does not belong to this probe"""
        lines = [line for line in probe(200, 2) if ' 203: kvm_entry' not in line]
        later = [HOST.format(0, 250, 'kvm_exit', 'reason msr'), HOST.format(0, 251, 'kvm_entry', 'vcpu 0')]
        around = probe(100, 1), probe(300, 3)
        self.assertEqual(self.judged(around[0] + lines + later + around[1]), (3, 1, 0, 1), 'control: no loss reported')
        # trace-cmd prints no file for the event after a loss
        later = ['h.dat: CPU:0 [12 EVENTS DROPPED]', later[0].replace('h.dat:', ''), later[1]]
        self.assertEqual(self.judged(around[0] + lines + later + around[1]), (2, 0, 1, 1))

    def test_lost_elsewhere(self):
        """Losses on a CPU on which this probe did not run, and losses of the guest"""
        lines = probe(100, 1) + probe(200, 2, cpu=1) + probe(300, 3, cpu=0)
        at = next(n for n, line in enumerate(lines) if ' 202: kvm_pio' in line)
        for lost in 'h.dat: CPU:0 [EVENTS DROPPED]', 'g.dat: CPU:1 [12 EVENTS DROPPED]':
            self.assertEqual(self.judged(lines[:at] + [lost] + lines[at:]), (3, 0, 0, 0))

    def test_twice(self):
        """Two losses without a probe's event in between end with the next event"""
        lines = probe(100, 1) + ['h.dat: CPU:0 [EVENTS DROPPED]'] * 2 + probe(200, 2) + probe(300, 3)
        self.assertEqual(self.judged(lines), (3, 0, 0, 0))

    def test_values(self):
        """Events of another guest on the host do not count"""
        lines = probe(100, 1) + access(150, 0x4001, cpu=1) + probe(200, 0x3fff) + probe(300, 0x4000, shift=50)
        self.assertEqual(self.judged(lines), (3, 1, 1, 1), 'control')
        self.assertEqual(self.judged(lines, '--values', '0-0x3fff'), (2, 0, 0, 0))
        self.assertEqual(self.judged(lines, '--values', '0x4000-0x4fff'), (1, 1, 1, 1))


if __name__ == '__main__':
    main()
