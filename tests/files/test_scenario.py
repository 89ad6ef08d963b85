#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The files of scenario.py: the real trace-cmd report shows the contents of the scenario, and our code reads the same
as libtracecmd.
"""
import re
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import Case, built, each, main
from scenario import Scenario
import trace_dat

CASES = {
    'defaults': ({}, {}),
    'version 6': ({}, dict(version=6)),
    'zlib': ({}, dict(compression='zlib')),
    'zstd, sizes of trace-cmd 3.2': ({}, dict(compression='zstd', count_in_size=True)),
    'pages of 8 KiB': ({}, dict(page_size=8192)),
    'long of 4 bytes, version 6': ({}, dict(long_size=4, version=6)),
    'long of 4 bytes': ({}, dict(long_size=4)),
    'three guests on 2 CPUs': (dict(vms=3, host_cpus=2, segments=30), {}),
    'one vCPU': (dict(vcpus=1, changes=0), {}),
    '20 CPUs': (dict(vms=5, vcpus=4, migrate=False), dict(compression='zstd')),
    'from boot, together': (dict(boot=True, together=True, unchanged=2), {}),
    'patched, scaled': (dict(patched=True, ratio=1.25), {}),
    'numbers of VMs': (dict(patched='id', ratio=1.25), {}),
    'rescaled': (dict(patched=True, ratio=1, rescale=[1.25, 1.3]), {}),
    'scaled, 32 bits': (dict(ratio=0.8, frac_bits=32), {}),
    'backward': (dict(vms=2, direction='both', changes=5), {}),
    'previous 0, foreign writer': (dict(previous_zero=True, foreign_writer=True), {}),
    'instances': (dict(host_instances={'tsc_offset': ['kvm_write_tsc_offset'], 'empty': []},
                       guest_instances={'calls': ['sys_enter', 'sys_exit']}), {}),
    'instances, version 6': (dict(host_instances={'tsc_offset': ['kvm_write_tsc_offset'], 'empty': []}),
                             dict(version=6)),
    'instances, zstd': (dict(host_instances={'tsc_offset': ['kvm_write_tsc_offset']}),
                        dict(compression='zstd')),
    'lost events': (dict(lose_every=2, guest_lose_every=3, lose_changes=[(0, 1, 0)]), {}),
    'lost events, numbers unknown': (dict(lose_every=2, guest_lose_every=3, lost_counts=False), {}),
    'absolute times': (dict(absolute_every=3), {}),
    'absolute times beyond 59 bits': (dict(absolute_every=1, start=3 << 60), {}),
    'discarded events': (dict(discard_every=7), {}),
    'the host began late': (dict(host_segments=(2, 4)), {}),
    'the guest stopped early': (dict(guest_segments=(0, 2)), {}),
    'unlinked': (dict(linked=False), {}),
    'polled offsets': ({}, dict(time_shift='stock')),
    'copies': (dict(vms=2, bulk=True, segments=40, changes=3), {}),
    'copies, lost events': (dict(bulk=True, segments=40, lose_every=4), dict(compression='zstd')),
    'copies, backward': (dict(bulk=True, segments=20, changes=5, direction='backward'), {}),
}


def read(path, *arguments):
    return [(event.time, event.cpu, event.tid, event.event)
            for event in trace_dat.report(*arguments, '-i', path)]


def dropped(path):
    """The numbers of lost events in report; -1 if unknown"""
    out = subprocess.run(['trace-cmd', 'report', '-N', '-i', path], check=True, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [int(number or -1) for number in re.findall(r'\[(\d*) ?EVENTS DROPPED\]', out)]


def ours(directory, scenario, *arguments):
    """Lines of compare_events: [buffer, events, lost, checksum] of each file"""
    files = [f'{name}.dat' for name in ['host'] + [vm.name for vm in scenario.vms]]
    out = subprocess.run([built('tests/files/compare_events'), *arguments, *files], cwd=directory, check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {file: [line.split()[1:] for line in out.splitlines() if line.startswith(file)]
            for file in files}


def outside(scenario):
    """The guests' events that are not between an entry and an exit of their vCPU"""
    host = scenario.events('host')
    steps = {'kvm_entry': 1, 'kvm_exit': -1}
    for vm in scenario.vms:
        guest = scenario.events(vm.name)
        for vcpu in vm.vcpus:
            depth = 0
            for _, step in sorted([(event.host_tsc, 0) for event in guest if event.cpu == vcpu.index] +
                                  [(event.host_tsc, steps[event.name]) for event in host
                                   if event.pid == vcpu.tid and event.name in steps]):
                depth += step
                if depth not in (0, 1) or not (step or depth):
                    return f'{vm.name}: an event of vCPU {vcpu.index} outside of guest mode'
    return None


@each(CASES)
class TestFiles(Case):
    def one(self, parameters, options):
        compression = options.get('compression', 'none')
        known = subprocess.run(['trace-cmd', 'list', '-c'], check=True, stdout=subprocess.PIPE, text=True).stdout
        if compression not in known + 'none':
            self.skipTest(f'this trace-cmd cannot decompress {compression}')
        scenario = Scenario(**parameters)
        truth = scenario.write(self.directory, **options)
        read_by_us = ours(self.directory, scenario)
        sizes = {name: options[name] for name in ('page_size', 'long_size') if name in options}
        for name in ['host'] + [vm.name for vm in scenario.vms]:
            path = self.path(f'{name}.dat')
            events = scenario.events(name, **sizes)
            wanted = [(event.time, event.cpu, event.pid, event.name) for event in events]
            self.same(read(path, '--raw-ts'), wanted, name)
            file = truth['host'] if name == 'host' else \
                next(guest for guest in truth['guests'] if guest['name'] == name)
            self.assertEqual(sum(file['counts'].values()), len(wanted), name)
            self.loses(path, file['lost'], name, parameters)
            lost = sum(file['lost']) if parameters.get('lost_counts', True) else 0
            self.assertEqual([sum(int(buffer[i]) for buffer in read_by_us[f'{name}.dat']) for i in (1, 2)],
                             [len(wanted), lost], f'{name}: our readers')
        if 'lose_every' not in parameters and 'host_segments' not in parameters:
            self.assertIsNone(outside(scenario))

    def same(self, found, wanted, name):
        """Compare long lists; only the first difference matters"""
        for pair in zip(found, wanted):
            self.assertEqual(*pair, name)
        self.assertEqual(len(found), len(wanted), name)

    def loses(self, path, lost, name, parameters):
        """report shows lost events, and their number if known"""
        gaps = dropped(path)
        if name == 'host':
            self.assertEqual(any('lose_' in parameter for parameter in parameters), bool(gaps))
        if parameters.get('lost_counts', True):
            self.assertEqual(sum(gaps), sum(lost), f'{name}: {gaps}, not {lost}')
        else:
            self.assertLessEqual(max(gaps), 0, name)


class TestMore(Case):
    def test_zlib(self):
        """Debian builds trace-cmd and its library without zlib: compare with the events of an uncompressed file"""
        scenario = Scenario(vms=2, segments=20, host_instances={'tsc_offset': ['kvm_write_tsc_offset']})
        found = []
        for compression in 'none', 'zlib':
            scenario.write(self.directory, compression=compression)
            found.append(ours(self.directory, scenario, '-o'))
        self.assertEqual(*found)
        self.assertTrue(found[0]['host.dat'])

    def test_shift(self):
        """With the option of points() report shows the host's times"""
        scenario = Scenario(vms=2, changes=4)
        scenario.write(self.directory, time_shift='exact')
        for vm in scenario.vms:
            path = self.path(f'{vm.name}.dat')
            for vcpu in vm.vcpus:
                wanted = [event.host_tsc for event in scenario.events(vm.name) if event.cpu == vcpu.index]
                self.assertEqual([time for time, *_ in read(path, '--cpu', str(vcpu.index))], wanted)
                # The control: guest time is not host time
                self.assertNotEqual([time for time, *_ in read(path, '--cpu', str(vcpu.index), '--raw-ts')], wanted)
        merged = trace_dat.report('-i', self.path('host.dat'), '-i', self.path('g1.dat'), '-i', self.path('g2.dat'))
        times = [event.time for event in merged]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len({event.file for event in merged}), 3)


if __name__ == '__main__':
    main('trace-cmd')
