#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset show of files.

The files are real recordings, and files of tests/lib with known contents.
"""
import json
import os
import random
import re
import subprocess
import sys
from unittest import mock
from xml.etree import ElementTree

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main
import scenario
import trace_dat_writer as dat


# 2.5 GHz
TSC2NSEC = 1717986918, 32, 0
UNITS = 'ns', 'us', 'ms', 's'
HEADER = '#vm\tvcpu\tthread\thost_tsc\tseconds\tprevious\tnext\tdelta\tratio\tfrac_bits'

# The changes as in tests/data/README.md and trace-cmd report
MOVED = {0: (110, 30758974169, -8824146511, -8773312585), 1: (112, 30812819857, -8824146511, -8772504583)}


def show(*arguments, **kwargs):
    return subprocess.run([TOOL, 'show', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=60, **kwargs)


def signed(value):
    value &= (1 << 64) - 1
    return value - (value >> 63 << 64)


def backward(bits, change):
    """The range of guest times that occur twice, or None"""
    def guest(offset, ratio):
        host = change['host_tsc']
        return (host * ratio >> bits if ratio else host) + offset & (1 << 64) - 1
    before, after = guest(change['previous'], change['previous_ratio']), guest(change['offset'], change['ratio'])
    return {'from': after, 'to': before} if signed(after - before) < 0 else None


def expected_vcpu(guest, vcpu, previous_zero, patched):
    bits = guest['frac_bits'] if patched else 0
    recorded = [change if patched else dict(change, ratio=0, previous_ratio=0)
                for change in vcpu['changes'] if change['recorded']]
    changes = []
    for i, change in enumerate(recorded):
        told = dict(change, previous=0) if previous_zero else change
        # The previous offset is the one that the previous change set, even if the event reports another one
        before = recorded[i - 1] if i else {'offset': change['previous'], 'ratio': change['previous_ratio']}
        change = dict(change, previous=before['offset'], previous_ratio=before['ratio'])
        changes.append({
            'host_tsc': change['host_tsc'], 'previous': told['previous'], 'next': change['offset'],
            'delta': signed(change['offset'] - told['previous']), 'ratio': change['ratio'], 'frac_bits': bits,
            'lost_before': before['offset'] != recorded[i]['previous'] or
                           before['ratio'] != recorded[i]['previous_ratio'],
            'backward': None if not i and (previous_zero or not change['previous']) else backward(bits, change)})
    known = recorded and not previous_zero and recorded[0]['previous']
    return {'vcpu_id': vcpu['vcpu_id'], 'thread': vcpu['tid'],
            'tsc_protected': guest['protected'] or (False if guest['reports_protection'] and recorded else None),
            'initial': {'offset': recorded[0]['previous'], 'ratio': recorded[0]['previous_ratio'],
                        'frac_bits': bits} if known else None,
            'current': {'host_tsc': recorded[-1]['host_tsc'], 'offset': recorded[-1]['offset'],
                        'ratio': recorded[-1]['ratio'], 'frac_bits': bits, 'estimate': None} if recorded else None,
            'changes': changes}


def expected_boots(guest, previous_zero):
    """KVM made the vCPUs of a guest that boots, with an offset of 0 before. One that is plugged in is made alone."""
    first = [change for vcpu in guest['vcpus'] for change in vcpu['changes'][:1]]
    changes = [change for change in first if not change['previous']]
    if previous_zero or not changes or len(changes) < len(first):
        return []
    return [{'host_tsc': min(change['host_tsc'] for change in changes), 'kind': 'made'}]


def expected_vms(truth, evidence='guest option', previous_zero=False, patched=False, linked=True):
    """The truth of a scenario in the form of --json"""
    named = linked and (patched or evidence == 'guest option')
    def name(guest):
        if not patched:
            return str(min(vcpu['tid'] for vcpu in guest['vcpus']))
        return f'id{guest["kvm_id"]}' if patched == 'id' else f'{guest["pid"]}-{guest["fd"]}'
    return [{
        'id': guest['pid'] if patched and patched != 'id' else min(vcpu['tid'] for vcpu in guest['vcpus']),
        'name': name(guest),
        'kvm_id': guest['kvm_id'],
        'evidence': evidence, 'guest': guest['name'] if named else None,
        'guest_trace_id': guest['trace_id'] if named else None,
        'boots': expected_boots(guest, previous_zero),
        'threads': [{'tid': vcpu['tid'], 'vcpu_id': vcpu['vcpu_id']} for vcpu in guest['vcpus']],
        'vcpus': [expected_vcpu(guest, vcpu, previous_zero, patched) for vcpu in guest['vcpus']]}
        for guest in truth['guests']]


def in_time(cycles, khz):
    """As in the table: at most three digits before the point"""
    for number, unit in enumerate(UNITS):
        thousandths = (2 * abs(cycles) * 10 ** 9 + khz * 1000 ** number) // (2 * khz * 1000 ** number)
        if thousandths < 10 ** 6 or unit == UNITS[-1]:
            return f'{"-" if cycles < 0 else "+"}{thousandths // 1000}.{thousandths % 1000:03} {unit}'


class Base(Case):
    never_told = False

    def make(self, parameters=None, **options):
        made = scenario.Scenario(**(parameters or {}))
        return made.write(self.directory, **options)

    def json(self, *arguments, status=DONE):
        done = show('--json', *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout.count(b'\n'), 1)
        found = json.loads(done.stdout)
        # Findings and stderr have the same lines, and a doubt means exit status 3
        self.assertEqual([f"tsc-offset: {finding['text']}" for finding in found['findings']],
                         done.stderr.decode(errors='replace').splitlines())
        if any(finding['doubt'] for finding in found['findings']):
            self.assertEqual(status, INCOMPLETE)
        return found

    def said(self, done, status, *parts):
        """Check the exit status, that each line of stderr is ours, and that stderr has these parts"""
        text = done.stderr.decode(errors='replace')
        self.assertEqual(done.returncode, status, text)
        for line in text.splitlines():
            self.assertTrue(line.startswith('tsc-offset: '), text)
        for part in parts:
            self.assertIn(part, text)

    def mutate(self, old, new, name='host.dat', count=None):
        """Replace bytes in a file by as many others"""
        self.assertEqual(len(old), len(new))
        with open(self.path(name), 'rb') as file:
            data = file.read()
        self.assertIn(old, data)
        with open(self.path(name), 'wb') as file:
            file.write(data.replace(old, new, *([count] if count else [])))

    def all_formats(self, path, found, status):
        """The rows of --tsv and of the table are the changes of --json; returns stderr"""
        frequency = bool(found['tsc_hz'])
        rows, lines = [], []
        for vm in found['vms']:
            for vcpu in vm['vcpus']:
                for change in vcpu['changes']:
                    since = change['host_tsc'] - self.first
                    ns = since * TSC2NSEC[0] >> TSC2NSEC[1]
                    seconds = f'{ns // 10 ** 9}.{ns % 10 ** 9:09}' if frequency else 'NaN'
                    rows.append('\t'.join(map(str, (
                        vm['name'], vcpu['vcpu_id'], vcpu['thread'], change['host_tsc'], seconds,
                        change['previous'], change['next'], change['delta'], change['ratio'],
                        change['frac_bits']))))
                    line = [vcpu['vcpu_id'], change['host_tsc'], seconds if frequency else since,
                            change['previous'], change['next'], f'{change["delta"]:+}']
                    if frequency:
                        line.append(in_time(change['delta'], round(found['tsc_hz'] / 1000)))
                    if any(c['ratio'] for v in found['vms'] for u in v['vcpus'] for c in u['changes']):
                        billionths = change['ratio'] * 10 ** 9 >> change['frac_bits']
                        line.append(f'{billionths // 10 ** 9}.{billionths % 10 ** 9:09}'
                                    if change['ratio'] not in (0, 1 << change['frac_bits']) else 1)
                    line = ' '.join(map(str, line))
                    made = change is vcpu['changes'][0] and not change['previous'] and not vcpu['initial']
                    line += ' made' if made and not self.never_told else ''
                    line += ' changes missing before' if change['lost_before'] else ''
                    lines.append(line + (' backward' if change['backward'] else ''))
        done = show('--tsv', path)
        self.assertEqual(done.returncode, status)
        self.assertEqual(done.stdout.decode(), '\n'.join([HEADER, *rows, '']))
        table = show(path)
        self.assertEqual((table.returncode, table.stderr), (status, done.stderr))
        table = table.stdout.decode()
        words = [' '.join(line.split()) for line in table.splitlines()]
        self.assertEqual([line for line in words if re.match(r'\d', line)], lines)
        for vm in found['vms']:
            self.assertIn(f'\nVM {vm["name"]} ', table)
            for vcpu in vm['vcpus']:
                for change in vcpu['changes']:
                    if change['backward']:
                        where = f'at host TSC {change["host_tsc"]}: guest times from ' \
                                f'{change["backward"]["from"]} to {change["backward"]["to"]} are ambiguous'
                        self.assertIn(where, table)
        return done.stderr.decode()


class TestRecordings(Base):
    def check(self, found, expected):
        self.assertEqual({vcpu['vcpu_id']: [
            (vcpu['thread'], change['host_tsc'], change['previous'], change['next'])
            for change in vcpu['changes']] for vm in found['vms'] for vcpu in vm['vcpus']},
            {vcpu: [change] for vcpu, change in expected.items()})

    def test_moved(self):
        path = os.path.join(DATA, 'agent-moved', 'host.dat')
        found = self.json(path)
        self.check(found, MOVED)
        with self.assertRaises(AssertionError):  # the control
            self.check(found, MOVED | {1: (112, 30812819857, -8824146511, -8772504584)})
        self.assertEqual((found['source'], found['clock'], found['tsc_hz'], found['complete'],
                          found['lost']), (path, 'x86-tsc', None, True, []))
        self.assertEqual([(vm['id'], vm['evidence'], vm['guest'], vm['guest_trace_id'])
                          for vm in found['vms']], [(110, 'guest option', None, 16335387857920586937)])
        self.first = 26018127414
        self.assertEqual(self.all_formats(path, found, DONE), '')
        self.assertIn('25305 events, 2 changes', show(path).stdout.decode())

    def test_still(self):
        path = os.path.join(DATA, 'agent-still', 'host.dat')
        found = self.json(path)
        self.assertEqual([(vcpu['thread'], vcpu['initial'], vcpu['current'], vcpu['changes'])
                          for vcpu in found['vms'][0]['vcpus']], [(110, None, None, []), (112, None, None, [])])
        done = show(path)
        self.said(done, DONE)
        self.assertEqual(done.stdout.count(b'no change; offset not known'), 2)
        self.assertEqual(show('--tsv', path).stdout.decode(), HEADER + '\n')

    def test_no_vm(self):
        for name in 'agent-moved', 'agent-still':
            for option in [], ['--json'], ['--tsv']:
                done = show(*option, os.path.join(DATA, name, 'guest.dat'))
                self.said(done, FAILED, 'no VM', '-e kvm')
                self.assertEqual(done.stdout, b'')


class TestScenarios(Base):
    """Generated files with known truth"""
    def check(self, parameters=None, status=DONE, more=None, **options):
        truth = self.make(parameters, **options)
        # Time begins at the first event of any CPU
        made = scenario.Scenario(**(parameters or {}))
        instance = 'tsc_offset' if 'tsc_offset' in made.instances['host'] else ''
        self.first = min(event.time for event in made.events('host') if event.buffer == instance)
        found = self.json(self.path('host.dat'), status=status)
        expected = expected_vms(truth, **(more or {}))
        self.assertEqual(found['vms'], expected)
        # The control: each of the numbers matters
        for key in 'host_tsc', 'next', 'delta':
            wrong = json.loads(json.dumps(expected))
            wrong[-1]['vcpus'][-1]['changes'][-1][key] += 1
            self.assertNotEqual(found['vms'], wrong)
        self.stderr = self.all_formats(self.path('host.dat'), found, status)
        return found

    def test_versions_and_compressions(self):
        for options in ({}, {'version': 6}, {'compression': 'zstd'}, {'compression': 'zlib'},
                        {'page_size': 8192}, {'long_size': 4, 'version': 6}):
            with self.subTest(**options):
                found = self.check({'changes': 3}, **options)
                self.assertTrue(found['complete'])
                self.assertEqual(self.stderr, '')

    def test_frequency(self):
        found = self.check({'changes': 3}, tsc2nsec=TSC2NSEC)
        self.assertEqual(found['tsc_hz'], 2500000001)
        self.assertIn(b'2500.000 MHz', show(self.path('host.dat')).stdout)
        # Frequencies that no TSC has are ignored
        self.make(tsc2nsec=(1, 0, 0))
        self.assertEqual(self.json(self.path('host.dat'))['tsc_hz'], 1000000000)
        for mult, shift in (0, 0), (1, 32), (1 << 31, 0), (1 << 31, 63), (5, 64), (5, 1 << 31):
            self.make(tsc2nsec=(mult, shift, 0))
            self.assertIsNone(self.json(self.path('host.dat'))['tsc_hz'])

    def test_many_vcpus(self):
        self.check({'vms': 3, 'vcpus': 4, 'vcpu_ids': [0, 3, 7, 100], 'changes': 4, 'host_cpus': 5,
                    'segments': 40})

    def test_instance(self):
        instances = {'host_instances': {'tsc_offset': ['kvm_write_tsc_offset'], 'other': []}, 'changes': 3}
        for version in 6, 7:
            self.check(instances, version=version)
            self.assertIn(b'instance tsc_offset; 6 events, 6 changes', show(self.path('host.dat')).stdout)

    def test_scaled(self):
        for patched in True, 'id':
            more = {'evidence': 'event', 'patched': patched}
            for ratio, bits in (1.25, 48), (0.8, 32), (1.0001, 48):
                self.check({'patched': patched, 'ratio': ratio, 'frac_bits': bits, 'changes': 3}, more=more)
            self.assertIn(b'ratio', show(self.path('host.dat')).stdout)
            self.check({'patched': patched, 'ratio': 1.25, 'rescale': [1.3, 1.5], 'changes': 3}, more=more)
            self.check({'patched': patched, 'ratio': 1, 'rescale': [0.9999], 'changes': 3}, status=INCOMPLETE, more=more)
        self.check({'changes': 3})
        self.assertNotIn(b'ratio', show(self.path('host.dat')).stdout)

    def test_patched_vms(self):
        """The events distinguish VMs, and threads without events belong to their neighbours' VM"""
        self.check({'patched': True, 'vms': 2, 'changes': 3, 'linked': False},
                   more={'evidence': 'event', 'patched': True, 'linked': False})
        # Lose the only change of vCPU 0 of the first VM and of the last vCPU of the second
        self.make({'patched': True, 'vms': 2, 'vcpus': 3, 'changes': 1, 'linked': False,
                    'lose_changes': [(0, 0, 0), (1, 2, 0)]})
        vms = self.json(self.path('host.dat'), status=INCOMPLETE)['vms']
        self.assertEqual([(vm['name'], [vcpu['thread'] for vcpu in vm['vcpus']]) for vm in vms],
                         [('2000-12', [2010, 2011, 2012]), ('2100-13', [2110, 2111, 2112])])
        # trace-cmd recorded the guest, and events name the VM of only one of its threads
        self.make({'patched': True, 'vcpus': 2, 'changes': 1, 'lose_changes': [(0, 0, 0)]})
        vms = self.json(self.path('host.dat'), status=INCOMPLETE)['vms']
        self.assertEqual([(vm['name'], vm['guest'], [vcpu['thread'] for vcpu in vm['vcpus']]) for vm in vms],
                         [('2000-12', 'g1', [2010, 2011])])
        # A VM without events before one with events: its threads do not belong to the other
        self.make({'patched': True, 'vms': 2, 'changes': 1, 'linked': False,
                   'lose_changes': [(0, 0, 0), (0, 1, 0), (1, 0, 0)]})
        vms = self.json(self.path('host.dat'), status=INCOMPLETE)['vms']
        self.assertEqual(sorted((vm['name'], [vcpu['thread'] for vcpu in vm['vcpus']]) for vm in vms),
                         [('2010', [2010, 2011]), ('2100-13', [2110, 2111])])
        # One thread wrote the offsets of both VMs: the VMs of the vCPUs' threads are unknown
        self.make({'patched': True, 'vms': 2, 'one_process': True, 'changes': 1, 'linked': False})
        vms = self.json(self.path('host.dat'))['vms']
        self.assertEqual([(vm['name'], len(vm['vcpus'][0]['changes'])) for vm in vms],
                         [('2000-12', 1), ('2000-13', 1), ('2010', 0), ('2110', 0)])

    def test_numbered_vms(self):
        """Numbers distinguish VMs, even those of one thread; sources that have the number also give the name"""
        self.check({'patched': 'id', 'vms': 2, 'changes': 3, 'linked': False},
                   more={'evidence': 'event', 'patched': 'id', 'linked': False})
        one_process = {'patched': 'id', 'vms': 2, 'one_process': True, 'changes': 1, 'linked': False}
        self.make(one_process)
        vms = self.json(self.path('host.dat'))['vms']
        first = scenario.FIRST_ID
        self.assertEqual(sorted((vm['name'], vm['id'], vm['kvm_id'], len(vm['vcpus'][0]['changes'])) for vm in vms),
                         [('2010', 2010, None, 0), ('2110', 2110, None, 0), (f'id{first}', 2000, first, 1),
                          (f'id{first + 1}', 2000, first + 1, 1)])
        # A mark has the number and the name, and the vCPUs' threads
        self.make({**one_process, 'marks': {0: None}})
        vms = self.json(self.path('host.dat'))['vms']
        self.assertEqual(sorted((vm['name'], vm['kvm_id'] - first, [len(vcpu['changes']) for vcpu in vm['vcpus']])
                                for vm in vms), [('2000-12', 0, [1, 1]), ('2000-13', 1, [1, 1])])

    def test_numbered_lives(self):
        """VMs of one process and one thread, one after the other"""
        lives = {'vms': 3, 'vcpus': 1, 'lives': True, 'linked': False, 'boot': True, 'changes': 1, 'segments': 18,
                 'patched': 'id'}
        self.make(lives)
        vms = self.json(self.path('host.dat'))['vms']
        self.assertEqual(sorted(vm['name'] for vm in vms if vm['kvm_id']),
                         [f'id{scenario.FIRST_ID + i}' for i in range(3)])
        self.assertFalse(any(change['lost_before'] for vm in vms for vcpu in vm['vcpus'] for change in vcpu['changes']))
        # Events with names only do not distinguish the VMs
        self.make({**lives, 'patched': True})
        self.assertEqual([vm['name'] for vm in self.json(self.path('host.dat'))['vms']], ['2000-12'])

    def test_protected(self):
        """Hosts with real TDX or SEV-SNP guests are not available: these are files as they would write them"""
        found = self.check({'vms': 2, 'protected': [0], 'changes': 2},
                           more={'evidence': 'event', 'patched': True})
        self.assertEqual([[vcpu['tsc_protected'] for vcpu in vm['vcpus']] for vm in found['vms']],
                         [[True, True], [False, False]])
        self.assertTrue(found['complete'])
        table = show(self.path('host.dat')).stdout.decode()
        self.assertEqual(table.count('no change; protected TSC; offset not known'), 2)
        # The control: on kernels that do not report protection, KVM's own values are shown
        self.mutate(b'tsc_protected', b'tsc_unguarded')
        found = self.json(self.path('host.dat'))
        self.assertEqual({vcpu['tsc_protected'] for vm in found['vms'] for vcpu in vm['vcpus']}, {None})

    def test_backward(self):
        found = self.check({'vms': 2, 'direction': 'both', 'changes': 5}, status=INCOMPLETE)
        jumps = sum(change['backward'] is not None for vm in found['vms'] for vcpu in vm['vcpus']
                    for change in vcpu['changes'])
        self.assertGreater(jumps, 3)
        self.assertTrue(found['complete'])
        self.assertIn('moved backward', self.stderr)
        self.assertNotIn('incomplete', self.stderr)

    def test_booted(self):
        """A new vCPU has no previous offset and does not jump backward"""
        self.check({'boot': True, 'changes': 2})
        self.assertEqual(self.stderr, '')

    def test_plugged(self):
        """A vCPU that is plugged in late has a TSC far from 0, but did not jump: it ran only afterwards"""
        plugged = {'plugged': [(0, 1)], 'age': 45_000_000_000, 'changes': 2}
        self.check(plugged)
        self.assertEqual(self.stderr, '')
        instance = {'host_instances': {'changes': ['kvm_write_tsc_offset']}}
        self.make({**plugged, **instance})
        self.said(show(self.path('host.dat')), DONE)
        # The control: nothing shows when it ran, or only times of another clock
        for unknown in {'unrecorded': ['kvm_entry', 'kvm_exit']}, {**instance, 'host_clocks': {'': 'mono'}}:
            self.make({**plugged, **unknown})
            self.said(show(self.path('host.dat')), INCOMPLETE, 'moved backward')

    def test_reset(self):
        """A reset that sets the TSC back is not a doubt: the guest's recording ends there"""
        self.make({'resets': (2,), 'segments': 6})
        self.assertEqual([boot['kind'] for boot in self.json(self.path('host.dat'))['vms'][0]['boots']], ['reset'])
        table = show(self.path('host.dat'))
        self.assertEqual((table.returncode, table.stderr), (DONE, b''))
        self.assertRegex(table.stdout, rb'  reset  backward\n')
        # The control: a TSC that is set back as far, but not to about 0
        self.make({'changes': 2, 'direction': 'backward', 'jump': (1 << 29, 1 << 30)})
        self.said(show(self.path('host.dat')), INCOMPLETE, 'moved backward')

    def test_previous_never_told(self):
        self.never_told = True
        self.check({'previous_zero': True, 'changes': 3}, more={'previous_zero': True})
        self.never_told = False
        self.assertIn(b'do not report', show(self.path('host.dat')).stdout)
        self.check({'changes': 3})
        self.assertNotIn(b'do not report', show(self.path('host.dat')).stdout)

    def test_unchanged(self):
        """Writes of the current offset"""
        self.check({'unchanged': 2, 'changes': 1})

    def test_names(self):
        """A guest's name is arbitrary"""
        made = scenario.Scenario()
        for name, shown in (('"g1"', '"g1"'), ('ü', 'ü'), ('\x1b[1mred\n', '?[1mred?'), ('', None)):
            with self.subTest(name=name):
                with mock.patch.object(dat, 'guest_option', lambda *_: dat_guest(name, made.vms[0])):
                    made.write(self.directory)
                found = self.json(self.path('host.dat'))['vms'][0]
                self.assertEqual((found['guest'], found['evidence']), (shown, 'guest option'))
                self.assertIn(f'guest {shown};' if shown else 'GUEST);', show(self.path('host.dat')).stdout.decode())
        with mock.patch.object(dat, 'guest_option', lambda *_: dat_guest('ab', made.vms[0], b'\xff\xfe')):
            made.write(self.directory)
        self.assertEqual(self.json(self.path('host.dat'))['vms'][0]['guest'], '??')


def dat_guest(name, vm, encoded=None):
    option = original_guest_option(name, vm.trace_id, [vcpu.tid for vcpu in vm.vcpus])
    return option if encoded is None else encoded + option[len(name.encode()):]


original_guest_option = dat.guest_option


class TestLosses(Base):
    def test_a_change_is_lost(self):
        """With and without a report of the buffer; without it the offsets do not fit together"""
        for silent in False, True:
            truth = self.make({'changes': 3, 'lose_changes': [(0, 1, 1)]})
            if silent:
                made = scenario.Scenario(changes=3, lose_changes=[(0, 1, 1)])
                with mock.patch.object(dat.PageWriter, 'lose', lambda *_: None), \
                        mock.patch.object(dat, 'stats_option', stats_without_losses):
                    truth = made.write(self.directory)
            found = self.json(self.path('host.dat'), status=INCOMPLETE)
            self.assertFalse(found['complete'])
            self.assertEqual(bool(found['lost']), not silent)
            lost = truth['guests'][0]['vcpus'][1]['changes'][1]
            if not silent:
                self.assertEqual(len(found['lost']), 1)
                self.assertLess(found['lost'][0]['from'], lost['host_tsc'])
                self.assertGreater(found['lost'][0]['to'], lost['host_tsc'])
            changes = found['vms'][0]['vcpus'][1]['changes']
            self.assertEqual([change['lost_before'] for change in changes], [False, True])
            done = show(self.path('host.dat'))
            self.said(done, INCOMPLETE, 'history incomplete', 'of its 2 vCPUs may be missing')
            self.assertEqual(b'lost      nothing' in done.stdout, silent)
            where = f'changes may be missing after host TSC {changes[0]["host_tsc"]} before host TSC ' \
                    f'{changes[1]["host_tsc"]}'
            self.assertIn(where, done.stdout.decode())
            self.said(show('--tsv', self.path('host.dat')), INCOMPLETE, 'history incomplete')

    def test_beside_another_change(self):
        """A loss on one CPU around a change of the same vCPU on another CPU: later values are doubtful, too"""
        formats = scenario.kvm_formats(False)
        write = formats['kvm_write_tsc_offset']
        entry = formats['kvm_entry']

        def event(previous, following):
            return write.record(100, vcpu_id=0, previous_tsc_offset=previous, next_tsc_offset=following)

        def file(lost):
            pages = [dat.PageWriter(), dat.PageWriter()]
            pages[0].add(1 << 40, entry.record(100, vcpu_id=0))
            if lost:
                pages[0].lose(7)
            pages[0].add((1 << 40) + 1000, entry.record(100, vcpu_id=0))
            pages[1].add((1 << 40) + 500, event(5, 10))
            dat.write(self.path('host.dat'), [dat.Buffer('', {cpu: pages[cpu].pages() for cpu in (0, 1)})],
                      formats.values())

        file(True)
        found = self.json(self.path('host.dat'), status=INCOMPLETE)
        vcpu = found['vms'][0]['vcpus'][0]
        self.assertEqual(found['lost'], [{'from': 1 << 40, 'to': (1 << 40) + 1000}])
        self.assertTrue(vcpu['changes'][0]['lost_before'])
        self.assertIsNone(vcpu['current'])
        self.assertIn(b'1 change; offset at the end not known', show(self.path('host.dat')).stdout)
        file(False)
        found = self.json(self.path('host.dat'))
        self.assertEqual(found['vms'][0]['vcpus'][0]['current']['offset'], 10)

    def test_only_the_kernel_counted(self):
        """Losses after the last page, and events for which there was no space, are only in the counts"""
        for counts, begins in ({'overrun': 5}, False), ({'dropped': 3}, True), ({}, None):
            def stats(cpu, overrun=0, read=0):
                return stats_text(cpu, read=read, now=1 << 50, **(counts if cpu == 1 else {}))
            with mock.patch.object(dat, 'stats_option', stats):
                self.make({'changes': 3})
            if begins is None:
                self.assertTrue(self.json(self.path('host.dat'))['complete'])
                continue
            found = self.json(self.path('host.dat'), status=INCOMPLETE)
            self.assertFalse(found['complete'])
            self.assertEqual([(bool(lost['from']), lost['to']) for lost in found['lost']],
                             [(not begins, 1 << 50)])
            for vcpu in found['vms'][0]['vcpus']:
                self.assertEqual(vcpu['current'], None)

    def test_counts_that_pages_tell_as_well(self):
        """Losses that are in both pages and counts are not counted twice; scenario.py writes both"""
        self.make({'changes': 3, 'lose_every': 3})
        ranges = self.json(self.path('host.dat'), status=INCOMPLETE)['lost']
        with mock.patch.object(dat, 'stats_option', stats_without_losses):
            self.make({'changes': 3, 'lose_every': 3})
        self.assertEqual(self.json(self.path('host.dat'), status=INCOMPLETE)['lost'], ranges)

    def test_counts_beyond_what_pages_tell(self):
        """A page reports 7 events; the kernel counted 7, or 9: then 2 were lost after the last page"""
        formats = scenario.kvm_formats(False)
        write = formats['kvm_write_tsc_offset']
        for overrun, number, at_end in (7, 7, False), (9, 7, True), (9, None, False), (0, 7, False):
            pages = dat.PageWriter()
            for i in range(2):
                if i:
                    pages.lose(number)
                pages.add((1 << 40) + i, write.record(100, vcpu_id=0, previous_tsc_offset=i + 1,
                                                      next_tsc_offset=i + 2))
            stats = stats_text(0, overrun=overrun, now=1 << 41)
            dat.write(self.path('host.dat'), [dat.Buffer('', {0: pages.pages()})], formats.values(),
                      options=[(dat.CPUSTAT, stats)])
            found = self.json(self.path('host.dat'), status=INCOMPLETE)
            self.assertEqual(found['lost'], [{'from': 1 << 40, 'to': (1 << 40) + 1}] + (
                [{'from': (1 << 40) + 1, 'to': 1 << 41}] if at_end else []))
            self.assertEqual(found['vms'][0]['vcpus'][0]['current'] is None, at_end)

    def test_the_host_began_late(self):
        """What came before the recording is not a loss"""
        self.make({'changes': 3, 'host_segments': (4, 8)})
        self.assertTrue(self.json(self.path('host.dat'))['complete'])


def stats_text(cpu, overrun=0, dropped=0, read=0, now=0):
    return (f'CPU: {cpu}\nentries: 0\noverrun: {overrun}\ncommit overrun: 0\nbytes: 0\noldest event ts: 0\n'
            f'now ts: {now}\ndropped events: {dropped}\nread events: {read}\n\0').encode()


def stats_without_losses(cpu, overrun=0, read=0):
    return stats_text(cpu, read=read)


class TestVms(Base):
    """Which threads belong to a VM, and which VM is selected"""
    def threads(self, found):
        return [[thread['tid'] for thread in vm['threads']] for vm in found['vms']]

    def test_by_threads(self):
        for parameters, threads in (
                ({}, [[2010, 2011], [2110, 2111]]),
                ({'foreign_writer': True}, [[2001, 2001, 2010, 2011], [2101, 2101, 2110, 2111]])):
            self.make({'vms': 2, 'linked': False, 'changes': 2, **parameters})
            found = self.json(self.path('host.dat'))
            self.assertEqual([vm['evidence'] for vm in found['vms']], ['threads'] * 2)
            self.assertEqual(self.threads(found), threads)
            self.assertEqual([vm['id'] for vm in found['vms']], [ids[0] for ids in threads])
            # The thread that runs a vCPU counts, not the one that writes its offset
            self.assertEqual([vcpu['thread'] for vm in found['vms'] for vcpu in vm['vcpus']],
                             [2010, 2011, 2110, 2111])
            self.said(show(self.path('host.dat')), DONE, 'order only', f': VM {threads[0][0]} (threads {threads[0][0]} = vCPU ',
                      '2110 = vCPU 0, 2111 = vCPU 1)')
        # A single VM is not ambiguous, nor are guests that trace-cmd recorded
        self.make({'linked': False})
        self.assertEqual(show(self.path('host.dat')).stderr, b'')
        self.make({'vms': 2})
        self.assertEqual(show(self.path('host.dat')).stderr, b'')

    def test_chosen(self):
        truth = self.make({'vms': 2, 'changes': 2})
        whole = self.json(self.path('host.dat'))
        for wanted, number in ('2010', 0), ('2011', 0), ('2110', 1), ('2111', 1):
            found = self.json('--vm', wanted, self.path('host.dat'))
            self.assertEqual(found['vms'], [whole['vms'][number]])
            done = show(f'--vm={wanted}', self.path('host.dat'))
            self.said(done, DONE)
            self.assertEqual(done.stdout.count(b'\nVM '), 1)
            rows = show('--tsv', '--vm', wanted, self.path('host.dat')).stdout.decode().splitlines()[1:]
            self.assertEqual({row.split('\t')[0] for row in rows}, {str(whole['vms'][number]['id'])})
        self.assertEqual(len(truth['guests']), 2)

    def test_named_threads(self):
        self.make({'vms': 2, 'linked': False, 'changes': 2})
        # --vm takes precedence over the grouping by order
        found = self.json('--vm', '2010,2111', self.path('host.dat'))
        self.assertEqual([(vm['id'], vm['evidence']) for vm in found['vms']], [(2010, 'user')])
        self.assertEqual(self.threads(found), [[2010, 2111]])
        self.assertEqual([len(vcpu['changes']) for vcpu in found['vms'][0]['vcpus']], [2, 2])
        self.said(show('--vm', '2010,2111', self.path('host.dat')), DONE)

    def test_none_such(self):
        self.make({'vms': 2})
        for wanted in '1', '2012', '0', '-5', 'x', '', '2010,', '2010,1', '99999999999', '2010 ':
            for option in [], ['--json'], ['--tsv']:
                done = show(*option, '--vm', wanted, self.path('host.dat'))
                self.said(done, FAILED, f'no VM "{wanted}"', 'there are: VM 2010 (threads 2010 = vCPU 0, ',
                          '2111 = vCPU 1)')
                self.assertEqual(done.stdout, b'')


class TestClocks(Base):
    def test_wrong(self):
        for version, old, new in ((7, b'\0x86-tsc\0', b'\0counter\0'), (7, b'\0x86-tsc\0', b'\0\x1b[31mxx\0'),
                                  (6, b'local global counter uptime perf mono mono_raw boot tai [x86-tsc]',
                                   b'[local] global counter uptime perf mono mono_raw boot tai x86-tsc'),
                                  (6, b' [x86-tsc]', b'  x86-tsc ')):
            truth = self.make({'changes': 2}, version=version)
            expected = expected_vms(truth)
            self.mutate(old, new)
            for option in [], ['--json'], ['--tsv'], ['--vm', '2010']:
                done = show(*option, self.path('host.dat'))
                self.said(done, FAILED, 'not x86-tsc', '-C x86-tsc')
                self.assertEqual((done.stdout, done.stderr.count(b'\n')), (b'', 1))
                self.assertNotIn(b'\x1b', done.stderr)
            # The user's option takes precedence
            self.assertEqual(self.json('--any-clock', self.path('host.dat'))['vms'], expected)

    def test_the_buffer_with_the_tsc_counts(self):
        """The top buffer has the same events with another clock; if it has more events, this is reported"""
        for more in 0, 2:
            self.two_clocks(more)

    def two_clocks(self, more):
        formats = scenario.kvm_formats(False)
        write = formats['kvm_write_tsc_offset']
        clocks = {'': ('local', 1000), 'mine': ('x86-tsc', 1 << 40)}
        buffers = []
        for name, (clock, time) in clocks.items():
            pages = dat.PageWriter()
            for i in range(3 if name else 3 + more):
                pages.add(time + i, write.record(100, vcpu_id=0, previous_tsc_offset=i + 1,
                                                 next_tsc_offset=i + 2))
            buffers.append(dat.Buffer(name, {0: pages.pages()}, clock))
        dat.write(self.path('host.dat'), buffers, formats.values())
        found = self.json(self.path('host.dat'), status=INCOMPLETE if more else DONE)
        self.assertEqual([change['host_tsc'] for change in found['vms'][0]['vcpus'][0]['changes']],
                         [(1 << 40) + i for i in range(3)])
        self.assertIn(b'instance mine', show(self.path('host.dat')).stdout)

    def test_an_instance_alone(self):
        """trace-cmd writes the top buffer's clock for an instance; TRACECLOCK is right"""
        self.make({'changes': 2, 'host_instances': {'mine': ['kvm_write_tsc_offset']}})
        self.mutate(b'mine\0x86-tsc\0', b'mine\0counter\0')
        self.json(self.path('host.dat'))
        self.mutate(b' [x86-tsc]', b'  x86-tsc ')
        self.said(show(self.path('host.dat')), FAILED, '"counter"')


class TestNotRecorded(Base):
    def test_event_not_in_the_file(self):
        made = scenario.Scenario(changes=0)
        made.write(self.directory)
        done = show(self.path('host.dat'))
        self.said(done, DONE)
        del made.host_formats['kvm_write_tsc_offset']
        made.write(self.directory)
        done = show(self.path('host.dat'))
        self.said(done, INCOMPLETE, 'was not recorded', '-e kvm:kvm_write_tsc_offset')
        self.assertEqual(done.stdout.count(b'no change; offset not known'), 2)
        self.assertFalse(self.json(self.path('host.dat'), status=INCOMPLETE)['complete'])


class TestDamaged(Base):
    def quietly(self, path):
        """With any contents: a valid exit status, only our messages, and nothing on stdout after a failure"""
        for option in [], ['--json'], ['--tsv']:
            done = show(*option, path)
            self.said(done, done.returncode)
            self.assertIn(done.returncode, (DONE, FAILED, INCOMPLETE))
            if done.returncode == FAILED:
                self.assertEqual((done.stdout, done.stderr.count(b'\n')), (b'', 1))
        return done.returncode

    def test_no_file(self):
        for path, part in ((self.path('nowhere'), 'No such file'), (str(self.directory), 'regular file'),
                           ('/dev/null', 'regular file')):
            self.assertEqual(self.quietly(path), FAILED)
            self.said(show(path), FAILED, path, part)
        os.mkfifo(self.path('fifo'))
        self.said(show(self.path('fifo')), FAILED, 'regular file')
        with open(self.path('text'), 'w') as file:
            file.write('no trace\n' * 10)
        self.said(show(self.path('text')), FAILED, 'not a trace.dat file')

    def test_cut_off(self):
        self.make({'changes': 2})
        with open(self.path('host.dat'), 'rb') as file:
            data = file.read()
        statuses = set()
        for size in [0, 1, 9, 10, 11, *range(20, len(data), len(data) // 40)]:
            with open(self.path('cut'), 'wb') as file:
                file.write(data[:size])
            statuses.add(self.quietly(self.path('cut')))
        self.assertIn(FAILED, statuses)

    def test_noise(self):
        rnd = random.Random(1)
        statuses = set()
        for version in 6, 7:
            self.make({'changes': 3, 'lose_every': 3}, version=version)
            with open(self.path('host.dat'), 'rb') as file:
                data = bytearray(file.read())
            for _ in range(60):
                noisy = bytearray(data)
                for _ in range(rnd.choice((1, 10, 300))):
                    noisy[rnd.randrange(len(noisy))] = rnd.choice((0, 0xff, rnd.randrange(256)))
                with open(self.path('noisy'), 'wb') as file:
                    file.write(noisy)
                statuses.add(self.quietly(self.path('noisy')))
        self.assertIn(FAILED, statuses)
        self.assertIn(INCOMPLETE, statuses)


class TestUsage(Base):
    def test_help(self):
        for option in '-h', '--help', '--hel':
            done = show(option)
            self.assertEqual((done.returncode, done.stderr), (DONE, b''))
        for word in b'--vm', b'--json', b'--tsv', b'--svg', b'--any-clock', b'-h, --help', b'gnuplot', b'Exit status':
            self.assertIn(word, done.stdout)
        of_all = subprocess.run([TOOL, '-h'], stdout=subprocess.PIPE, check=True).stdout
        self.assertRegex(of_all, rb'\n  show +\S')

    def test_all_options_are_in_the_help(self):
        options = set(re.findall(r'^ {2,6}(?:-\w, )?(--[a-z-]+)', show('-h').stdout.decode(), re.M))
        self.assertEqual(options, {'--help', '--vm', '--json', '--tsv', '--svg', '--any-clock', '--estimate', '--max-error'})
        for option in options:
            # The control below: an option that does not exist is refused as such
            self.assertNotIn(b'unknown option', show(option).stderr)
        self.assertIn(b'unknown option', show('--nonsense').stderr)

    def test_wrong_usage(self):
        for arguments, part in (
                (['-x'], "'-x'"), (['-xh'], "'-x'"), (['-\xff'], "'-"), (['--nonsense'], "'--nonsense'"), (['--vm'], "'--vm'"),
                (['--json=3', 'x'], "option '--json' takes no value"), (['a', 'b'], "'b'"),
                (['--json', '--tsv', 'a'], '--json cannot be used with --tsv'),
                (['--any-clock'], '--any-clock requires HOST.dat'),
                (['--svg'], "'--svg'"), (['--svg', 'x', '--json', 'a'], '--svg cannot be used with --json'),
                (['--tsv', '--svg', 'x', 'a'], '--tsv cannot be used with --svg'),
                (['--estimate', 'x'], '--estimate requires HOST.dat'), (['--max-error', '5x', 'a'], '--max-error'),
                (['--vm', '1,2'], "'1,2'")):
            done = show(*arguments)
            self.said(done, USAGE, part, 'show -h')
            self.assertEqual((done.stdout, done.stderr.count(b'\n')), (b'', 1))

    def test_output_that_is_lost(self):
        for option in [], ['--json'], ['--tsv']:
            with open('/dev/full', 'wb') as full:
                done = subprocess.run([TOOL, 'show', *option, os.path.join(DATA, 'agent-moved', 'host.dat')],
                                      stdout=full, stderr=subprocess.PIPE, check=False)
            self.said(done, FAILED, 'standard output')


class TestPicture(Base):
    """--svg"""
    def picture(self, *arguments, status=DONE):
        """The elements of a picture, by class"""
        svg = self.path('picture.svg')
        done = show('--svg', svg, *arguments)
        self.assertEqual((done.returncode, done.stdout), (status, b''), done.stderr)
        found = {}
        for element in ElementTree.parse(svg).iter():
            for name in element.get('class', '').split():
                found.setdefault(name, []).append(element)
            for name in 'x', 'y', 'cx', 'cy', 'width', 'height':
                if element.get(name):
                    self.assertGreaterEqual(int(element.get(name)), 0)
        return found

    def text(self, element):
        return ''.join(element.itertext())

    def drawn_changes(self, path, *arguments, status=DONE):
        """Each change is a step in its panel, with its numbers"""
        told = self.json(path, *arguments, status=status)
        found = self.picture(path, *arguments, status=status)
        changes = [(vcpu, change) for vm in told['vms'] for vcpu in vm['vcpus'] for change in vcpu['changes']]
        titles = [self.text(step).replace('\u00a0', '') for step in found.get('step', [])]
        self.assertEqual(len(titles), len(changes))
        for title, (vcpu, change) in zip(titles, changes):
            self.assertTrue(title.startswith(f'vCPU {vcpu["vcpu_id"]}: {change["delta"]:+} to {change["next"]}'), title)
            self.assertIn(f'host TSC {change["host_tsc"]}', title)
            self.assertEqual('backward' in title, bool(change['backward']))
        self.assertEqual(len(found.get('backward', [])), sum(bool(change['backward']) for _, change in changes))
        panels = [vcpu for vm in told['vms'] for vcpu in (vm['vcpus'] if len(vm['vcpus']) > 8 else [vm])]
        self.assertEqual(len(found['panel']), len(panels))
        for vm in told['vms']:
            self.assertTrue(any(f'VM {vm["name"]}' in self.text(title) for title in found['title']))
        gaps = sum(change['lost_before'] for _, change in changes) + \
            sum(not vcpu['current'] for vm in told['vms'] for vcpu in vm['vcpus'])
        self.assertEqual(len(found.get('gap', [])), gaps)
        return found

    def test_recording(self):
        path = os.path.join(DATA, 'agent-moved', 'host.dat')
        found = self.drawn_changes(path)
        self.assertEqual(len(found['step']), 2)
        self.assertIn(f'host TSC {MOVED[0][1]}', self.text(found['step'][0]))
        self.assertNotIn('unsure', found)
        self.assertNotIn('unknown', found)

    def test_no_changes(self):
        """There is nothing to draw, and no scale either"""
        found = self.picture(os.path.join(DATA, 'agent-still', 'host.dat'))
        self.assertEqual([self.text(text) for text in found['unknown']], ['no changes: offset unknown'])
        self.assertNotIn('y', found)

    def test_many_changes(self):
        for vms, vcpus in (1, 1), (2, 8), (1, 9):
            with self.subTest(vms=vms, vcpus=vcpus):
                self.make({'vms': vms, 'vcpus': vcpus, 'changes': 5, 'direction': 'both', 'segments': 40},
                          tsc2nsec=TSC2NSEC)
                status = show(self.path('host.dat')).returncode
                found = self.drawn_changes(self.path('host.dat'), status=status)
                self.assertTrue(any('seconds' in self.text(text) for text in found['x']))
        self.make({'changes': 5})
        self.assertTrue(any('host cycles' in self.text(text) for text in self.drawn_changes(self.path('host.dat'))['x']))

    def test_one_vm(self):
        self.make({'vms': 2, 'changes': 4})
        self.assertEqual(len(self.drawn_changes(self.path('host.dat'), '--vm', '2110')['panel']), 1)

    def test_losses(self):
        self.make({'changes': 6, 'segments': 60, 'lose_every': 7, 'lose_changes': [(0, 0, 2)]}, tsc2nsec=TSC2NSEC)
        found = self.drawn_changes(self.path('host.dat'), status=INCOMPLETE)
        for name in 'lost', 'gap', 'unsure':
            self.assertTrue(found[name])

    def test_loss_before_creation(self):
        """The offset before a vCPU was created is unknown, but the time of the creation is known"""
        self.make({'boot': True, 'resets': (4,), 'segments': 8, 'lose_every': 2})
        found = self.drawn_changes(self.path('host.dat'), status=INCOMPLETE)
        first = {name: min(int(element.get('x')) for element in found[name]) for name in ('lost', 'gap')}
        self.assertLess(first['gap'], first['lost'])

    def test_wide_offsets(self):
        """Steps of years, and offsets that hardly differ"""
        for jump in (1 << 56, 1 << 57), (1, 2):
            self.make({'changes': 4, 'jump': jump, 'direction': 'forward'})
            self.drawn_changes(self.path('host.dat'), status=show(self.path('host.dat')).returncode)

    def test_names_are_text(self):
        """Names of file and guest are arbitrary"""
        self.make({'changes': 3})
        self.mutate(b'g1\0', b'<&\0')
        names = ['<svg a="\'&">.dat', 'x\x1b[31m\ufffe.dat', b'\xff\x01.dat']
        for name in names:
            path = os.path.join(os.fsencode(self.directory), os.fsencode(name))
            os.rename(self.path('host.dat'), path)
            title = self.text(self.picture(path)['title'][0])
            self.assertIn('.dat', title)
            if name == names[0]:
                self.assertIn(name, title)
            self.assertTrue(title.isprintable())
            os.rename(path, self.path('host.dat'))
        self.assertIn('guest <&:', self.text(self.picture(self.path('host.dat'))['title'][1]))

    def test_the_file_is_whole_or_not_at_all(self):
        recording = os.path.join(DATA, 'agent-moved', 'host.dat')
        self.make({'changes': 3})
        with open(self.path('picture.svg'), 'w') as file:
            file.write('old')
        with open(self.path('host.dat'), 'rb') as file:
            before = file.read()
        self.said(show('--svg', self.path('host.dat'), recording), FAILED, 'is a recording')
        with open(self.path('host.dat'), 'rb') as file:
            self.assertEqual(file.read(), before)
        for path in '/dev/full', self.directory:
            self.said(show('--svg', path, recording), FAILED, 'not a regular file')
        self.said(show('--svg', self.path('none/x.svg'), recording), FAILED, 'none/x.svg')
        self.picture(recording)
        self.assertEqual(sorted(os.listdir(self.directory)), ['g1.dat', 'host.dat', 'picture.svg', 'truth.json'])
        mask = os.umask(0o027)
        try:
            self.picture(recording)
        finally:
            os.umask(mask)
        self.assertEqual(os.stat(self.path('picture.svg')).st_mode & 0o777, 0o640)


if __name__ == '__main__':
    main()
