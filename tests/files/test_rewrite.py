#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""stamp --rewrite: the real trace-cmd report, which then corrects nothing, shows each event at its host time."""
import json
import os
import re
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, USAGE, each, main
from rewritten import JUMP, MORE_JUMPS, bounds_of, jumps_of, report_of, truth_of
from scenario_case import ScenarioCase
import trace_dat
import trace_dat_writer as dat

INSTANCES = {f'i{number}': names for number, names in enumerate((
    ['sys_enter'], ['sys_exit'], ['sys_enter', 'sys_exit'], ['print'], ['bprint', 'print'], ['sched_switch'], []))}

# (parameters of the scenario, options of the writer)
EXACT = {
    'version 6': ({}, dict(version=6)),
    'version 7': ({}, {}),
    'zstd': ({}, dict(compression='zstd')),
    'zstd, sizes of trace-cmd 3.2': ({}, dict(compression='zstd', count_in_size=True)),
    'pages of 8 KiB': ({}, dict(page_size=8192)),
    'pages of 64 KiB, zstd': ({}, dict(page_size=65536, compression='zstd')),
    'long of 4 bytes': ({}, dict(long_size=4)),
    'an instance': (dict(guest_instances={'calls': ['sys_enter', 'sys_exit']}), {}),
    'an instance, version 6': (dict(guest_instances={'calls': ['sys_enter', 'sys_exit']}), dict(version=6)),
    'seven instances': (dict(guest_instances=INSTANCES, segments=12), {}),
    'seven instances, zstd, 16 KiB': (dict(guest_instances=INSTANCES, segments=12),
                                      dict(compression='zstd', page_size=16384)),
    'ratio 0.8': (dict(patched=True, ratio=0.8), {}),
    'ratio 1.25': (dict(patched=True, ratio=1.25, frac_bits=32), {}),
    'ratio 1.0001': (dict(patched=True, ratio=1.0001), {}),
    'rescaled': (dict(patched=True, ratio=1, rescale=[1.25, 1.3]), {}),
    'lost events': (dict(guest_lose_every=3), {}),
    'absolute times': (dict(absolute_every=3), {}),
    'absolute times, backward': (dict(absolute_every=1, direction='backward', changes=3), {}),
    'discarded events': (dict(discard_every=7), {}),
    'many changes': (dict(changes=30, jump=(1_000_000, 3_000_000_000)), {}),
}

JUMPS = {
    'backward': (dict(direction='backward', changes=4), {}),
    'both': (dict(direction='both', changes=6), {}),
    'both, version 6': (dict(direction='both', changes=6), dict(version=6)),
    'both, zstd': (dict(direction='both', changes=6), dict(compression='zstd')),
    'several in a page': (dict(direction='both', changes=12, segments=30), dict(page_size=65536)),
    'pages that are passed over': (dict(direction='both', changes=8, events=30000, jump=(100_000, 2_000_000)),
                                   {}),
    'small': (dict(direction='backward', changes=6, jump=(100_000, 200_000)), {}),
    'scaled': (dict(direction='both', changes=6, patched=True, ratio=1.25), {}),
    'slower': (dict(direction='both', changes=6, patched=True, ratio=0.8), {}),
    'instances': (dict(direction='both', changes=6, guest_instances={'calls': ['sys_enter', 'sys_exit']}), {}),
    'three guests': (dict(direction='both', changes=4, vms=3, host_cpus=3, segments=30), {}),
    'lost events': (dict(direction='both', changes=6, guest_lose_every=3), {}),
}


class RewriteCase(ScenarioCase):
    def rewrite(self, name='g1', *arguments):
        return self.stamp(name, '--rewrite', *arguments)

    def compare(self, scenario, vm, written):
        """Shown and true time of each event: {(buffer, CPU): [(shown, wanted)]}"""
        wanted = {key: [event.host_tsc for event in events]
                  for key, events in truth_of(scenario, vm, **written).items()}
        found = report_of(self.path(f'{vm.name}.synced.dat'), scenario.instances['guest'])
        self.assertEqual({key: len(times) for key, times in found.items()},
                         {key: len(times) for key, times in wanted.items()})
        return {key: list(zip(found[key], wanted[key])) for key in wanted}

    def differ(self, vm, pairs):
        """The pairs whose shown time is wrong"""
        # Several host times have the same guest time if the guest's TSC is slower
        rounding = 2 if vm.ratio and vm.ratio < 1 << vm.frac_bits else 0
        return [(shown, wanted) for shown, wanted in pairs if abs(shown - wanted) > rounding]


@each(EXACT)
class TestExact(RewriteCase):
    def one(self, parameters, written):
        scenario = self.make(written, **parameters)
        for vm in scenario.vms:
            done = self.rewrite(vm.name)
            self.assertEqual((done.returncode, done.stderr), (DONE, ''))
            for key, pairs in self.compare(scenario, vm, written).items():
                self.assertEqual(self.differ(vm, pairs), [], key)


@each(JUMPS)
class TestJumps(RewriteCase):
    def one(self, parameters, written):
        """Each event after a jump within a page is within stamp's bounds; all others are exact"""
        some = 0
        for seed in range(1, 6):
            scenario = self.make(written, **parameters, seed=seed)
            for vm in scenario.vms:
                done = self.rewrite(vm.name)
                self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
                if 'it is unknown which events precede the jump' in done.stderr:
                    continue
                if MORE_JUMPS in done.stderr:
                    continue
                jumps = jumps_of(done.stderr)
                some += len(jumps)
                for key, pairs in self.compare(scenario, vm, written).items():
                    self.within(vm, pairs, jumps[key], f'{vm.name}, seed {seed}')
        self.assertTrue(some)

    def within(self, vm, pairs, jumps, where):
        bounds = bounds_of([shown for shown, _ in pairs], jumps)
        for i, (earlier, later) in bounds.items():
            shown, wanted = pairs[i]
            self.assertTrue(-earlier <= wanted - shown <= later, (where, earlier, later, pairs[i]))
        self.assertEqual(self.differ(vm, [pair for i, pair in enumerate(pairs) if i not in bounds]), [], where)


class TestRewrite(RewriteCase):
    def test_control(self):
        """The same file with TIME_SHIFT has wrong times, and stamp suggests --rewrite"""
        scenario = self.make(direction='both', changes=6)
        done = self.stamp()
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn('--rewrite', done.stderr)
        wrong, total = trace_dat.differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))
        self.assertGreater(wrong, total // 10)

    def test_nothing_is_left_to_readers(self):
        """No option corrects the times, and the mark follows the recorder's version"""
        self.make()
        self.assertEqual(self.rewrite().returncode, DONE)
        with open(self.path('g1.synced.dat'), 'rb') as file:
            data = file.read()
        numbers = [number for number, _, _ in trace_dat.options(data)]
        self.assertNotIn(dat.TIME_SHIFT, numbers)
        self.assertIn(b'3.1.6; times of ', data)
        for arguments in (['report', '--raw-ts'], ['report', '-N'], ['dump', '--all']):
            done = subprocess.run(['trace-cmd', *arguments, '-i', self.path('g1.synced.dat')], capture_output=True,
                                  text=True, errors='replace')
            self.assertEqual((done.returncode, done.stderr), (0, ''), arguments)

    def test_raw_times(self):
        """A reader that does not support TIME_SHIFT shows the same times"""
        self.make(direction='both', changes=6)
        self.rewrite()
        times = [[event.time for event in trace_dat.report('-i', self.path('g1.synced.dat'), *raw)]
                 for raw in ([], ['--raw-ts'])]
        self.assertTrue(times[0])
        self.assertEqual(*times)

    def test_permissions(self):
        """The copy has the permissions of the original, also if it replaces another file"""
        self.make()
        for mode in 0o600, 0o640, 0o444:
            os.chmod(self.path('g1.dat'), mode)
            self.assertEqual(self.rewrite().returncode, DONE)
            self.assertEqual(os.stat(self.path('g1.synced.dat')).st_mode & 0o777, mode)

    def test_host_that_readers_correct(self):
        """A host that is itself a guest: its own TIME_SHIFT is included in the times of the guest's pages"""
        begin, rise = 40_000_000_000, 1_000_000
        samples = [(begin, 1000), (2 * begin, 1000 + begin // rise)]
        scenario = self.make(host_options=[(dat.TIME_SHIFT, dat.time_shift_option(5, 1, [samples] * 2))])
        done = self.rewrite()
        self.assertEqual(done.returncode, DONE, done.stderr)
        for key, pairs in self.compare(scenario, scenario.vms[0], {}).items():
            for shown, wanted in pairs:
                self.assertAlmostEqual(shown, wanted + 1000 + (wanted - begin) // rise, delta=1, msg=key)

    def test_made_later(self):
        """Before the host made a vCPU its events had no possible time; they are
        not treated as events with an unknown offset"""
        self.make(segments=4, stays=3, guest_events=2, changes=1, seed=21009, idle=5, direction='forward',
                  jump=(10000, 200000), guest_segments=(2, 3), previous_zero=True, linked=False)
        self.says(self.rewrite(), INCOMPLETE, '7 events have times that the TSC of their vCPU never had')

    def test_ratio_of_an_instance(self):
        """If an instance's events also fit another ratio, this does not change the ratio of its TSC"""
        instances = {f'i{number}': [name] for number, name in enumerate(
            ('sys_enter', 'sys_exit', 'print', 'bprint', 'sched_switch'))}
        scenario = self.make(dict(page_size=65536), vcpus=4, segments=24, stays=3, guest_events=8, changes=16, seed=5079,
                             idle=50, direction='backward', jump=(2000, 30000), guest_instances=instances,
                             absolute_every=30, discard_every=9, boot=True, linked=False)
        done = self.rewrite()
        self.assertEqual(done.returncode, INCOMPLETE)
        pairs = self.compare(scenario, scenario.vms[0], dict(page_size=65536))
        self.assertLessEqual(sum(shown != wanted for of_cpu in pairs.values() for shown, wanted in of_cpu), 1)

    def test_twice(self):
        self.make()
        self.rewrite()
        os.rename(self.path('g1.synced.dat'), self.path('g2.dat'))
        for arguments in ([], ['--rewrite'], ['--in-place']):
            done = self.stamp('g2', *arguments)
            self.assertEqual((done.returncode, done.stderr), (DONE, ''), arguments)
            self.assertIn("g2.dat: already rewritten by 'stamp --rewrite'; nothing is written", done.stdout)
        self.assertFalse(os.path.exists(self.path('g2.synced.dat')))

    def test_another_host(self):
        self.make()
        self.rewrite()
        os.rename(self.path('g1.synced.dat'), self.path('g2.dat'))
        self.make(seed=2)
        done = self.stamp('g2')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('for another recording of the host', done.stderr)

    def test_check(self):
        """check reports the same bounds as stamp for the events after each jump"""
        self.make(direction='both', changes=6)
        said = self.rewrite().stderr
        done = self.run_tool('check', '--json', 'host.dat', 'g1.synced.dat')
        self.assertEqual(done.returncode, DONE, done.stderr + done.stdout)
        self.assertIn('have no exact times', done.stderr)
        guest, = json.loads(done.stdout)['guests']
        self.assertEqual((guest['verdict'], guest['rewritten']), ('fits', True))
        jumps = [tuple(int(text.replace(',', '')) for text in (m[1], *m.groups()[2:])) for m in JUMP.finditer(said)]
        self.assertGreaterEqual(len(jumps), 3)
        names = 'cpu', 'events', 'host_tsc', 'earlier', 'later'
        self.assertEqual([tuple(place[name] for name in names) for place in guest['inexact']], jumps)

    def test_check_not_rewritten(self):
        """check reports the events that no TIME_SHIFT can correct, and the same jumps"""
        scenario = self.make(direction='both', changes=6)
        jumps = len(JUMP.findall(self.rewrite('g1', '-o', self.path('right.dat')).stderr))
        self.stamp()
        wrong, _ = trace_dat.differing(scenario, scenario.vms[0], self.path('g1.synced.dat'))
        done = self.run_tool('check', '--json', 'host.dat', 'g1.synced.dat')
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertEqual(len(JUMP.findall(done.stderr)), jumps)
        guest, = json.loads(done.stdout)['guests']
        self.assertEqual(len(guest['inexact']), jumps)
        misplaced = int(re.search(r'readers show (\d+) of its events at times that differ', done.stderr)[1])
        # Right times after a jump within a page are not known to the cycle
        inexact = sum(place['events'] for place in guest['inexact'])
        self.assertTrue(wrong - inexact <= misplaced <= wrong + inexact, (wrong, misplaced, inexact))

    def test_false_claim(self):
        """A guest can claim that its file has host times"""
        scenario = self.make()
        claim = f'times of {scenario.host_trace_id:016x} by tsc-offset\0'.encode()
        scenario.more_options['guest'].append((dat.VERSION, claim))
        scenario.write(self.directory)
        done = self.stamp()
        self.assertEqual(done.returncode, INCOMPLETE, done.stdout + done.stderr)
        self.assertIn('are they right?', done.stderr)

    def test_check_fails(self):
        """Control: the times of one page are wrong"""
        self.make()
        self.rewrite()
        with open(self.path('g1.synced.dat'), 'rb+') as file:
            data = file.read()
            at = min(at for at in range(0, len(data) - 8, 4096)
                     if 50_000_000_000 <= int.from_bytes(data[at:at + 8], 'little') < 60_000_000_000)
            file.seek(at)
            file.write((int.from_bytes(data[at:at + 8], 'little') + 3_000_000).to_bytes(8, 'little'))
        self.assertEqual(self.run_tool('check', 'host.dat', 'g1.synced.dat').returncode, INCOMPLETE)

    def test_dry_run(self):
        self.make()
        done = self.rewrite('g1', '--dry-run')
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertIn('(not written)', done.stdout)
        self.assertFalse(os.path.exists(self.path('g1.synced.dat')))

    def test_usage(self):
        self.make()
        for arguments in (['--in-place'], ['--buffer', 'calls']):
            done = self.rewrite('g1', *arguments)
            self.assertEqual(done.returncode, USAGE, arguments)
            self.assertIn('cannot be used with', done.stderr)

    def test_options_of_the_host(self):
        """If readers shift the host's times, they shift the guest's times equally"""
        self.make(host_options=[(7, b'5000000\0')])
        self.assertEqual(self.rewrite().returncode, DONE)
        done = self.run_tool('check', 'host.dat', 'g1.synced.dat')
        self.assertEqual(done.returncode, DONE, done.stderr)
        merged = trace_dat.report('-i', self.path('host.dat'), '-i', self.path('g1.synced.dat'))
        self.assertTrue(merged)

    def test_missing_change(self):
        """The ring buffer shows a jump that the host's file does not have"""
        self.make(direction='backward', changes=2, lose_changes=[(0, 0, 0), (0, 0, 1)])
        done = self.rewrite()
        self.assertIn(done.returncode, (INCOMPLETE, FAILED), done.stdout)


if __name__ == '__main__':
    main()
