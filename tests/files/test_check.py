#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset check, compared with an independent result from the lines of the real trace-cmd report.
"""
import bisect
import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import unicodedata

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main
from scenario import Scenario
import trace_dat

COUNTS = 'events', 'inside', 'violations', 'outside'
TOP = 2 ** 64


def spans_of(events):
    """({vCPU: spans [entry, exit] in a host's lines}, first and last time of these lines).

    A span lasts from an entry to the next exit, or to the host's last event."""
    vcpus, spans = {}, {}
    events = sorted(events, key=lambda event: event.time)
    modes = [event for event in events if event.event in ('kvm_entry', 'kvm_exit')]
    for event in modes:
        if event.event == 'kvm_entry':
            vcpu = vcpus[event.tid] = int(re.search(r'vcpu (\d+)', event.text)[1])
            found = spans.setdefault(vcpu, [])
            if not found or found[-1][1] is not None:
                found.append([event.time, None])
        elif event.tid in vcpus:
            span = spans[vcpus[event.tid]][-1]
            if span[1] is None:
                span[1] = event.time
    return spans, (modes[0].time, events[-1].time)


def expected(host, guest):
    """The correct result of check for each CPU, from the lines of both files"""
    answer = {}
    spans, known = spans_of(host)
    for event in guest:
        count = answer.setdefault(event.cpu, {**dict.fromkeys(COUNTS, 0), 'earlier': None, 'later': None})
        own = spans[sorted(spans)[event.cpu]]
        count['events'] += 1
        at = bisect.bisect_right(own, event.time, key=lambda span: span[0]) - 1
        if not known[0] <= event.time <= known[1]:
            count['outside'] += 1
        elif at >= 0 and (own[at][1] is None or event.time <= own[at][1]):
            count['inside'] += 1
            for name, room in ('earlier', event.time - own[at][0]), ('later', own[at][1] and own[at][1] - event.time):
                if room is not None:
                    count[name] = room if count[name] is None else min(room, count[name])
        else:
            count['violations'] += 1
    return answer


def check(*arguments, **kwargs):
    return subprocess.run([TOOL, 'check', *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, **kwargs)


class Base(Case):
    def setUp(self):
        super().setUp()
        self.host, self.guest = self.path('host.dat'), self.path('g1.dat')

    def write(self, time_shift='exact', tsc2nsec=None, version=7, compression='none', **parameters):
        scenario = Scenario(**parameters)
        options = {'version': version, 'compression': compression}
        scenario.write(self.directory, time_shift=time_shift, tsc2nsec=tsc2nsec, **options)
        return scenario

    def result(self, *arguments, status=None):
        """The --json result of the only guest"""
        done = check('--json', *arguments)
        guest, = json.loads(done.stdout)['guests']
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return guest

    def cpus(self, guest, instance=''):
        buffer, = [buffer for buffer in guest['buffers'] if buffer['instance'] == instance]
        return {cpu['cpu']: cpu for cpu in buffer['cpus']}

    def agrees(self, host, guest):
        """check agrees with the lines of report. Returns the number of all violations."""
        wanted = expected(trace_dat.report('-i', host), trace_dat.report('-i', guest))
        result = self.result(host, guest)
        found = self.cpus(result)
        self.assertEqual(found.keys(), wanted.keys())
        for cpu, count in wanted.items():
            self.assertEqual({name: found[cpu][name] for name in COUNTS},
                             {name: count[name] for name in COUNTS}, f'CPU {cpu}')
            bound = None if count['violations'] or not count['inside'] else {
                name: count[name] for name in ('earlier', 'later')}
            self.assertEqual(found[cpu]['may_be_moved'], bound)
            self.check_listed(found[cpu], host)
        return result['violations']

    def check_listed(self, cpu, host):
        """Each listed violation lies between the two spans that are listed with it"""
        spans, _ = spans_of(trace_dat.report('-i', host))
        # There is no span before the first and after the last one
        own = [[None, None], *spans[cpu['vcpu_id']], [None, None]]
        self.assertEqual(len(cpu['first_violations']), min(cpu['violations'], 10))
        for violation in cpu['first_violations']:
            before, after = ([violation[f'guest_mode_{side}'][name] for name in ('entry', 'exit')]
                             for side in ('before', 'after'))
            self.assertIn((before, after), list(zip(own, own[1:])))
            self.assertTrue((before[1] or 0) < violation['shown_at'] < (after[0] or TOP))


class TestRecordings(Base):
    """Recordings of the emulated host, synchronised by trace-cmd itself"""
    def test_still(self):
        files = [os.path.join(DATA, 'agent-still', name) for name in ('host.dat', 'guest.dat')]
        self.assertEqual(self.agrees(*files), 0)
        self.result(*files, status=DONE)

    def test_moved(self):
        files = [os.path.join(DATA, 'agent-moved', name) for name in ('host.dat', 'guest.dat')]
        self.assertGreater(self.agrees(*files), 100)
        self.result(*files, status=INCOMPLETE)
        # The same with the times of the history
        subprocess.run([TOOL, 'stamp', '-o', self.guest, *files], check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.assertEqual(self.agrees(files[0], self.guest), 0)
        result = self.result(files[0], self.guest, status=DONE)
        self.assertEqual(result['inside'], 3938)


class TestMadeUp(Base):
    """Generated recordings with known truth"""
    def test_kinds_of_files(self):
        for version, compression in (7, 'none'), (7, 'zstd'), (6, 'none'):
            for time_shift, violations in ('exact', False), ('stock', True), (None, False):
                with self.subTest(version=version, compression=compression, time_shift=time_shift):
                    scenario = self.write(time_shift, version=version, compression=compression, changes=4,
                                          segments=30, absolute_every=7, discard_every=5)
                    self.assertEqual(bool(self.agrees(self.host, self.guest)), violations)
                    result = self.result(self.host, self.guest,
                                         status=INCOMPLETE if time_shift != 'exact' else DONE)
                    self.assertEqual(result['verdict'], {'exact': 'fits', 'stock': 'violations',
                                                         None: 'not provable'}[time_shift])
                    self.assertEqual(result['events'], len(scenario.events('g1')))

    def test_partly_recorded(self):
        for host, guest in ((0, 20), (10, 30)), ((10, 30), (0, 20)), ((12, 18), (0, 30)), ((0, 30), (12, 18)):
            self.write(segments=30, host_segments=host, guest_segments=guest)
            self.assertEqual(self.agrees(self.host, self.guest), 0)
        self.write(segments=30, host_segments=(0, 10), guest_segments=(20, 30))
        self.assertEqual(self.result(self.host, self.guest, status=INCOMPLETE)['verdict'], 'not provable')

    def test_several_vms(self):
        """Three VMs with vcpu_ids that have gaps, on fewer CPUs than there are vCPUs"""
        self.write(vms=3, vcpus=4, vcpu_ids=[0, 2, 8, 9], host_cpus=5, segments=40, changes=3)
        guests = [self.path(f'g{number}.dat') for number in (1, 2, 3)]
        done = check('--json', self.host, *guests)
        self.assertEqual(done.returncode, DONE, done.stderr)
        for guest, result in zip(guests, json.loads(done.stdout)['guests']):
            self.assertEqual((result['file'], result['violations'], result['outside']), (guest, 0, 0))
            self.assertEqual([cpu['vcpu_id'] for cpu in self.cpus(result).values()], [0, 2, 8, 9])
        # The control: the events of one guest with the vCPUs of another
        for vm in 2010, 2110:
            self.assertGreater(self.result('--vm', vm, self.host, guests[2], status=INCOMPLETE)['violations'],
                               100)

    def test_vcpus_that_the_host_did_not_see(self):
        """CPU 1 is vCPU 1 even if the host saw no other vCPU"""
        scenario = self.write(unseen=[0], linked=False)
        cpus = self.cpus(self.result(self.host, self.guest, status=INCOMPLETE))
        self.assertIn('CPU 0 fits none of the vCPUs', check(self.host, self.guest).stderr)
        self.assertEqual([(cpu['vcpu_id'], cpu['violations']) for cpu in cpus.values()], [(None, 0), (1, 0)])
        self.assertEqual(cpus[0]['outside'], cpus[0]['events'])
        self.assertEqual(cpus[1]['inside'], cpus[1]['events'])
        self.assertEqual(sum(cpu['events'] for cpu in cpus.values()), len(scenario.events('g1')))
        # If vcpu_ids have gaps, the events show which vCPU it is
        self.write(unseen=[0], vcpu_ids=[0, 4], linked=False)
        cpus = self.cpus(self.result(self.host, self.guest, status=INCOMPLETE))
        self.assertEqual([(cpu['vcpu_id'], cpu['violations']) for cpu in cpus.values()], [(None, 0), (4, 0)])

    def test_which_vm(self):
        """The events show which VM it is; --vm takes precedence, and the events may contradict it"""
        self.write(vms=2, linked=False)
        self.assertEqual(self.result(self.host, self.guest, status=DONE)['vm'], 2010)
        self.assertEqual(self.result(self.host, self.path('g2.dat'), status=DONE)['vm'], 2110)
        self.result('--vm', 2010, self.host, self.guest, status=DONE)
        self.result('--vm', 2011, self.host, self.guest, status=DONE)
        self.result('--vm', '2010,2011', self.host, self.guest, status=DONE)
        self.assertGreater(self.result('--vm', 2110, self.host, self.guest, status=INCOMPLETE)['violations'], 10)
        done = check('--vm', 7, self.host, self.guest)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('no VM "7"', done.stderr)

    def test_host_lost_events(self):
        """Unknown events are neither proved nor violations"""
        for seed in range(8):
            parameters = dict(lose_every=3, segments=40, changes=2, seed=seed, lost_counts=seed % 2 == 0)
            scenario = self.write(**parameters)
            result = self.result(self.host, self.guest, status=DONE)
            self.assertEqual(result['violations'], 0)
            self.assertGreater(result['unprovable'], 0)
            self.assertGreater(result['inside'], result['events'] / 2)
            self.assertEqual(result['events'], len(scenario.events('g1')))
            for cpu in self.cpus(result).values():
                self.assertEqual(cpu['events'], sum(cpu[name] for name in (
                    'inside', 'violations', 'outside', 'unprovable')))
            # The control: a wrong synchronisation is still detected
            self.write('stock', **parameters)
            self.assertGreater(self.result(self.host, self.guest, status=INCOMPLETE)['violations'], 10)
        # Without the flags in its pages the host's file would cause violations
        self.write(**parameters)
        with open(self.host, 'rb') as file:
            data = bytearray(file.read())
        for at in range(0, len(data) - 16, 4096):
            time, commit = struct.unpack_from('<QQ', data, at)
            if 50_000_000_000 <= time < 2 ** 40 and commit >> 31 & 1:
                struct.pack_into('<Q', data, at + 8, commit & ((1 << 27) - 1))
        with open(self.host, 'wb') as file:
            file.write(data)
        self.assertGreater(self.result(self.host, self.guest)['violations'], 0)

    def test_losses_that_only_counts_tell(self):
        self.write('stock', segments=40, changes=2)
        before = self.result(self.host, self.guest, status=INCOMPLETE)
        with open(self.host, 'rb') as file:
            data = file.read()
        # A loss at an unknown time on the first CPU: only spans of guest mode on the other CPU are certain
        with open(self.host, 'wb') as file:
            file.write(data.replace(b'dropped events: 0', b'dropped events: 1', 1))
        after = self.result(self.host, self.guest, status=DONE)
        self.assertGreater(before['violations'], 0)
        self.assertEqual(after['violations'], 0)
        self.assertGreater(after['unprovable'], before['violations'])
        self.assertTrue(0 < after['inside'] < before['inside'])
        # A loss after the last event of each CPU: earlier spans are certain
        with open(self.host, 'wb') as file:
            file.write(data.replace(b'\noverrun: 0', b'\noverrun: 9'))
        after = self.result(self.host, self.guest, status=INCOMPLETE)
        self.assertGreater(after['violations'], before['violations'] / 2)
        self.assertGreater(after['inside'], before['inside'] / 2)

    def test_instances(self):
        """Readers show an instance's events at the guest's own times"""
        for version in 7, 6:
            self.write(version=version, guest_instances={'inside': ['sched_switch', 'sys_enter']})
            result = self.result(self.host, self.guest, status=INCOMPLETE)
            self.assertEqual(result['verdict'], 'not provable')
            for cpu in self.cpus(result).values():
                self.assertEqual((cpu['corrected'], cpu['events']), (True, cpu['inside']))
            shown = trace_dat.report('-i', self.guest)
            raw = trace_dat.report('--raw-ts', '-i', self.guest)
            for number, cpu in self.cpus(result, 'inside').items():
                self.assertEqual((cpu['corrected'], cpu['events']), (False, cpu['outside']))

            def times(events, *names):
                return sorted(event.time for event in events if event.event in names)
            self.assertEqual(times(shown, 'sched_switch', 'sys_enter'), times(raw, 'sched_switch', 'sys_enter'))
            self.assertNotEqual(times(shown, 'print'), times(raw, 'print'))
            self.assertIn('instance "inside"', check(self.host, self.guest).stderr)
            self.obeyed_by_terminals()
        # The instance's events are really checked: with an offset of 0 the guest's own times are right
        self.write(None, start=50_000_000_000, changes=0, guest_instances={'inside': ['sched_switch']})
        self.assertEqual(self.result(self.host, self.guest)['violations'], 0)

    def obeyed_by_terminals(self):
        """Names come from the guest, which may be hostile: the output has no control characters from them"""
        with open(self.guest, 'rb') as file:
            data = file.read()
        self.assertIn(b'inside\0', data)
        for name in b'\x1b[31m\n', b'\xc2\x9b31m!', b'\xff\xfe\x9b31m':
            with open(self.guest, 'wb') as file:
                file.write(data.replace(b'inside\0', name + b'\0'))
            for how in [], ['--json']:
                done = subprocess.run([TOOL, 'check', *how, self.host, self.guest], capture_output=True, check=False)
                self.assertEqual(done.returncode, INCOMPLETE)
                # Both streams are UTF-8 without control characters
                said = (done.stdout + done.stderr).decode()
                self.assertFalse([sign for sign in said if unicodedata.category(sign) == 'Cc' and sign != '\n'], said)
                if how:
                    instance = json.loads(done.stdout)['guests'][0]['buffers'][-1]['instance']
                    # Characters that JSON can escape are unchanged
                    self.assertEqual(instance, '\x1b[31m\n' if name.isascii() else {
                        b'\xc2\x9b31m!': '??31m!', b'\xff\xfe\x9b31m': '???31m'}[name])
        with open(self.guest, 'wb') as file:
            file.write(data)

    def test_corrections_that_step_back(self):
        """The times of a CPU are not in the order of the file"""
        scenario = self.write(None, segments=40, changes=0, idle=0)
        times = sorted(event.time for event in scenario.events('g1'))
        correct = -scenario.vcpus[0].initial
        for back in 10_000, 1_000_000, times[-1] - times[0]:
            # Each step is further back than the one before
            samples = [(times[len(times) * i // 6], correct - back * i // 4) for i in range(6)]
            payload = struct.pack('<QII', scenario.host_trace_id, 0, 2)
            for vcpu in scenario.vcpus:
                payload += struct.pack('<I6q6q6q', 6, *(time for time, _ in samples),
                                       *(offset for _, offset in samples), *[1] * 6)
            stepping = self.path('stepping.dat')
            trace_dat.with_time_shift(self.guest, stepping, payload)
            self.assertGreater(self.agrees(self.host, stepping), 50)

    def test_back_by_half_of_it(self):
        """However far the times step back, each one is compared with the spans at its time"""
        scenario = self.write(None, events=400_000, bulk=True, stays=400, changes=0, idle=0, guest_events=2)
        vcpu = scenario.vcpus[0]
        middle, correct = (scenario.segments[len(scenario.segments) // 2].of[vcpu].guest(0), -vcpu.initial)
        begin, end = scenario.span()
        samples = (1, correct), (middle, correct - (end - begin) // 2), (2 ** 62, 0)
        payload = struct.pack('<QII', scenario.host_trace_id, 0, 2)
        for _ in scenario.vcpus:
            payload += struct.pack('<I3q3q3q', 3, *(time for time, _ in samples),
                                   *(offset for _, offset in samples), 1, 1, 1)
        stepping = self.path('stepping.dat')
        trace_dat.with_time_shift(self.guest, stepping, payload)
        result = self.result(self.host, stepping, status=INCOMPLETE)
        for cpu in self.cpus(result).values():
            self.assertGreater(cpu['violations'], cpu['events'] / 8)
            self.assertGreaterEqual(cpu['inside'], cpu['events'] / 2 - 1000)
            self.assertEqual(cpu['events'], sum(cpu[name] for name in (
                'inside', 'violations', 'outside', 'unprovable')))


class TestAdvice(Base):
    """The command that corrects the times of a file that does not fit"""
    ADVICE = 'to correct its times: '

    def follow(self, done, *options, status=DONE):
        """Run the command that check prints: its result fits. Returns the command."""
        command, = re.findall(f'{self.ADVICE}(.*)', done.stderr)
        words = shlex.split(command)
        self.assertEqual(words[:2], ['tsc-offset', 'stamp'])
        before = set(os.listdir(self.directory))
        self.assertEqual(self.run_tool(*words[1:]).returncode, status)
        copy, = set(os.listdir(self.directory)) - before
        self.says(self.run_tool('check', *options, words[-2], copy), DONE, 'fits')
        return command

    def silent(self, *arguments):
        self.assertNotIn(self.ADVICE, self.run_tool('check', *arguments).stderr)

    def advised(self, *arguments, status=INCOMPLETE):
        """check writes no file for its trial"""
        before = sorted(os.listdir(self.directory))
        done = self.says(self.run_tool('check', *arguments), status)
        self.assertEqual(sorted(os.listdir(self.directory)), before)
        return done

    def test_not_stamped(self):
        self.write(None, changes=3)
        self.assertEqual(self.follow(self.advised('host.dat', 'g1.dat')), 'tsc-offset stamp host.dat g1.dat')
        # With --json there is no trial, which takes time
        self.silent('--json', 'host.dat', 'g1.dat')
        # A file that fits
        self.silent('host.dat', 'g1.synced.dat')

    def test_stock_synchronisation(self):
        """trace-cmd's own protocol did not see that the TSC moved"""
        for name in 'host.dat', 'guest.dat':
            shutil.copy(os.path.join(DATA, 'agent-moved', name), self.directory)
        self.follow(self.advised('host.dat', 'guest.dat'))
        # Its host's file is another one
        shutil.copy(os.path.join(DATA, 'agent-still', 'host.dat'), self.path('other.dat'))
        self.silent('other.dat', 'guest.dat')

    def test_offset_without_change(self):
        """stamp estimates the offset, with a doubt"""
        self.write(None, changes=0, segments=60)
        self.follow(self.advised('host.dat', 'g1.dat'), status=INCOMPLETE)

    def test_uncertain_vm(self):
        """By its own times the file fits no VM, so check fails"""
        self.write(None, vms=2, linked=False, changes=3)
        done = self.advised('host.dat', 'g2.dat', status=FAILED)
        # The advice follows the error
        self.assertLess(done.stderr.index('choose one with --vm'), done.stderr.index(self.ADVICE))
        self.follow(done)
        # Each guest has its own advice, and the others are checked
        done = self.advised('host.dat', 'g1.dat', 'g2.dat', 'g2.synced.dat', status=FAILED)
        self.assertEqual(done.stderr.count(self.ADVICE), 2)
        self.assertIn('g2.synced.dat: fits', done.stdout)

    def test_options(self):
        """The command has the options and the names for the shell"""
        self.write(None, vms=2, linked=False, changes=3)
        os.rename(self.guest, self.path("it's $(x).dat"))
        done = self.advised('--vm', '2010,2011', 'host.dat', "it's $(x).dat")
        self.assertIn("stamp --vm 2010,2011 host.dat 'it'\\''s $(x).dat'", self.follow(done))

    def test_version_6(self):
        """stamp would convert it, which writes files"""
        self.write(None, version=6, changes=3)
        self.follow(self.advised('host.dat', 'g1.dat'))

    def test_backward(self):
        """Only --rewrite makes all events fit"""
        self.write(None, changes=3, direction='backward', segments=40)
        done = self.advised('host.dat', 'g1.dat')
        self.assertIn(' --rewrite ', self.follow(done, status=INCOMPLETE))

    def test_instance(self):
        """Only --rewrite corrects an instance"""
        self.write(None, changes=1, guest_instances={'inst': ['sys_enter', 'sys_exit']})
        self.assertIn(' --rewrite ', self.follow(self.advised('host.dat', 'g1.dat')))

    def test_leading_dash(self):
        self.write(None, changes=3)
        os.rename(self.guest, self.path('-g.dat'))
        self.assertIn(' ./-g.dat', self.follow(self.advised('--', 'host.dat', '-g.dat'), '--'))

    def test_copy(self):
        """A copy that does not fit has an original"""
        self.write(None, changes=3)
        os.rename(self.guest, self.path('g1.synced.dat'))
        self.silent('host.dat', 'g1.synced.dat')

    def test_control_characters(self):
        self.write(None, changes=3)
        os.rename(self.guest, self.path('g\n1.dat'))
        self.silent('host.dat', 'g\n1.dat')

    def test_where_check_still_has_doubts(self):
        """The VM was moved to another process, and the host's file names the first; stamp finds both"""
        self.write(None, vcpus=1, changes=1, seed=69, direction='both', jump=(1000, 20000), moves=[(0, 1, 3)],
                   lives=True)
        self.silent('host.dat', 'g1.dat')
        # The estimate of the one trial is not left to the other
        self.write(None, vcpus=1, changes=0, seed=3038, segments=8, direction='both', host_cpus=1,
                   unrecorded=['kvm_write_tsc_offset'], resets=(2,), lose_changes=[(0, 0, 0)])
        self.silent('host.dat', 'g1.dat')

    def test_where_stamp_does_not_help(self):
        # The file of another recording
        self.write(None, changes=3, seed=5)
        os.rename(self.guest, self.path('other.dat'))
        self.write(None, changes=3)
        self.silent('host.dat', 'other.dat')
        # No change was recorded, and the offset changed
        self.write(None, changes=3, unrecorded=['kvm_write_tsc_offset'])
        self.silent('host.dat', 'g1.dat')
        # The host's file does not show guest mode, or is the guest's
        self.silent('g1.dat', 'host.dat')
        # A file that stamp has rewritten
        self.write(None, changes=3)
        self.says(self.run_tool('stamp', '--rewrite', '-o', 'r.dat', 'host.dat', 'g1.dat'), DONE)
        self.write(None, changes=3, seed=5)
        self.silent('host.dat', 'r.dat')


class TestSaid(Base):
    """The output for people"""
    def test_table(self):
        self.write('stock', changes=3, segments=20)
        done = check('--max-violations', 2, self.host, self.guest)
        result = self.result('--max-violations', 2, self.host, self.guest, status=INCOMPLETE)
        self.assertEqual(done.returncode, INCOMPLETE)
        rows = [line.split() for line in done.stdout.splitlines() if re.match(r' +\d+ +\d+ ', line)]
        wanted = [[str(cpu[name]) for name in ('cpu', 'vcpu_id', *COUNTS, 'unprovable')]
                  for cpu in self.cpus(result).values()]
        self.assertEqual([row[:7] for row in rows], wanted)
        listed = [violation for cpu in self.cpus(result).values() for violation in cpu['first_violations']]
        self.assertEqual(len(listed), 4)
        for violation in listed:
            self.assertIn(f'  guest {violation["guest_tsc"]} shown at {violation["shown_at"]}: ', done.stdout)
        self.assertIn(f'{result["violations"]} violations\n', done.stdout)
        all_listed = self.result('--max-violations', 100000, self.host, self.guest, status=INCOMPLETE)
        self.assertEqual(sum(len(cpu['first_violations']) for cpu in self.cpus(all_listed).values()),
                         result['violations'])
        self.assertNotIn('shown at', check('--max-violations', 0, self.host, self.guest).stdout)
        self.write('exact')
        done = check(self.host, self.guest)
        self.assertIn(': fits: ', done.stdout)
        self.assertEqual(done.stderr, '')

    def test_colors(self):
        """The verdict has colours on a terminal that has them, unless the user disables them"""
        def on_terminal(**environment):
            ours, theirs = pty.openpty()
            inherited = {name: value for name, value in os.environ.items() if name != 'NO_COLOR'}
            with open(ours, 'rb') as terminal:
                subprocess.run([TOOL, 'check', '--max-violations', '0', self.host, self.guest], stdout=theirs, check=False,
                               stderr=subprocess.DEVNULL, env=inherited | {'TERM': 'xterm'} | environment)
                os.close(theirs)
                found = b''
                # A terminal reports its end as an error
                with contextlib.suppress(OSError):
                    while part := os.read(terminal.fileno(), 65536):
                        found += part
            return found.decode()
        for time_shift, words in ('exact', r'\033\[32mfits\033\[m: '), ('stock', r'\033\[31m\d+ violations\033\[m'):
            self.write(time_shift)
            self.assertRegex(on_terminal(), f'g1.dat: {words}')
            for environment in {'NO_COLOR': '1'}, {'TERM': 'dumb'}, {'TERM': ''}:
                self.assertNotIn('\033', on_terminal(**environment))
            self.assertIn('\033', on_terminal(NO_COLOR=''))
            self.assertNotIn('\033', check(self.host, self.guest).stdout)

    def test_nanoseconds(self):
        """Readers convert each file with its own factors: the times do not match, even if they are right"""
        numbers = 1615000, 22, 0
        self.write(tsc2nsec=numbers)
        self.result(self.host, self.guest, status=DONE)
        # The slack of the table, which is in cycles, converted to time
        said = check(self.host, self.guest).stdout
        most = max(int(number) for slack in re.findall(r'  (-\d+ to \+\d+)$', said, re.M)
                   for number in re.findall(r'\d+', slack))
        nanoseconds = most * numbers[0] / (1 << numbers[1])
        shown = re.search(r': fits: .*; slack at most ([0-9.]+) ns$', said, re.M)
        self.assertTrue(nanoseconds < float(shown[1]) < nanoseconds + 1.2, said)
        shutil.copy(self.host, self.path('with.dat'))
        self.write()
        self.assertNotIn('slack at most', check(self.host, self.guest).stdout)
        self.assertEqual(self.result(self.path('with.dat'), self.guest, status=INCOMPLETE)['violations'], 0)
        self.assertIn('nanoseconds', check(self.path('with.dat'), self.guest).stderr)

    def test_another_recording(self):
        scenario = self.write()
        payload = struct.pack('<QII', scenario.host_trace_id + 1, 0, 0)
        other = self.path('other.dat')
        trace_dat.with_time_shift(self.guest, other, payload)
        self.assertIn('another recording', check(self.host, other).stderr)

    def failure(self, *arguments, part, status=FAILED, lines=1):
        done = check(*arguments)
        self.assertEqual((done.returncode, done.stdout), (status, ''), done.stderr)
        self.assertTrue(done.stderr.startswith('tsc-offset'), done.stderr)
        self.assertEqual(done.stderr.count('\n'), lines, done.stderr)
        self.assertIn(part, done.stderr)

    def patched(self, path, old, new):
        with open(path, 'rb') as file:
            data = file.read()
        self.assertIn(old, data)
        with open(self.path('patched.dat'), 'wb') as file:
            file.write(data.replace(old, new))
        return self.path('patched.dat')

    def test_failures(self):
        self.write()
        self.failure(self.host, '/nonexistent/g', part='No such file')
        self.failure('/nonexistent/h', self.guest, part='No such file')
        self.failure(self.directory, self.guest, part='not a regular file')
        self.failure(self.host, TOOL, part='not a trace.dat file')
        for clock in b'x86-tsg', b'counter':
            self.failure(self.patched(self.host, b'x86-tsc', clock), self.guest, part='-C x86-tsc')
            self.failure(self.host, self.patched(self.guest, b'x86-tsc', clock), part='-C x86-tsc', lines=2)
            self.result('--any-clock', self.host, self.path('patched.dat'), status=DONE)
        self.failure(self.patched(self.host, b'kvm_entry', b'kvm_enter'), self.guest, part='no kvm_entry')
        self.failure(self.guest, self.guest, part='no kvm_entry')
        damaged = self.path('damaged.dat')
        trace_dat.with_time_shift(self.guest, damaged, struct.pack('<QIII', 1, 0, 1, 5))
        self.failure(self.host, damaged, part='TIME_SHIFT is damaged')
        # Readers refuse it as well
        self.assertEqual(trace_dat.report('-i', damaged), [])
        # The other guest is still checked
        done = check('--json', self.host, damaged, self.guest)
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual([guest['verdict'] for guest in json.loads(done.stdout)['guests']], ['fits'])

    def test_without_exits(self):
        """A vCPU that never leaves guest mode can record events at any time: this proves nothing"""
        self.write()
        done = check(self.patched(self.host, b'kvm_exit', b'kvm_exi2'), self.guest)
        self.assertEqual(done.returncode, INCOMPLETE)
        self.assertIn('nothing can be proved', done.stdout)

    def test_old_kernel(self):
        """Before Linux 5.10 kvm_exit had no vcpu_id"""
        self.write('stock', vms=2, segments=20)
        with open(self.host, 'rb') as file:
            data = file.read()
        at = data.index(b'vcpu_id', data.index(b'name: kvm_exit\n'))
        with open(self.path('old.dat'), 'wb') as file:
            file.write(data[:at] + b'nothing' + data[at + 7:])
        new, old = (self.result(host, self.guest, status=INCOMPLETE)
                    for host in (self.host, self.path('old.dat')))
        self.assertEqual(new, old)

    def test_usage(self):
        for arguments, part in (([], 'HOST.dat'), (['a'], 'missing GUEST.dat'),
                                (['--vm', '1', 'a', 'b', 'c'], '--vm requires a single GUEST.dat'),
                                (['--max-violations', 'x', 'a', 'b'], "'x'"), (['-x', 'a', 'b'], 'x'),
                                (['--max-violations', '-1', 'a', 'b'], "'-1'"),
                                (['--max-violations', '4294967295', 'a', 'b'], 'up to 100000'),
                                (['a', 'b', '--vm'], '--vm'),
                                (['--nonsense', 'a', 'b'], 'nonsense')):
            self.failure(*arguments, part=part, status=USAGE)
        for option in '-h', '--help':
            done = check(option)
            self.assertEqual((done.returncode, done.stderr), (DONE, ''))
            for name in '--vm', '--json', '--max-violations', '--any-clock':
                self.assertIn(name, done.stdout)


if __name__ == '__main__':
    main('trace-cmd')
