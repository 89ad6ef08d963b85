#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Hosts' files with the events of probes on a stock kernel, made up by scenario.py: they say which VM it is, what holds
without any change, and the scaling. The controls are the same recordings without probes."""
import json
import os
import re
import sys
from unittest import mock

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, each, main
from peak_memory import peak_memory
from scenario import Scenario, probe_formats
from scenario_case import ScenarioCase
from trace_dat import differing
import trace_dat_writer as dat

KERNEL, LOAD, END = 'kvm_write_tsc_offset', 'vcpu_load', 'vm_end'
# A VM's process makes two, and nothing but events says so
TWO = dict(vms=2, one_process=True, linked=False, changes=3)
SCALED = dict(ratio=1.25, changes=2)
# The host's recording begins after the last change
LATE = dict(changes=2, segments=12, host_segments=(10, 12), guest_segments=(10, 12), seed=3)
LIVES = dict(vms=3, lives=True, linked=False, segments=18, changes=2)


class Base(ScenarioCase):
    def histories(self, scenario, vms):
        """What show has of each VM is what happened"""
        self.assertEqual(len(vms), len(scenario.vms))
        for found, vm in zip(vms, scenario.vms):
            for shown, vcpu in zip(found['vcpus'], vm.vcpus):
                changes = [(change['next'], change['ratio']) for change in shown['changes'] if change['delta']]
                self.assertEqual(changes, [(change.offset, change.ratio or 1 << vm.frac_bits)
                                           for change in vcpu.changes if change.offset != change.previous])
                self.assertEqual(shown['current']['offset'], vcpu.offset(1 << 62))
                self.assertFalse(any(change['lost_before'] for change in shown['changes']))


@each({
    'two VMs of one process': (TWO, INCOMPLETE),
    'two VMs, without loads': (dict(TWO, one_process=False, unrecorded=[LOAD]), None),
    'two VMs of one process, without the events of the kernel': (dict(TWO, unrecorded=[KERNEL]), None),
    'VMs that take turns': (dict(vms=3, host_cpus=2, segments=30, changes=4, linked=False), None),
    'scaled': (SCALED, INCOMPLETE),
    'scaled, 32 bits': (dict(SCALED, ratio=0.8, frac_bits=32), INCOMPLETE),
    'scaled, without the events of the kernel': (dict(SCALED, unrecorded=[KERNEL]), None),
    'rescaled': (dict(ratio=1.25, rescale=[1.3, 1.5], changes=2), FAILED),
    'recorded after the last change': (LATE, FAILED),
    'recorded after the last change, scaled': (dict(LATE, ratio=1.5), FAILED),
    'nothing changed': (dict(changes=0), FAILED),
    'nothing changed, and guests of the guest ran': (dict(changes=0, nested=True, unrecorded=[KERNEL]), None),
    'another thread writes': (dict(changes=3, foreign_writer=True), None),
    'another thread writes, without the events of the kernel':
        (dict(changes=3, foreign_writer=True, unrecorded=[KERNEL]), None),
    'made while the host was recorded': (dict(boot=True, changes=2, segments=10), None),
    'made by one thread': (dict(TWO, boot=True), None),
    'made, without the events of the kernel': (dict(boot=True, changes=2, segments=10, unrecorded=[KERNEL]), None),
    'made, without loads': (dict(boot=True, changes=2, segments=10, unrecorded=[LOAD]), None),
    'made, without both': (dict(boot=True, changes=2, segments=10, unrecorded=[LOAD, KERNEL]), None),
    'made, on a host that does not scale': (dict(boot=True, changes=2, segments=10, unrecorded=['write_ratio']), None),
    'VMs of one name': (LIVES, None),
    'VMs of one name, which end unseen': (dict(LIVES, unrecorded=[END]), None),
    'VMs of one name, without the events of the kernel': (dict(LIVES, unrecorded=[KERNEL]), None),
    'VMs of one name that never changed': (dict(LIVES, changes=0), None),
    'VMs of one name that are made': (dict(LIVES, boot=True), None),
    'TDX': (dict(changes=0, tdx=[0], frac_bits=48), FAILED),
})
class TestRight(Base):
    """All times are right without any option, and show has the whole history"""

    def one(self, parameters, control):
        scenario = self.make(probes=True, **parameters)
        self.right(scenario)
        shown = self.shown()['vms']
        if 'host_segments' not in parameters:
            self.histories(scenario, shown)
        boots = [boot['kind'] for vm in shown for boot in vm['boots']]
        self.assertEqual(boots, ['made'] * len(scenario.vms) if parameters.get('boot') else [])
        if control is not None:
            self.make(**{**parameters, 'unrecorded': ()})
            self.assertEqual(self.stamp('g1').returncode, control)


def by_vcpu(name, run, _):
    """The changes of one half of the vCPUs in one buffer, those of the others in another"""
    return ['odd' if run.vcpu.vcpu_id % 2 and name in CHANGES else '']


def by_time(name, _, number):
    """Those of a time in one buffer, those of another in the next"""
    return [('', 'odd', 'more')[number // 3 % 3] if name in CHANGES else '']


RESCALED = dict(ratio=1.25, rescale=[1.3], changes=2, segments=14, seed=4)
CHANGES = KERNEL, 'write_offset', 'write_ratio', LOAD
COPIES = {KERNEL: ['', 'a'], 'write_offset': ['a', 'b'], 'write_ratio': ['b', 'c'], LOAD: ['c', '', 'a', 'b'], END: ['a']}
NEW = {name: [] for name in ('a', 'b', 'c', 'odd', 'more')}


@each({name: (parameters,) for name, parameters in {
    'ratios': dict(RESCALED, host_instances={'a': ['write_ratio']}),
    'ratios, without loads': dict(RESCALED, boot=True, unrecorded=[LOAD], host_instances={'a': ['write_ratio']}),
    'all but ratios': dict(RESCALED, host_instances={'a': [KERNEL, 'write_offset', LOAD]}),
    'probes': dict(RESCALED, host_instances={'a': ['write_offset', 'write_ratio', LOAD, END]}),
    'probes, guest mode, marks': dict(RESCALED, marks={1: None}, host_instances={
        'a': ['write_offset', 'write_ratio', LOAD, END], 'b': ['kvm_entry', 'kvm_exit'], 'c': ['print']}),
    'each of its own': dict(RESCALED, host_instances={'a': [KERNEL], 'b': ['write_ratio'], 'c': [LOAD]}),
    'events of the kernel, nested guests': dict(changes=2, nested=True, unrecorded=[LOAD], boot=True,
                                                host_instances={'a': [KERNEL]}),
    'the ratio of a patched kernel': dict(RESCALED, patched=True, host_instances={'a': ['kvm_write_tsc_multiplier']}),
    'the ratio of a patched kernel, offsets by probes': dict(RESCALED, patched=True, unrecorded=[KERNEL]),
    'the ratio of a kernel with numbers': dict(RESCALED, patched='id', host_instances={'a': ['kvm_write_tsc_multiplier']}),
    'the ratio of a kernel with numbers, offsets by probes': dict(RESCALED, patched='id', unrecorded=[KERNEL]),
    'ends of VMs': dict(LIVES, host_instances={'a': [END]}),
    'the events of some vCPUs': dict(RESCALED, vcpus=3, host_split=by_vcpu, host_instances=NEW),
    'the events of some time': dict(RESCALED, host_split=by_time, host_instances=NEW),
    'the events of some time, of the kernel alone': dict(changes=3, segments=14, probes=False, boot=True, seed=4,
                                                         host_split=by_time, host_instances=NEW),
    'some in several': dict(RESCALED, host_split=lambda name, *_: COPIES.get(name, ['']), host_instances=NEW),
    'all in several': dict(RESCALED, host_split=lambda *_: ['b', '', 'a'], host_instances=NEW),
    'unchanged ones in several': dict(changes=1, unchanged=3, segments=14, probes=False, boot=True,
                                      host_split=lambda *_: ['', 'a', 'b'], host_instances=NEW),
}.items()})
class TestBuffers(Base):
    """Events that are spread over several buffers make one history"""

    def one(self, parameters):
        scenario = self.make(**{'probes': True, **parameters})
        self.right(scenario)
        if scenario.probes:
            self.histories(scenario, self.shown()['vms'])


class TestBuffersInDoubt(Base):
    def test_losses(self):
        """What a buffer lost matters only if it has events that no other has"""
        losing = dict(probes=True, changes=3, segments=14, boot=True, lose_changes=[(0, 0, 2)], lose_in=[''],
                      host_instances=NEW, seed=4)
        self.make(host_split=lambda name, *_: [''] if name == KERNEL else ['a'], **losing)
        self.says(self.stamp('g1'), INCOMPLETE, 'the history is incomplete, events were lost')
        scenario = self.make(host_split=lambda name, *_: ['a', ''] if name in CHANGES else ['a'], **losing)
        self.assertTrue(self.lost_events(scenario))
        self.right(scenario)
        # All that it had were lost: they may have been changes
        self.make(probes=True, changes=0, lose_every=1, lose_in=[''], host_instances=NEW, marks={1: None},
                  host_split=lambda name, *_: ['a'] if name in (LOAD, 'print') else [''])
        self.says(self.stamp('g1'), INCOMPLETE, 'the history is incomplete, events were lost')

    def lost_events(self, scenario):
        with open(self.path('truth.json'), encoding='utf-8') as file:
            return sum(json.load(file)['host']['lost'])

    def test_kernel_events_lost(self):
        """A first write is no repetition if the event of the kernel may have been lost"""
        for lost in False, True:
            scenario = self.make(
                probes=True, changes=1, vcpus=1, unrecorded=[LOAD], lose_in=['b'] if lost else ['c'], host_instances=NEW,
                lose_changes=[(0, 0, 0)], nested=True,
                host_split=lambda name, *_: ['b'] if name == KERNEL else ['a'] if name in CHANGES else [''])
            if lost:
                self.says(self.stamp('g1'), INCOMPLETE, 'the history is incomplete')
            else:
                self.right(scenario)

    def test_other_clock(self):
        """Changes in a buffer with another clock cannot be used, which is said if no other has them"""
        def split(*names):
            return lambda name, *_: ['', 'a'] if name == LOAD else [''] if name in names else ['a']
        self.make(probes=True, **RESCALED, host_instances=NEW, host_clocks={'': 'mono'}, host_split=split('write_ratio'))
        self.says(self.stamp('g1'), INCOMPLETE, 'ignoring changes of offsets in the top buffer, whose clock is not x86-tsc')
        self.assertIn('ignoring changes', json.dumps(self.shown(INCOMPLETE)['findings']))
        scenario = self.make(probes=True, **RESCALED, host_instances=NEW, host_clocks={'': 'mono'}, host_split=split())
        self.right(scenario)

    def test_too_many(self):
        names = [f'i{i}' for i in range(65)]
        self.make(changes=1, vcpus=1, host_instances={name: [] for name in names}, host_split=lambda *_: names)
        self.one_line(self.stamp('g1'), FAILED, 'host.dat: more than 64 buffers have events of TSC offsets')


class TestVms(Base):
    def test_named(self):
        """Each VM has its name, its threads and its number of lives"""
        self.make(probes=True, **LIVES)
        vms = self.shown()['vms']
        self.assertEqual([vm['name'] for vm in vms], ['2000-12', '2000-12.2', '2000-12.3'])
        self.assertEqual({json.dumps(vm['threads']) for vm in vms}, {json.dumps(vms[0]['threads'])})
        self.assertEqual({vm['evidence'] for vm in vms}, {'event'})

    def test_chosen(self):
        """--vm takes such a name, and refuses what is that of several"""
        scenario = self.make(probes=True, **LIVES)
        names = [vm['name'] for vm in self.shown()['vms']]
        for name in names:
            for wanted, vm in zip(names, scenario.vms):
                done = self.stamp(vm.name, '-n', '--vm', name)
                self.assertEqual(done.returncode == DONE, name == wanted, f'{vm.name} as {name}: {done.stderr}')
                if name == wanted:
                    self.assertIn(f'VM {name},', done.stdout)
        for word in '2010', '2000', '2010,2011', '2000-12.4', '2000-12.', '2000-12.1', '.2':
            self.one_line(self.stamp('g2', '-n', '--vm', word), FAILED, f'no VM "{word}"', 'VM 2000-12.2 (threads 2010')

    def test_threads(self):
        """A thread of one VM names it; the control of those that several have"""
        self.make(probes=True, **TWO)
        self.assertIn('VM 2000-13,', self.says(self.stamp('g2', '-n', '--vm', '2111'), DONE).stdout)
        self.assertEqual(self.stamp('g2', '-n', '--vm', '2000').returncode, FAILED)

    def test_control(self):
        """Without probes the three are one, whose offset changes in ways that leave doubts"""
        self.make(**LIVES)
        self.assertEqual(len(self.shown(INCOMPLETE)['vms']), 1)

    def test_nameless(self):
        """VMs that have no directory in debugfs differ by their numbers"""
        scenario = self.make(probes=True, nameless=True, **TWO)
        self.right(scenario)
        self.assertEqual([vm['name'] for vm in self.shown()['vms']], ['2000', '2000.2'])
        self.assertEqual(self.stamp('g2', '-n', '--vm', '2000.2').returncode, DONE)


class TestNested(Base):
    def test_no_changes(self):
        """What writes the same again is no change, and is not in the way of one"""
        self.make(probes=True, nested=True, changes=1)
        for vcpu in self.shown()['vms'][0]['vcpus']:
            self.assertEqual(len(vcpu['changes']), 1)

    def test_memory(self):
        """Nor does it need memory, however many there are: as much as none does, with an allowance for its noise"""
        def needed(**parameters):
            scenario = Scenario(probes=True, vcpus=1, changes=0, segments=12, stays=3000, guest_events=0, idle=0,
                                **parameters)
            scenario.write(self.directory)
            status, size = peak_memory(TOOL, 'show', self.path('host.dat'), stdout=-3)
            self.assertEqual(status, DONE)
            return sum(event.name == 'write_offset' for event in scenario.events('host')), size
        (none, before), (many, after) = needed(), needed(nested=True)
        self.assertEqual((none, many), (0, 72_000))
        # Kept, each of them would take more than a hundred bytes
        self.assertLess(after, before + 2000)


class TestDoubts(Base):
    """What probes do not tell is said"""

    def test_lost(self):
        """A write that the ring buffer lost, with the buffer's word for it or without: the next load does not fit"""
        for parameters in {}, {'unrecorded': [KERNEL]}:
            for silent in False, True:
                scenario = Scenario(probes=True, changes=4, lose_changes=[(0, 0, 1)], **parameters)
                if silent:
                    with mock.patch.object(dat.PageWriter, 'lose', lambda *_: None):
                        scenario.lose_changes = set()
                        scenario.write(self.directory)
                else:
                    scenario.write(self.directory)
                done = self.says(self.stamp('g1'), INCOMPLETE, 'the history is incomplete, events were lost')
                first = min(int(number) for number in re.findall('guest times ([0-9]+) to', done.stderr))
                lost = scenario.vms[0].vcpus[0].changes[1]
                self.assertLessEqual(first, lost.host_tsc + lost.previous)
                # What is found after it is right
                self.assertEqual(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0], 0)
                found = self.shown(INCOMPLETE)
                self.assertEqual(bool(found['lost']), not silent)
                changes = found['vms'][0]['vcpus'][0]['changes']
                self.assertEqual(sum(change['lost_before'] for change in changes), 1)
                self.assertEqual([change['next'] for change in changes if change['lost_before']], [lost.offset])

    def test_back_after_loss(self):
        """A change back to what the CPU recorded before it lost events is no repetition"""
        formats = probe_formats()

        def event(name, offset):
            return formats[name].record(2010, vm=1, vm_pid=2000, vm_name=b'2000-12\0', vcpu_id=0, l1_offset=offset,
                                        offset=offset, l1_ratio=1 << 48, frac_bits=48)
        pages = [dat.PageWriter(), dat.PageWriter()]
        pages[0].add(1000, event(LOAD, -5))
        pages[0].lose(1)
        pages[0].add(4000, event('write_offset', -5))
        pages[1].add(2000, event(LOAD, -5))
        pages[1].add(3000, event('write_offset', -9))
        dat.write(self.path('host.dat'), [dat.Buffer('', {cpu: pages[cpu].pages() for cpu in (0, 1)})],
                  formats.values())
        vcpu = self.shown(INCOMPLETE)['vms'][0]['vcpus'][0]
        self.assertEqual([(change['previous'], change['next']) for change in vcpu['changes']], [(-5, -9), (-9, -5)])

    def test_loads_in_an_instance(self):
        """Loads show a change when it has been made, writes in another buffer when it is"""
        for seed, more in (1136, dict(segments=8)), (1044, dict(segments=8, vms=2, linked=False)):
            scenario = self.make(probes=True, changes=1, jump=(50, 300), seed=seed,
                                 host_instances={'k': [LOAD]}, **more)
            self.right(scenario)

    def test_first_write(self):
        """Without loads and events of the kernel it is not known what was before the first write"""
        self.make(probes=True, changes=2, unrecorded=[LOAD, KERNEL])
        self.says(self.stamp('g1'), INCOMPLETE, 'vCPU 0: guest times', 'the history is incomplete')
        # No event of the kernel reports a ratio
        self.make(probes=True, changes=1, segments=10, ratio=1.25, rescale=(1.3,), unrecorded=[LOAD])
        self.says(self.stamp('g1'), INCOMPLETE, 'the history is incomplete')
        # An event of the kernel would be there if it changed anything
        scenario = self.make(probes=True, changes=0, nested=True, unrecorded=[LOAD])
        self.right(scenario)

    def test_protected(self):
        """SEV-SNP: what KVM has is not what the guest has"""
        self.make(probes=True, protected=[0], frac_bits=32)
        self.says(self.stamp('g1'), FAILED, 'vCPU 0', 'vCPU 1', 'TSC is protected', '--estimate')
        self.assertFalse(os.path.exists(self.path('g1.synced.dat')))
        self.assertEqual([vcpu['tsc_protected'] for vcpu in self.shown()['vms'][0]['vcpus']], [True, True])
        # The control: as one that is not
        self.make(probes=True, changes=0, frac_bits=32)
        self.assertEqual(self.stamp('g1').returncode, DONE)

    def test_unseen_scaling(self):
        """Without probes a change of the scaling moves events of one side out of the host's recording"""
        words = 'unusually long before or after those within it'
        for more in dict(boot=True), dict(marks={2: None}), dict(marks={9: None}), dict(boot=True, seed=6):
            parameters = dict(vcpus=1, changes=1, ratio=1, rescale=(1.3,), segments=14, linked=False, **more)
            self.make(**parameters)
            self.says(self.stamp('g1'), INCOMPLETE, words)
            self.says(self.stamp('g1', '-n', '--check', 'full'), INCOMPLETE, words)
            self.says(self.run_tool('check', 'host.dat', 'g1.synced.dat'), INCOMPLETE, words)
            self.right(self.make(probes=True, **parameters))

    def test_scaling(self):
        """The control of the scaled ones: without probes it is found by events, and said to be so"""
        self.make(**SCALED)
        self.says(self.stamp('g1'), INCOMPLETE, "which the host's events do not report")


if __name__ == '__main__':
    main('trace-cmd')
