#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""stamp on files that scenario.py generates.

The real trace-cmd report must show each of the guest's events at its host time afterwards.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, each, main
from scenario import Scenario
import trace_dat
from trace_dat import differing
import trace_dat_writer

ESTIMATED = re.compile(r'vCPU (\d+): offset estimated as (-?\d+), wrong by at most (\d+) cycles')

# A host's file that proves nothing
UNPROVED = dict(unrecorded=['kvm_entry', 'kvm_exit'])

# name: (parameters of the scenario, options of the writer, arguments of stamp, status, words on stderr)
RIGHT = {
    'two vCPUs': ({}, {}, [], DONE, []),
    'many changes': (dict(changes=40, vcpus=3), {}, [], DONE, []),
    'one that never changed and one that was written': (dict(changes=0, unchanged=1), {}, [], DONE, []),
    'from boot': (dict(boot=True, changes=3), {}, [], DONE, []),
    'made while the host was recorded':
        (dict(boot=True, resets=(2,), segments=8, guest_segments=(3, 8), changes=2), {}, [], DONE, []),
    'made and reset while the host was recorded, patched kernel':
        (dict(patched=True, ratio=1.25, boot=True, resets=(2, 3), segments=12, guest_segments=(8, 12), idle=1000),
         {}, [], DONE, []),
    'all vCPUs at once': (dict(together=True, changes=5), {}, [], DONE, []),
    'sparse vcpu_ids': (dict(vcpus=3, vcpu_ids=[0, 2, 5]), {}, [], DONE, []),
    'version 6': ({}, dict(version=6), [], DONE, []),
    'zstd': ({}, dict(compression='zstd'), [], DONE, []),
    'pages of 8 KiB': ({}, dict(page_size=8192), [], DONE, []),
    'an instance of its own for the offsets':
        (dict(host_instances={'tsc_offset': ['kvm_write_tsc_offset']}, changes=3), {}, [], DONE, []),
    'scaled, a patched kernel': (dict(patched=True, ratio=1.25, changes=3), {}, [], DONE, []),
    'scaled down, 32 bits':
        (dict(patched=True, ratio=0.8, frac_bits=32, changes=3), {}, [], DONE, []),
    'rescaled': (dict(patched=True, ratio=1, rescale=[1.25, 1.3], changes=3), {}, [], DONE, []),
    'scaled, with numbers of VMs': (dict(patched='id', ratio=1.25, changes=3), {}, [], DONE, []),
    'rescaled, with numbers of VMs': (dict(patched='id', ratio=1, rescale=[1.25, 1.3], changes=3), {}, [], DONE, []),
    'numbers of VMs, two VMs': (dict(patched='id', vms=2, changes=3), {}, ['--vm', '2110'], DONE, []),
    'numbers of VMs of one process': (dict(patched='id', vms=2, one_process=True, changes=3, linked=False), {},
                                      [], DONE, []),
    'numbers of VMs of one process, with marks':
        (dict(patched='id', vms=2, one_process=True, changes=3, linked=False, marks={0: None}), {},
         ['--vm', '2000-13'], DONE, []),
    'patched, two VMs': (dict(patched=True, vms=2, changes=3), {}, ['--vm', '2100'], DONE, []),
    'patched, two VMs of one process': (dict(patched=True, vms=2, one_process=True, changes=3, linked=False), {},
                                        ['--vm', '2000-13'], DONE, []),
    'stock, two VMs, by a thread': (dict(vms=2, changes=3, linked=False), {}, ['--vm', '2111'], DONE, []),
    'two VMs, by all threads':
        (dict(vms=2, changes=3, linked=False), {}, ['--vm', '2110,2111'], DONE, []),
    'the guest began first': (dict(host_segments=(2, 6), changes=2), {}, [], DONE,
                              ["before the host's; its first events have nothing to be merged with"]),
    'two VMs of one process, which the events distinguish':
        (dict(patched=True, vms=2, one_process=True, linked=False), {}, [], DONE, []),
    'two VMs, which the events distinguish': (dict(vms=2, changes=2, linked=False), {}, [], DONE, []),
    'booted anew before it was recorded':
        (dict(resets=(3,), segments=8, guest_segments=(4, 8)), {}, [], DONE, []),
    'booted anew, and --boot says when':
        (dict(UNPROVED, resets=(3,), segments=8, guest_segments=(3, 8)), {}, ['--boot', '1'], DONE, []),
    'booted anew, and --since says when':
        (dict(UNPROVED, resets=(3,), segments=8, guest_segments=(3, 8)), {}, ['--since', '50554826330'], DONE, []),
    'booted twice, and --boot says which':
        (dict(UNPROVED, resets=(3, 6), segments=10, guest_segments=(6, 10)), {}, ['--boot', '2', '--vm', '2010'],
         DONE, []),
    'a vCPU is plugged into a guest that is almost as old as its host':
        (dict(plugged=[(0, 1)], age=45_000_000_000, changes=2), {}, [], DONE, []),
    'three VMs that take turns': (dict(vms=3, host_cpus=2, segments=30, changes=4), {}, [], DONE, []),
}

# Cases that are doubtful or impossible
WRONG = {
    'a change of the scaling was lost':
        (dict(patched=True, ratio=1.25, rescale=[1.3], changes=1, jump=(1, 1), lose_changes=[(0, 0, 0), (0, 1, 0)]),
         {}, [], INCOMPLETE, ['vCPU 0: guest times', 'lost']),
    'scaled down while it ran': (dict(patched=True, ratio=1, rescale=[0.9999], changes=1), {}, [], INCOMPLETE,
                                 ['backward']),
    'backward': (dict(changes=4, direction='backward'), {}, [], INCOMPLETE, ['vCPU 0: guest times', 'backward']),
    'a change was lost': (dict(changes=4, lose_changes=[(0, 0, 1)]), {}, [], INCOMPLETE,
                          ['vCPU 0: guest times', 'lost']),
    'events were lost': (dict(changes=4, lose_every=3), {}, [], INCOMPLETE, ['guest times', 'lost']),
    'nothing changed, in place': (dict(changes=0), {}, ['--in-place'], FAILED, ['vCPU 0', 'no offset is known', '--initial']),
    'nothing changed, and a small error is permitted': (dict(changes=0), {}, ['--max-error', '1'], FAILED,
                                                        ['was not recorded', 'may be wrong by more than --max-error']),
    'the previous offset is not told': (dict(previous_zero=True, changes=3), {}, [], FAILED,
                                        ['do not report', '--initial']),
    'two VMs, and nothing shows when they ran':
        (dict(vms=2, linked=False, unrecorded=['kvm_entry', 'kvm_exit']), {}, [], FAILED,
         ['2 VMs', 'VM 2010 (', 'VM 2110 (', '--vm', "try each with 'stamp --vm VM -o FILE'"]),
    'two VMs of one process, which does not tell them apart':
        (dict(patched=True, vms=2, one_process=True, linked=False), {}, ['--vm', '2000'], FAILED,
         ['no VM "2000"', '2000-12', '2000-13']),
    'a protected TSC': (dict(protected=[0]), {}, [], FAILED,
                        ['vCPU 0', 'vCPU 1', 'TSC is protected', '--estimate', 'ptp']),
    'a VM that is not there': ({}, {}, ['--vm', '77'], FAILED, ['no VM "77"', '2010']),
    'in place, version 6': ({}, dict(version=6), ['--in-place'], FAILED, ['version 6']),
    'an instance beside the top buffer':
        (dict(guest_instances={'calls': ['sys_enter', 'sys_exit']}), {}, [], INCOMPLETE,
         ['instance "calls"', '--buffer calls']),
    'booted anew, and nothing says when':
        (dict(UNPROVED, resets=(3,), segments=8, guest_segments=(3, 8)), {}, [], INCOMPLETE, ['ambiguous']),
    'booted twice, and --boot says the wrong one':
        (dict(UNPROVED, resets=(3, 6), segments=10, guest_segments=(6, 10)), {}, ['--boot', '1'], INCOMPLETE,
         ['ambiguous']),
    'a boot that is not there':
        (dict(resets=(3,), segments=8, guest_segments=(3, 8)), {}, ['--boot', '2'], FAILED,
         ['VM 2010 has no boot 2', 'lists 1']),
    'a boot of which VM?': (dict(vms=2, linked=False), {}, ['--boot', '1'], FAILED, ['--boot requires --vm']),
    'it was restored, and --check full sees that --boot is wrong':
        (dict(loads=[(0, 2, 6)], segments=10), {}, ['--check', 'full', '--boot', '1'], INCOMPLETE,
         ['events are at times at which their vCPU did not run']),
    'the last events fit before a saved state was loaded and after it':
        (dict(vcpus=1, segments=5, stays=2, changes=0, loads=[(0, 1, 3)], guest_segments=(0, 4), guest_events=2, idle=0,
              seed=8), {}, [], INCOMPLETE, ['vCPU 0: guest times', 'fit before and after it equally']),
    'two saved states were loaded, the second one of after the first':
        (dict(vcpus=1, segments=6, stays=1, changes=0, loads=[(0, 1, 3), (0, 3, 4)], guest_events=1, idle=0,
              start=100_000_000_000, jump=(20000, 300000), seed=35), {}, [], INCOMPLETE,
         ['fit before and after it equally']),
    'they may be of after it, where a kvm_exit is missing':
        (dict(vcpus=2, segments=6, stays=3, changes=0, loads=[(0, 3, 5)], guest_events=2, idle=0, start=100_000_000_000,
              jump=(20000, 30000), missing_exits=3, seed=12), {}, [], INCOMPLETE, ['fit before and after it equally']),
    'the last events fit before a VM was restored in another process and after it':
        (dict(vcpus=1, segments=8, stays=3, guest_events=1, changes=1, jump=(20000, 30000), idle=0, moves=[(0, 3, 6)],
              seed=3), {}, [], INCOMPLETE, ['fits vCPU 0 (thread 2010) and vCPU 0 (thread 42010) equally']),
    'a few events that fit where a saved state was loaded, but were recorded after another load':
        (dict(vcpus=1, segments=8, stays=3, changes=0, loads=[(0, 1, 3), (0, 1, 7)], host_segments=(0, 5),
              guest_events=2, idle=0, start=100_000_000_000, jump=(500, 300000), seed=126), {}, [], INCOMPLETE,
         ['too few events to prove where they belong: its VM was restored or its vCPU plugged in again']),
    'a few events that fit, and many that were recorded before the host was':
        (dict(vcpus=2, segments=14, stays=6, changes=1, loads=[(0, 2, 5), (0, 6, 10)], host_segments=(4, 8),
              start=10 ** 14, jump=(10_000, 10 ** 9), seed=47), {}, [], INCOMPLETE,
         ['300 of 304 sampled events are outside', 'too few to prove anything']),
    'no such buffer': ({}, {}, ['--buffer', 'nowhere'], FAILED,
                       ['no buffer "nowhere"', 'there is only the top buffer']),
}


def initial_of(vm):
    return ','.join(f'{vcpu.vcpu_id}={vcpu.initial}' for vcpu in vm.vcpus)


class Base(Case):
    def stamp(self, arguments, guest, directory=''):
        return self.run_tool('stamp', *arguments, self.path(directory, 'host.dat'),
                             self.path(directory, f'{guest}.dat'))


class Result(Base):
    """The status and the messages of stamp"""
    right = False

    def one(self, parameters, options, arguments, status, words):
        scenario = Scenario(**parameters)
        scenario.write(self.directory, **options)
        vm = scenario.vms[1] if '--vm' in arguments and len(scenario.vms) > 1 else scenario.vms[0]
        before = differing(scenario, vm, self.path(f'{vm.name}.dat'))
        self.assertTrue(before[0], 'control: the file was right before')
        done = self.stamp(arguments, vm.name)
        self.assertEqual(done.returncode, status, done.stderr)
        # The result line and the exit status agree
        if status != FAILED:
            self.assertEqual(done.stdout.endswith('; a part is in doubt\n'), status == INCOMPLETE, done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)
        synced = self.path(f'{vm.name}.synced.dat')
        if status == FAILED:
            self.assertFalse(os.path.exists(synced))
        if self.right:
            wrong, total = differing(scenario, vm, synced)
            self.assertEqual(wrong, 0, f'{wrong} of {total} events at a wrong time')


@each(RIGHT)
class TestRight(Result):
    """All times are right"""
    right = True


@each(WRONG)
class TestWrong(Result):
    """Cases that stamp refuses or doubts"""


class TestInitial(Base):
    """Initial offsets that are not in the host's file"""

    def test_initial(self):
        """--initial gives offsets that events do not show"""
        scenario = Scenario(changes=0)
        scenario.write(self.directory)
        vm = scenario.vms[0]
        done = self.stamp(['--initial', initial_of(vm)], vm.name)
        wrong = differing(scenario, vm, self.path('g1.synced.dat'))
        if done.returncode or wrong[0]:
            self.fail(f'status {done.returncode}, {wrong}: {done.stderr}')
        for words in '0', '0=', '0=x', '=1', '0=1,', '0=1,0=2', '-1=5', '0=99999999999999999999':
            if self.stamp(['--initial', words], vm.name).returncode != USAGE:
                self.fail(f'--initial {words} was taken')

    def test_snapshot(self):
        """--initial-from takes initial offsets from the output of show --json for a later recording"""
        scenario = Scenario(changes=1, vms=2)
        scenario.write(self.directory)
        vm = scenario.vms[1]
        for words, status in ((vm.vcpus[0].tid, DONE), ('2010', FAILED)):
            shown = subprocess.run([TOOL, 'show', '--json', '--vm', str(words),
                                    self.path('host.dat')], capture_output=True, check=False)
            path = self.path('snapshot.json')
            with open(path, 'wb') as file:
                file.write(shown.stdout)
            later = self.path('later')
            os.makedirs(later, exist_ok=True)
            # The same VMs; this recording has no changes
            quiet = Scenario(changes=0, vms=2)
            for old, new in zip(scenario.vcpus, quiet.vcpus):
                new.initial = old.offset(1 << 62)
            quiet.write(later)
            done = self.stamp(['--initial-from', path], 'g2', 'later')
            if done.returncode != status:
                self.fail(f'status {done.returncode}, not {status}: {done.stderr} {shown.stderr}')
            if status == DONE:
                wrong = differing(quiet, quiet.vms[1], os.path.join(later, 'g2.synced.dat'))
                if wrong[0]:
                    self.fail(f'{wrong[0]} of {wrong[1]} events at a wrong time')

    def test_snapshot_of_one_process(self):
        """If a process has two VMs, --initial-from uses the one with the same name as in the recording"""
        self.snapshot_of_one_process(True, lambda i, vm: f'{vm.pid}-{vm.fd}')

    def test_snapshot_by_number(self):
        """or the one with the same number, whatever their names are"""
        self.snapshot_of_one_process('id', lambda i, vm: f'id{vm.kvm_id}')

    def snapshot_of_one_process(self, patched, name):
        def write(**parameters):
            scenario = Scenario(vms=2, one_process=True, patched=patched, changes=0, unchanged=1, linked=False,
                                **parameters)
            scenario.write(self.directory)
            return scenario
        path = self.path('snapshot.json')
        write()
        with open(path, 'wb') as file:
            subprocess.run([TOOL, 'show', '--json', self.path('host.dat')], stdout=file, check=True)
        # The recording has the name of each VM from one vCPU's event, and nothing of the other vCPU
        scenario = write(unseen=[1])
        for i, vm in enumerate(scenario.vms):
            arguments = ['--vm', name(i, vm)]
            if self.stamp(arguments, vm.name).returncode != FAILED:
                self.fail('control: it can do without a snapshot')
            done = self.stamp(arguments + ['--initial-from', path], vm.name)
            wrong = differing(scenario, vm, self.path(f'{vm.name}.synced.dat'))
            # The times are right, but the host's file does not show the vCPU in guest mode
            if done.returncode != INCOMPLETE or 'nothing proves its times' not in done.stderr or wrong[0]:
                self.fail(f'{vm.name}: status {done.returncode}, {wrong[0]} of {wrong[1]} at a wrong time: '
                          f'{done.stderr}')

    def test_estimate(self):
        """--estimate finds unknown offsets within its bound, and reports the bound"""
        scenario = Scenario(changes=0, segments=20)
        scenario.write(self.directory)
        vm = scenario.vms[0]
        done = self.stamp(['--estimate'], 'g1')
        found = ESTIMATED.findall(done.stderr)
        if done.returncode or len(found) != len(vm.vcpus):
            self.fail(f'status {done.returncode}: {done.stderr}')
        for (vcpu_id, offset, bound), vcpu in zip(found, vm.vcpus):
            if int(vcpu_id) != vcpu.vcpu_id or abs(int(offset) - vcpu.initial) > int(bound):
                self.fail(f'vCPU {vcpu_id}: {offset} is not within {bound} of {vcpu.initial}')
        bound = max(int(bound) for _, _, bound in found)
        wrong = differing(scenario, vm, self.path('g1.synced.dat'), bound)
        if wrong[0]:
            self.fail(f'{wrong[0]} of {wrong[1]} events at a wrong time')
        done = self.stamp([], 'g1')
        wrong = differing(scenario, vm, self.path('g1.synced.dat'), bound)
        if done.returncode != INCOMPLETE or wrong[0] or ESTIMATED.findall(done.stderr) != found or \
                'g1.dat: the offset of 2 of its CPUs was not recorded' not in done.stderr:
            self.fail(f'without being asked: status {done.returncode}, {wrong}: {done.stderr}')
        for error, status in (('1', FAILED), ('1ns', FAILED), ('1s', DONE), ('1 ms', USAGE), ('-1', USAGE)):
            done = self.stamp(['--estimate', '--max-error', error], 'g1')
            if done.returncode != status or (status == FAILED and 'more than --max-error' not in done.stderr):
                self.fail(f'--max-error {error}: status {done.returncode}: {done.stderr}')

    def test_estimate_protected(self):
        """--estimate and --initial on a guest whose TSC KVM does not know, as its host would record it"""
        scenario = Scenario(protected=[0], segments=20)
        scenario.write(self.directory)
        vm = scenario.vms[0]
        for arguments in ['--estimate'], ['--initial', initial_of(vm)]:
            done = self.stamp(arguments, 'g1')
            found = ESTIMATED.findall(done.stderr)
            bound = max((int(bound) for _, _, bound in found), default=0)
            wrong = differing(scenario, vm, self.path('g1.synced.dat'), bound)
            if done.returncode or wrong[0] or len(found) != (len(vm.vcpus) if arguments == ['--estimate'] else 0):
                self.fail(f'{arguments}: status {done.returncode}, {wrong}: {done.stderr}')

    def test_estimate_kept(self):
        """show --estimate --json keeps the bound, and stamp --initial-from takes it"""
        scenario = Scenario(changes=0, segments=20, vms=2)
        scenario.write(self.directory)
        vm = scenario.vms[1]
        host, guest, path = (self.path(name) for name in ('host.dat', 'g2.dat', 'kept.json'))

        def show(*arguments):
            return subprocess.run([TOOL, 'show', *arguments, host], capture_output=True, text=True, check=False)
        shown = show('--json', '--estimate', guest)
        with open(path, 'w') as file:
            file.write(shown.stdout)
        vms = json.loads(shown.stdout)['vms']
        if shown.returncode or any(vcpu['current'] for vcpu in vms[0]['vcpus']):
            self.fail(f'status {shown.returncode}: {shown.stderr} {shown.stdout}')
        table = show('--estimate', guest).stdout
        threads = ','.join(str(vcpu.tid) for vcpu in vm.vcpus)
        listed, = json.loads(show('--json', '--estimate', guest, '--vm', threads).stdout)['vms']
        if [vcpu['current'] for vcpu in listed['vcpus']] != [vcpu['current'] for vcpu in vms[1]['vcpus']]:
            self.fail(f'--vm {threads}: {listed}')
        bound = 0
        for told, vcpu in zip(vms[1]['vcpus'], vm.vcpus):
            offset, kept = told['current']['offset'], told['current']['estimate']
            bound = max(bound, kept['max_error'])
            if abs(offset - vcpu.initial) > kept['max_error'] or kept['violations']:
                self.fail(f'{told} is not {vcpu.initial}')
            if f'offset estimated as {offset}, wrong by at most {kept["max_error"]} cycles' not in table:
                self.fail(f'not in the table: {table}')
        done = self.stamp(['--initial-from', path], 'g2')
        wrong = differing(scenario, vm, self.path('g2.synced.dat'), bound)
        if done.returncode or wrong[0] or f'is an estimate, wrong by at most {bound} cycles' not in done.stderr:
            self.fail(f'status {done.returncode}, {wrong}: {done.stderr}')
        for arguments, status in ((['--max-error', '1'], FAILED), (['--max-error', '1 ms'], USAGE)):
            if show('--estimate', guest, *arguments).returncode != status:
                self.fail(f'{arguments} was taken')

    def test_estimate_of_real_recording(self):
        """--estimate on a real recording without offset events: the offset that trace-cmd read is in the bounds"""
        for name in ('host', 'guest'):
            shutil.copy(os.path.join(DATA, 'agent-still', f'{name}.dat'), self.directory)
        dump = subprocess.run(['trace-cmd', 'dump', '--options', '-i', self.path('guest.dat')],
                              capture_output=True, text=True, check=True).stdout
        true = [-int(offset) for offset in re.findall(r'^\s+(-?\d+) 1 0 -?\d+\[offset', dump, re.M)]
        done = self.stamp(['--estimate'], 'guest')
        found = ESTIMATED.findall(done.stderr)
        if done.returncode or len(found) != 2 or len(set(true)) != 1:
            self.fail(f'status {done.returncode}, {true}: {done.stderr}')
        for vcpu_id, offset, bound in found:
            print(f'       vCPU {vcpu_id}: {offset}, bound {bound}, true {true[0]}')
            if abs(int(offset) - true[0]) > int(bound):
                self.fail(f'vCPU {vcpu_id}: not within the bound')


class TestFiles(Base):
    def test_buffer(self):
        """An instance replaces the top buffer"""
        scenario = Scenario(guest_instances={'calls': ['sys_enter', 'sys_exit']})
        scenario.write(self.directory)
        done = self.stamp(['--buffer', 'calls'], 'g1')
        found = trace_dat.report('-i', self.path('g1.synced.dat'))
        wanted = [event for event in scenario.events('g1') if event.name in ('sys_enter', 'sys_exit')]
        if done.returncode or len(found) != len(wanted):
            self.fail(f'status {done.returncode}, {len(found)} of {len(wanted)} events: {done.stderr}')
        for cpu in (0, 1):
            if [event.time for event in found if event.cpu == cpu] != \
                    [event.host_tsc for event in wanted if event.cpu == cpu]:
                self.fail(f'wrong times on CPU {cpu}')

    def test_tsc2nsec(self):
        """Both files are shown in ns, or neither is; different frequencies are a doubt"""
        mine, other = (827192857, 31, 0), (413596428, 30, 0)
        for host, guest in ((mine, None), (None, mine), (mine, other), (mine, mine), (None, None)):
            scenario = Scenario(changes=3)
            scenario.write(self.directory, tsc2nsec=host)
            shutil.copy(self.path('host.dat'), self.path('h.dat'))
            scenario.write(self.directory, tsc2nsec=guest)
            shutil.move(self.path('h.dat'), self.path('host.dat'))
            done = self.stamp([], 'g1')
            merged = subprocess.run(['trace-cmd', 'report', '-i', self.path('host.dat'), '-i',
                                     self.path('g1.synced.dat')], capture_output=True,
                                    text=True, check=True).stdout
            times = {'.' in time for time in re.findall(r'\]\s.*?([\d.]+): \w+:', merged)}
            if done.returncode or len(times) != 1 or times != {host is not None}:
                self.fail(f'host {host}, guest {guest}: status {done.returncode}, fractions {times}')
            scenario.write(self.directory, tsc2nsec=(900000000, 31, 0))
            shutil.move(self.path('host.dat'), self.path('h.dat'))
            scenario.write(self.directory, tsc2nsec=mine)
            shutil.move(self.path('h.dat'), self.path('host.dat'))
            done = self.stamp([], 'g1')
            if done.returncode != INCOMPLETE or 'another frequency' not in done.stderr:
                self.fail(f'frequencies that differ: status {done.returncode}: {done.stderr}')

    def test_damaged_shift(self):
        """A damaged TIME_SHIFT in the file: readers refuse the file, and a copy does not have it"""
        # Two vCPUs, and the first one has more samples than fit into the option
        short = struct.pack('<QIII', 1, 0, 2, 1000)
        scenario = Scenario(changes=2, linked=False, guest_options=[(trace_dat_writer.TIME_SHIFT, short)])
        scenario.write(self.directory)
        path = self.path('g1.synced.dat')
        if trace_dat.report('-i', self.path('g1.dat')):
            self.fail('control: the reader takes the file')
        done = self.stamp([], 'g1')
        wrong = differing(scenario, scenario.vms[0], path)
        if done.returncode or wrong[0]:
            self.fail(f'status {done.returncode}, {wrong}: {done.stderr}')
        done = self.stamp(['-i'], 'g1')
        if done.returncode != FAILED or 'is damaged: readers refuse the file' not in done.stderr:
            self.fail(f'in place: status {done.returncode}: {done.stderr}')


class TestSeveral(Case):
    """Several guests at once"""
    def write(self, **parameters):
        scenario = Scenario(**{'vms': 3, 'changes': 2, 'linked': False, **parameters})
        scenario.write(self.directory)
        return [f'{vm.name}.dat' for vm in scenario.vms]

    def results(self, pattern='*.synced.dat'):
        return {path.name: path.read_bytes() for path in self.directory.glob(pattern)}

    def stamp(self, *arguments):
        return self.run_tool('stamp', *arguments)

    def test_as_each_by_itself(self):
        names = self.write()
        snapshot = self.run_tool('show', '--json', 'host.dat').stdout
        (self.directory / 'first.json').write_text(snapshot)
        for options in [], ['--rewrite'], ['--check', 'full'], ['--estimate'], ['--initial-from', 'first.json'], \
                ['--since', '1']:
            with self.subTest(options):
                lines, messages, statuses = '', '', set()
                for name in names:
                    done = self.stamp(*options, 'host.dat', name)
                    lines, messages = lines + done.stdout, messages + done.stderr
                    statuses.add(done.returncode)
                alone = self.results()
                for path in self.directory.glob('*.synced.dat'):
                    path.unlink()
                done = self.stamp(*options, 'host.dat', *names)
                self.assertEqual((done.stdout, done.stderr, {done.returncode}), (lines, messages, statuses))
                self.assertEqual(self.results(), alone)
                self.assertEqual(len(alone), 3)
        # Control: the results of guests differ
        self.assertEqual(len(set(alone.values())), 3)

    def test_in_place_and_dry(self):
        names = self.write()
        before = self.results('*')
        self.says(self.stamp('-n', '--link', 'host.dat', *names), DONE, 'host.linked.dat: knows its guests (not written)')
        self.assertEqual(self.results('*'), before)
        self.says(self.stamp('host.dat', *names), DONE)
        copies = self.results()
        self.says(self.stamp('-i', 'host.dat', *names), DONE)
        for name in names:
            self.assertNotEqual((self.directory / name).read_bytes(), before[name])
        self.says(self.run_tool('check', 'host.dat', *names), DONE)
        self.assertEqual(self.results(), copies)

    def test_link(self):
        """The host's copy names all guests"""
        names = self.write()
        self.assertEqual({vm['guest'] for vm in self.vms('host.dat')}, {None})
        done = self.says(self.stamp('--link', 'host.dat', *names), DONE)
        self.assertEqual(done.stdout.splitlines()[3:], ['host.linked.dat: knows its guests'])
        self.assertEqual({vm['guest'] for vm in self.vms('host.linked.dat')}, {'g1', 'g2', 'g3'})
        report = ['trace-cmd', 'report', '-i', 'host.linked.dat']
        for name in names:
            report += ['-i', name.replace('.dat', '.synced.dat')]
        subprocess.run(report, cwd=self.directory, stdout=subprocess.DEVNULL, check=True)

    def vms(self, host):
        return json.loads(self.run_tool('show', '--json', host).stdout)['vms']

    def test_one_fails(self):
        """One guest fails: the others are stamped, and the host's copy does not name the failed one"""
        names = self.write()
        os.truncate(self.path('g2.dat'), 100)
        done = self.says(self.stamp('--link', 'host.dat', *names), FAILED, 'g2.dat: at offset')
        self.assertEqual(set(self.results()), {'g1.synced.dat', 'g3.synced.dat'})
        self.assertEqual(done.stdout.count('in guest mode'), 2)
        self.assertEqual({vm['guest'] for vm in self.vms('host.linked.dat')}, {'g1', None, 'g3'})
        for path in self.directory.glob('*.synced.dat'):
            path.unlink()
        (self.directory / 'host.linked.dat').unlink()
        for name in names:
            os.truncate(self.path(name), 100)
        self.says(self.stamp('--link', 'host.dat', *names), FAILED)
        self.assertEqual(self.results() | self.results('*.linked.dat'), {})

    def test_status(self):
        """The status is "failed" if one guest fails, otherwise "in doubt" if one is doubtful"""
        calls = {'calls': ['sys_enter', 'sys_exit']}
        self.write(vms=2, guest_instances=calls)
        (self.directory / 'g1.dat').rename(self.directory / 'doubt.dat')
        self.write(vms=2)
        shutil.copy(f'{DATA}/agent-moved/guest.dat', self.directory / 'none.dat')
        statuses = {'g1.dat': DONE, 'g2.dat': DONE, 'doubt.dat': INCOMPLETE, 'none.dat': FAILED}
        for name, status in statuses.items():
            self.says(self.stamp('host.dat', name), status)
        for files, status in ((['g1.dat', 'g2.dat'], DONE), (['g2.dat', 'doubt.dat'], INCOMPLETE),
                              (['doubt.dat', 'g2.dat'], INCOMPLETE), (['none.dat', 'g2.dat'], FAILED),
                              (['g2.dat', 'none.dat'], FAILED), (['none.dat', 'doubt.dat'], FAILED),
                              (['doubt.dat', 'none.dat', 'g2.dat'], FAILED)):
            with self.subTest(files):
                self.says(self.stamp('host.dat', *files), status)

    def test_names(self):
        names = self.write()
        before = self.results('*')
        shutil.copy(self.path('g1.dat'), self.path('g1'))
        os.symlink('g2.dat', self.path('link.dat'))
        shutil.copy(self.path('g1.dat'), self.path('g2.synced.dat'))
        for files, words in (
                (['g1.dat', 'g1'], 'g1.synced.dat: the results of g1.dat and g1 would both have this name'),
                (['g1.dat', './g1.dat'], 'g1.dat and ./g1.dat are the same file'),
                (['g2.dat', 'link.dat'], 'g2.dat and link.dat are the same file'),
                (['g2.dat', 'host.dat'], 'host.dat and host.dat are the same file'),
                (['g2.dat', 'g2.synced.dat'], "g2.synced.dat: is the guest's recording and is not replaced")):
            self.one_line(self.stamp('host.dat', *files), FAILED, words)
        os.unlink(self.path('link.dat'))
        for name in 'g1', 'g2.synced.dat':
            os.unlink(self.path(name))
        self.assertEqual(self.results('*'), before)
        self.assertEqual(len(names), 3)


class TestSaid(Base):
    def test_verdict(self):
        """The last line has the number of events that prove the result: of a sample, or of all events"""
        scenario = Scenario(changes=2, segments=120)
        scenario.write(self.directory)
        events = len(scenario.events('g1'))
        for arguments, all_events in ([], False), (['--check', 'sample'], False), (['--check', 'full'], True):
            done = self.stamp(['-n', *arguments], 'g1')
            found = re.search(r'VM 2010, 2 vCPUs, 4 changes; ([0-9,]+) of ([0-9,]+) (.*) in guest mode, '
                              r'error at most ([0-9,]+) cycles \(not written\)$', done.stdout)
            if done.returncode or not found:
                self.fail(f'{arguments}: status {done.returncode}: {done.stdout}{done.stderr}')
            inside, total = (int(number.replace(',', '')) for number in found.group(1, 2))
            if inside != total or (total == events) != all_events or \
               found.group(3) != ('events' if all_events else 'sampled events'):
                self.fail(f'{arguments}: {events} events in the file: {done.stdout}')

    def test_usage(self):
        """A wrong command line causes one line, which has the word and refers to the help"""
        files = ['host.dat', 'guest.dat']
        for arguments, part in (
                ([], 'missing HOST.dat'), (files[:1], 'missing GUEST.dat'),
                (['-o', 'out', *files, 'more'], '--output requires a single GUEST.dat'),
                (['--vm', '1', *files, 'more'], '--vm requires a single GUEST.dat'),
                (['--boot', '1', *files, 'more'], '--boot requires a single GUEST.dat'),
                (['--initial', '0=1', *files, 'more'], '--initial requires a single GUEST.dat'),
                (['-x', *files], "unknown option '-x'"), (['-nx', *files], "'-x'"), (['-xn', *files], "'-x'"),
                (['--nonsense', *files], "unknown option '--nonsense'"),
                (['--in', *files], "option '--in' is ambiguous"),
                (['--in-place=3', *files], "option '--in-place' takes no value"),
                (['--help=3'], "'--help' takes no value"),
                ([*files, '-o'], "option '--output' requires a value"),
                ([*files, '--output'], "option '--output' requires a value"),
                ([*files, '-no'], "option '--output' requires"), ([*files, '--vm'], "'--vm'"),
                (['--initial', 'x', *files], "not 'x'"), (['--max-error', '1h', *files], "not '1h'"),
                (['--check', 'some', *files], "not 'some'"), (['--boot', '0', *files], "not '0'"),
                (['--since', '12s', *files], "not '12s'"), (['--since', '-1', *files], "not '-1'"),
                (['--since', '0x10', *files], "not '0x10'"),
                (['--since', '7', '--boot', '1', *files], '--boot cannot be used with --since'),
                (['-i', '-o', 'out.dat', *files], '--in-place cannot be used with --output')):
            self.one_line(self.run_tool('stamp', *arguments), USAGE, part, "; see 'tsc-offset stamp -h'\n")
        for option in '-h', '--help', '--hel':
            done = self.run_tool('stamp', option)
            if done.returncode or done.stderr or '--max-error' not in done.stdout:
                self.fail(f'{option}: status {done.returncode}: {done.stderr}')
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([TOOL, 'stamp', '-h'], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, FAILED, 'help that is lost')


if __name__ == '__main__':
    main('trace-cmd')
