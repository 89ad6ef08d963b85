#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Offsets that the host did not record, estimated by guest mode, in recordings with known offsets."""
import collections
import json
import os
import re
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, TOOL, Case, built, main
from scenario import Scenario
import trace_dat
PROGRAM = built('tests/files/estimate_shifts')
Shift = collections.namedtuple('Shift', 'cpu events inside violations unique low high')


def estimate(host, guest, *vm):
    """{CPU: Shift} of the CPUs that have an estimate"""
    out = subprocess.run([PROGRAM, host, guest, *map(str, vm)], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    found = [Shift(*map(int, line.split())) for line in out.splitlines() if line.count(' ') > 1]
    return {shift.cpu: shift for shift in found}


class Base(Case):
    def setUp(self):
        super().setUp()
        self.host, self.guest = (os.path.join(self.directory, name) for name in ('host.dat', 'g1.dat'))

    def certain(self, shifts, right, what=''):
        """Each estimate is certain and right. @right: {CPU: host minus guest}"""
        self.assertEqual(shifts.keys(), right.keys(), what)
        for cpu, shift in shifts.items():
            self.assertTrue(shift.unique and not shift.violations, f'{what} {shift}')
            self.assertTrue(shift.low <= right[cpu] <= shift.high, f'{what} {shift}, not {right[cpu]}')
        print(what, ', '.join(f'CPU {cpu}: {shift.low - right[cpu]} to +{shift.high - right[cpu]} cycles'
                              for cpu, shift in shifts.items()))

    def write(self, **parameters):
        options = {name: parameters.pop(name) for name in ('version', 'compression') if name in parameters}
        scenario = Scenario(**{'changes': 0, 'segments': 60, **parameters})
        scenario.write(self.directory, **options)
        return scenario

    @staticmethod
    def right(scenario, vm=0):
        return {vcpu.index: -vcpu.initial for vcpu in scenario.vms[vm].vcpus}


class TestRecordings(Base):
    """Recordings of the emulated host"""
    def files(self, name):
        return [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]

    def bound_of_check(self, host, guest):
        done = subprocess.run([TOOL, 'check', '--json', host, guest], stdout=subprocess.PIPE, check=True)
        result, = json.loads(done.stdout)['guests']
        return {cpu['cpu']: cpu['may_be_moved'] for cpu in result['buffers'][0]['cpus']}

    def test_still(self):
        """trace-cmd read the offset from debugfs: 8824146511 at all times"""
        host, guest = self.files('agent-still')
        right = 8824146511
        shifts = estimate(host, guest)
        self.certain(shifts, {0: right, 1: right}, 'agent-still')
        # The bounds of check for the same file are within those of the estimate
        for cpu, bound in self.bound_of_check(host, guest).items():
            self.assertLessEqual(shifts[cpu].low, right - bound['earlier'])
            self.assertGreaterEqual(shifts[cpu].high, right + bound['later'])

    def test_moved(self):
        """Two offsets, neither of which is right for all events: one of them is found, but it is not certain"""
        host, guest = self.files('agent-moved')
        offsets = {}
        for event in trace_dat.report('-i', host):
            if event.event == 'kvm_write_tsc_offset':
                vcpu, *both = map(int, re.findall(r'=(\d+)', event.text))
                offsets[vcpu] = [2 ** 64 - offset for offset in both]
        self.assertEqual(offsets.keys(), {0, 1})
        for cpu, shift in estimate(host, guest).items():
            self.assertGreater(shift.violations, 0)
            self.assertTrue(any(shift.low <= right <= shift.high for right in offsets[cpu]), shift)
            print(f'agent-moved CPU {cpu}: {shift.inside} of {shift.events} events inside, '
                  f'{shift.violations} violations')


class MadeUp(Base):
    def try_seeds(self, seeds):
        for seed in seeds:
            scenario = self.write(seed=seed, vms=2)
            self.certain(estimate(self.host, self.guest), self.right(scenario), f'seed {seed}')


class TestMoreSeeds(MadeUp):
    """These run only in the slow suite"""
    def test_seeds(self):
        self.try_seeds(range(5, 20))


class TestMadeUp(MadeUp):
    def test_kinds_of_files(self):
        for kind in (dict(), dict(version=6), dict(compression='zstd'), dict(vcpus=1), dict(stays=100),
                     dict(vms=3, vcpus=4, vcpu_ids=[0, 2, 8, 9], host_cpus=5, segments=120),
                     dict(guest_instances={'inside': ['sched_switch', 'sys_enter']}),
                     dict(lose_every=3), dict(lose_every=3, lost_counts=False), dict(guest_lose_every=3),
                     dict(absolute_every=3, discard_every=5), dict(idle=3), dict(idle=0)):
            scenario = self.write(**kind)
            self.certain(estimate(self.host, self.guest), self.right(scenario), str(kind))

    def test_seeds(self):
        self.try_seeds(range(5))

    def test_partly_recorded(self):
        for host, guest in ((0, 40), (20, 60)), ((20, 60), (0, 40)), ((25, 45), (0, 60)), ((0, 60), (25, 45)):
            scenario = self.write(host_segments=host, guest_segments=guest)
            self.certain(estimate(self.host, self.guest), self.right(scenario), f'{host} and {guest}')

    def test_nothing_in_common(self):
        for seed in range(5):
            self.write(host_segments=(0, 30), guest_segments=(31, 60), seed=seed)
            for shift in estimate(self.host, self.guest).values():
                self.assertTrue(shift.violations or not shift.unique, shift)

    def test_wrong_vm(self):
        scenario = self.write(vms=2, linked=False)
        self.certain(estimate(self.host, self.guest, 2010), self.right(scenario), 'its own VM')
        for shift in estimate(self.host, self.guest, 2110).values():
            self.assertTrue(shift.violations or not shift.unique, shift)

    def test_moved(self):
        for seed in range(5):
            scenario = self.write(changes=1, seed=seed, jump=(1_000_000, 5_000_000))
            for cpu, shift in estimate(self.host, self.guest).items():
                vcpu, = [vcpu for vcpu in scenario.vms[0].vcpus if vcpu.index == cpu]
                change, = vcpu.changes
                self.assertTrue(any(shift.low <= -offset <= shift.high
                                    for offset in (change.previous, change.offset)), shift)
                if shift.inside < .9 * shift.events:
                    self.assertTrue(shift.violations or not shift.unique, shift)

    def test_large(self):
        """More events than fit into memory"""
        scenario = self.write(events=1_000_000, bulk=True, stays=200, segments=None, idle=20)
        self.certain(estimate(self.host, self.guest), self.right(scenario), 'a million events')


if __name__ == '__main__':
    main('trace-cmd')
