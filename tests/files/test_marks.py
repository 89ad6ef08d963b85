#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Hosts' files with lines of tsc-offset mark, made up by scenario.py. The controls are the same without them."""
import json
import os
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, each, main
from scenario_case import ScenarioCase
from trace_dat import differing

# Nothing changes while the host is recorded
LATE = dict(changes=2, segments=14, host_segments=(10, 14), guest_segments=(10, 14), seed=8)
STILL = dict(changes=0)
TWO = dict(vms=2, one_process=True, linked=False, changes=0)
IN = {1: None}
UNRECORDED = 'changes of offsets were not recorded'
MAYBE_THEIRS = 'changed offsets, maybe theirs'
WRONG = 'lines of tsc-offset mark contradict the events'


def changed(**more):
    return lambda vcpu, values: values.update(more)


@each({
    'nothing changes': (dict(STILL, marks=IN), FAILED),
    'recorded after the last change': (dict(LATE, marks={10: None}), FAILED),
    'marked at the end': (dict(LATE, marks={13: None}), FAILED),
    'scaled': (dict(LATE, ratio=1.25, marks={11: None}), FAILED),
    'scaled, with changes': (dict(changes=2, ratio=0.8, frac_bits=32, marks=IN), INCOMPLETE),
    'two VMs of one process': (dict(TWO, marks=IN), FAILED),
    'changes': (dict(changes=3, marks={0: None, 3: None, 6: None}), DONE),
    'changes by another thread': (dict(changes=3, foreign_writer=True, marks={0: None, 5: None}), FAILED),
    'a patched kernel': (dict(LATE, patched=True, marks={11: None}), FAILED),
    'a kernel with numbers': (dict(LATE, patched='id', marks={11: None}), FAILED),
    'two VMs of one process, with numbers': (dict(TWO, patched='id', marks=IN), FAILED),
    'probes': (dict(STILL, probes=True, marks=IN), DONE),
    'probes, of VMs of one name': (dict(vms=3, lives=True, linked=False, segments=18, changes=2, probes=True,
                                        marks={1: lambda vcpu, values: 'begin' if vcpu.vm.name != 'g1' else None,
                                               14: lambda vcpu, values: 'begin' if vcpu.vm.name != 'g3' else None}), DONE),
    'marks in the top buffer, KVM in an instance':
        (dict(STILL, marks=IN, host_instances={'kvm': ['kvm_entry', 'kvm_exit']}), FAILED),
})
class TestRight(ScenarioCase):
    """All times are right without any option"""

    def one(self, parameters, control):
        scenario = self.make(**parameters)
        self.right(scenario)
        for found, vm in zip(self.shown()['vms'], scenario.vms):
            self.assertEqual([vcpu['current']['offset'] for vcpu in found['vcpus']],
                             [vcpu.offset(1 << 62) for vcpu in vm.vcpus])
        self.make(**{**parameters, 'marks': None})
        self.assertEqual(self.stamp().returncode, control)


class TestShown(ScenarioCase):
    def test_named(self):
        """VMs are named as in debugfs, and whose a thread is is known"""
        self.make(marks=IN, **TWO)
        vms = self.shown()['vms']
        self.assertEqual([(vm['name'], vm['evidence']) for vm in vms], [('2000-12', 'event'), ('2000-13', 'event')])
        self.assertEqual([[thread['tid'] for thread in vm['threads']] for vm in vms], [[2010, 2011], [2110, 2111]])

    def test_snapshot(self):
        """What show prints of it is a snapshot for a recording without a mark"""
        self.make(marks={11: None}, **LATE)
        with open(self.path('now.json'), 'w', encoding='utf-8') as file:
            json.dump(self.shown(), file)
        scenario = self.make(**LATE)
        done = self.stamp('g1', '--initial-from', 'now.json')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertEqual(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0], 0)

    def test_protected(self):
        self.make(marks=IN, probes=False, **STILL)
        # That a mark does not say so proves nothing
        self.assertIsNone(self.shown()['vms'][0]['vcpus'][0]['tsc_protected'])
        self.make(marks={1: changed(protected=1)}, **STILL)
        self.assertTrue(self.shown()['vms'][0]['vcpus'][0]['tsc_protected'])
        self.says(self.stamp(), FAILED, 'TSC is protected')


class TestDoubts(ScenarioCase):
    """Lines that are not true"""

    def test_contradiction(self):
        """Events are right, and a line that does not agree with them is reported"""
        for marks in {0: changed(offset=-5)}, {5: changed(offset=-5)}, {7: changed(offset=-5)}:
            scenario = self.make(changes=3, marks=marks)
            done = self.says(self.stamp(), INCOMPLETE, f'host.dat: 2 {WRONG}, the first has offset -5 for vCPU 0 of VM '
                             '2000-12: using the events')
            self.assertNotIn('history', done.stderr)
            self.assertEqual(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0], 0)
            found = self.shown(INCOMPLETE)
            self.assertIn(WRONG, json.dumps(found['findings']))
            self.assertNotIn(-5, [vcpu['current']['offset'] for vcpu in found['vms'][0]['vcpus']])
        done = self.run_tool('check', 'host.dat', 'g1.synced.dat')
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn(WRONG, done.stderr)

    def test_ratio(self):
        self.make(changes=2, probes=True, ratio=1.25, marks={1: changed(ratio=3 << 47)})
        self.says(self.stamp(), INCOMPLETE, WRONG)

    def test_ratio_of_some(self):
        """KVM scales all vCPUs of a VM, also those without a mark"""
        def others(vcpu, _):
            return 'begin' if vcpu.index == 0 else None
        self.make(changes=2, ratio=1.25, boot=True, marks={1: others}, segments=8)
        self.says(self.stamp(), INCOMPLETE, 'vCPU 0: its scaling is unknown, but other vCPUs are scaled')

    def test_marks_differ(self):
        """Without an event between two of them, changes are missing"""
        self.make(marks={1: None, 5: changed(offset=-5)}, segments=8, **STILL)
        changes = self.shown(INCOMPLETE)['vms'][0]['vcpus'][0]['changes']
        self.assertEqual([change['lost_before'] for change in changes], [False, True])
        self.says(self.stamp(), INCOMPLETE, 'the history is incomplete')

    def test_lost(self):
        """What held before a loss is not what a later mark says"""
        self.make(marks={7: None}, segments=8, lose_every=3, **STILL)
        self.says(self.stamp(), INCOMPLETE, 'the history is incomplete')

    def test_unrecorded(self):
        """A mark does not hold for the whole of a recording that has no changes, however small these are"""
        for more in dict(changes=1, segments=10, jump=(50, 300)), dict(changes=0):
            self.make(marks=IN, unrecorded=['kvm_write_tsc_offset'], **more)
            self.says(self.stamp(), INCOMPLETE, UNRECORDED)
            self.assertIn(UNRECORDED, json.dumps(self.shown(INCOMPLETE)['findings']))

    def test_initial(self):
        """As to an initial offset that is given: it is proved if it is so for most events, and else is in doubt"""
        parameters = dict(segments=14, vcpus=3, linked=False, jump=(10 ** 9, 10 ** 10), seed=2,
                          unrecorded=['kvm_write_tsc_offset'])
        for more, status in ((dict(changes=0), DONE), (dict(changes=0, host_segments=(4, 14)), DONE),
                             (dict(changes=0, host_segments=(6, 8)), INCOMPLETE),
                             (dict(changes=1, host_segments=(6, 8)), INCOMPLETE)):
            scenario = self.make(**parameters, **more)
            initial = ','.join(f'{vcpu.vcpu_id}={vcpu.initial}' for vcpu in scenario.vms[0].vcpus)
            done = self.says(self.stamp('g1', '--initial', initial), status)
            self.assertEqual('changes of offsets were not recorded, and only' in done.stderr, status == INCOMPLETE)

    def test_whose_changes(self):
        """Changes by a thread that runs no vCPU may be of a vCPU that only a mark reports"""
        small = dict(jump=(50, 300), marks={0: None})
        for parameters in (dict(small, changes=1, vcpus=3, segments=6, foreign_writer=True, previous_zero=True,
                                seed=42),
                           dict(small, changes=3, vcpus=3, segments=18, vms=2, one_process=True, direction='backward',
                                seed=10062)):
            self.make(**parameters)
            self.says(self.stamp(), INCOMPLETE, MAYBE_THEIRS)
        # What is taken for one VM is of three, and no kvm_entry shows that
        self.make(vms=3, vcpus=1, segments=18, changes=2, one_process=True, previous_zero=True, boot=True,
                  unrecorded=['kvm_entry', 'kvm_exit'], host_segments=(1, 9), guest_segments=(1, 9), marks={3: None},
                  seed=50453)
        self.says(self.stamp('g3'), INCOMPLETE, MAYBE_THEIRS)

    def test_other_vms(self):
        """Without kvm_entry a guest may be a VM that only marks show"""
        def others(vcpu, _):
            return 'begin' if vcpu.vm.name == 'g1' else None
        self.make(vms=3, changes=0, segments=18, linked=False, unrecorded=['kvm_entry', 'kvm_exit'], loads=[(0, 1, 16)],
                  marks={1: others})
        self.says(self.stamp('g2'), INCOMPLETE, 'a guest may be another VM than it seems')

    def test_early(self):
        """Without the line that begins it, the recording may have begun after the values were read"""
        def earlier(_, values):
            values.update({'from': values['from'] - 20_000, 'until': values['until'] - 20_000})
        scenario = self.make(marks={10: earlier}, unbegun=True, **LATE)
        self.says(self.stamp(), INCOMPLETE, 'the offsets of 2 vCPUs were marked before the recording began')
        self.assertEqual(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0], 0)

    def test_not_of_its_time(self):
        """As one of another boot"""
        for more in {'until': 1 << 62}, {'from': 1, 'until': 1}:
            # Some cycles more than the oldest one that can be
            self.make(marks={1: changed(**more)}, start=70_000_000_000, **STILL)
            self.says(self.stamp(), FAILED, 'no offset is known')
            self.assertIn('have another format or a wrong time', self.run_tool('show', 'host.dat').stderr)

    def test_bad(self):
        for text, words in (('vm=1', 'ignoring 2 lines that begin like those of tsc-offset mark'),
                            ('begin\nvm=1', 'ignoring 2 lines that begin like those of tsc-offset mark')):
            self.make(marks={1: lambda *_, text=text: text}, **STILL)
            self.assertIn(words, self.run_tool('show', 'host.dat').stderr)
            self.says(self.stamp(), FAILED, 'no offset is known')

    def test_another_vm(self):
        """A thread that events name stays its VM's"""
        scenario = self.make(probes=True, marks={1: changed(vm='77-7', offset=-5)}, **STILL)
        done = self.says(self.stamp(), INCOMPLETE, WRONG)
        self.assertIn('VM 2000-12,', done.stdout)
        self.assertEqual(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0], 0)

    def test_vcpu_of_another_vm(self):
        """Marks take a vCPU of another VM for one of this one: its CPU is shown outside of the host's recording"""
        def swapped(vcpu, values):
            if vcpu.vcpu_id == 0:
                values['vm'] = '2100-13' if vcpu.vm.name == 'g1' else '2000-12'
        parameters = dict(vms=2, linked=False, stays=8, jump=(10_000, 100_000), seed=11)
        scenario = self.make(marks={1: None}, **parameters)
        self.right(scenario)
        scenario = self.make(marks={1: swapped}, **parameters)
        os.remove(self.path('g1.synced.dat'))
        done = self.says(self.stamp(), INCOMPLETE, 'none is in guest mode; but by the guest\'s TSC it recorded')
        # All other findings are about other things
        self.assertNotIn('unusually long', done.stderr)
        self.assertTrue(differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))[0])
        self.says(self.run_tool('check', 'host.dat', 'g1.synced.dat'), INCOMPLETE, 'none is in guest mode; but')

    def test_other_clock(self):
        """Times that are none of the TSC say nothing of when it was read"""
        self.make(marks=IN, **STILL)
        path = self.path('host.dat')
        with open(path, 'rb') as file:
            data = file.read()
        with open(path, 'wb') as file:
            file.write(data.replace(b'\0x86-tsc\0', b'\0x86-xyz\0'))
        done = self.run_tool('show', '--any-clock', '--json', 'host.dat')
        self.assertFalse(any(vcpu['changes'] for vm in json.loads(done.stdout)['vms'] for vcpu in vm['vcpus']))


class TestSleep(ScenarioCase):
    def test_sleep(self):
        """A host that slept: marks from before count, later ones are left"""
        for segment in 1, 6:
            scenario = self.make(changes=0, segments=8, suspend=(4, 40_000_000_000), marks={segment: None})
            done = self.stamp()
            self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
            self.assertNotIn(WRONG, done.stderr)
            self.assertTrue(os.path.exists(self.path('g1.synced.dat')))
            self.assertTrue(scenario.vms)


if __name__ == '__main__':
    main('trace-cmd')
