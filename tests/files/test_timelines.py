#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Hosts and guests whose times are not a straight line: a host that is a guest itself, that slept, whose times readers
shift, or whose last events are lost; guests that continue in another process or thread.

Recordings are generated, so all true times are known; shown times are those of the real trace-cmd report.
"""
import json
import os
import re
import subprocess
import sys
from unittest import mock

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, Case, main
from scenario import Scenario
import trace_dat
import trace_dat_writer as dat


class Base(Case):
    def write(self, **parameters):
        self.scenario = Scenario(**parameters)
        self.scenario.write(self.directory)
        return self.scenario

    def ends(self, status, *arguments, words=()):
        """Check a command's exit status and words. Returns its output."""
        done = self.says(self.run_tool(*arguments), status, *words)
        return done.stdout + done.stderr

    def stamp(self, status=DONE, words=(), host='host.dat', guest='g1.dat', arguments=()):
        return self.ends(status, 'stamp', '-o', 'out.dat', *arguments, host, guest, words=words)

    def times(self, name, cpu):
        return [event.time for event in trace_dat.report('-i', self.path(name), '--cpu', str(cpu))]

    def wrong(self, name, truth, vm=0, tolerance=0):
        """The number of the guest's events that readers show at another time than truth(event with its host time)"""
        vm = self.scenario.vms[vm]
        events, wrong = self.scenario.events(vm.name), 0
        for vcpu in vm.vcpus:
            wanted = [truth(event) for event in events if event.cpu == vcpu.index]
            found = self.times(name, vcpu.index)
            self.assertEqual(len(found), len(wanted))
            wrong += sum(abs(a - b) > tolerance for a, b in zip(wanted, found))
        return wrong

    def right(self, truth=lambda event: event.host_tsc, host='host.dat', status=DONE, tolerance=0):
        """The guest's file is wrong, out.dat is right, and check confirms it"""
        self.assertGreater(self.wrong('g1.dat', truth, tolerance=tolerance), 0)
        self.assertEqual(self.wrong('out.dat', truth, tolerance=tolerance), 0)
        self.ends(status, 'check', host, 'out.dat', words=[': fits: '])


class TestChain(Base):
    """L1's file is a guest's, synchronised with L0's; L2 is a guest of L1"""

    def chain(self, samples, per_cpu=None):
        """Give the host's file a TIME_SHIFT"""
        payload = dat.time_shift_option(1, 1, per_cpu or [samples] * self.scenario.host_cpus)
        os.rename(self.path('host.dat'), self.path('raw.dat'))
        trace_dat.with_time_shift(self.path('raw.dat'), self.path('host.dat'), payload)

    def check_host(self, correct):
        """The control: readers show the host's events at the expected times"""
        for cpu in range(self.scenario.host_cpus):
            self.assertEqual(self.times('host.dat', cpu), list(map(correct, self.times('raw.dat', cpu))))

    def test_jump(self):
        """L1 slept during the recordings, and its TSC stood still"""
        self.write(changes=3, segments=20)
        begin, end = self.scenario.span()
        jump = (begin + end) // 2
        first, second = 9_000_000_000, 10_000_000_000
        self.chain([(begin, first), (jump - 1, first), (jump, second), (end, second)])

        def correct(time):
            return time + (first if time < jump else second)
        self.check_host(correct)
        self.stamp()
        self.right(lambda event: correct(event.host_tsc))

    def test_scaled(self):
        """L1's TSC is scaled"""
        self.write(changes=3, segments=20)
        begin, end = self.scenario.span()
        # Three quarters; between samples readers multiply in 64 bits
        samples = [(begin + (end - begin) * i // 32, -((end - begin) * i // 128)) for i in range(33)]
        self.chain(samples)

        def correct(time):
            return time - (time - begin) // 4
        for cpu in range(self.scenario.host_cpus):
            pairs = list(zip(map(correct, self.times('raw.dat', cpu)), self.times('host.dat', cpu)))
            self.assertLess(max(abs(a - b) for a, b in pairs), 3)
        self.stamp()
        self.right(lambda event: correct(event.host_tsc), tolerance=4)

    def test_cpus_that_differ(self):
        """L1's vCPUs have different offsets: no correction of L2 can follow its threads from CPU to CPU"""
        self.write(changes=3, segments=20)
        begin, end = self.scenario.span()
        self.chain(None, per_cpu=[[(begin, offset), (end, offset)] for offset in (1_000_000, 2_000_000)])
        words = ['corrects its CPUs in different ways', 'no guest of it can be merged with it']
        self.stamp(FAILED, words)
        self.ends(FAILED, 'check', 'host.dat', 'g1.dat', words=words)

    def test_products_that_wrap(self):
        """Samples so far apart that readers' computations overflow 64 bits: the shown times are not a line"""
        self.write(changes=3, segments=20)
        begin, end = self.scenario.span()
        self.chain([(begin, 0), (end, -((end - begin) // 2))])
        # The control: the last time is not on the line
        last = max(self.times('raw.dat', 0))
        self.assertGreater(abs(self.times('host.dat', 0)[-1] - (last - (last - begin) // 2)), 1_000_000)
        words = ['samples so far apart that readers calculate wrongly', 'no guest of it can be merged with it']
        self.stamp(FAILED, words)
        self.ends(FAILED, 'check', 'host.dat', 'g1.dat', words=words)

    def test_three_levels(self):
        """L0's file stamps L1's, and L1's stamps L2's: L2's events are shown at L0's times"""
        # L1's vCPUs have the same offsets, otherwise nothing can be merged with its file
        lower = self.write(changes=2, segments=40, seed=5, together=True)
        l1 = lower.vms[0].vcpus[0]
        os.rename(self.path('host.dat'), self.path('l0.dat'))
        self.stamp(host='l0.dat')
        shift = [payload for number, payload in options_of(self.path('out.dat')) if number == dat.TIME_SHIFT][-1]
        os.unlink(self.path('out.dat'))
        # L1's own recording of L2, at the same time
        begin, end = (l1.guest_tsc(host) for host in lower.span())
        self.write(changes=3, segments=16, start=begin + 1000, seed=7)
        self.assertLess(self.scenario.span()[1], end)
        os.rename(self.path('host.dat'), self.path('raw.dat'))
        trace_dat.with_time_shift(self.path('raw.dat'), self.path('host.dat'), shift)
        self.stamp()
        jumps = [(change.host_tsc + change.previous, change.host_tsc + change.offset) for change in l1.changes]

        def truth(event):
            passed = [change.offset for change, (_, to) in zip(l1.changes, jumps) if event.host_tsc >= to]
            return event.host_tsc - (passed[-1] if passed else l1.initial)

        # Skip times that L1's TSC jumped over: only a generated recording of L2 can have them
        events = self.scenario.events('g1')
        known = right = 0
        for vcpu in self.scenario.vms[0].vcpus:
            own = [event for event in events if event.cpu == vcpu.index]
            for event, time in zip(own, self.times('out.dat', vcpu.index)):
                if not any(since < event.host_tsc < to for since, to in jumps):
                    known += 1
                    right += truth(event) == time
        self.assertGreater(known, len(events) / 2)
        self.assertEqual(right, known)
        # Events whose times are right fit; those in the gaps can have any result
        done = subprocess.run([TOOL, 'check', '--json', 'host.dat', 'out.dat'], cwd=self.directory, check=False,
                              capture_output=True, text=True)
        guest, = json.loads(done.stdout)['guests']
        self.assertGreaterEqual(guest['inside'], known)


def options_of(path):
    """[(number, payload)]"""
    with open(path, 'rb') as file:
        data = file.read()
    return [(number, data[at:at + size]) for number, at, size in trace_dat.options(data)]


class TestShifted(Base):
    """Readers shift the times of a file by the options DATE and OFFSET (trace-cmd record --date, --ts-offset)"""
    KINDS = {None: [], 'DATE': [(1, b'0x1e240\0')], 'OFFSET': [(7, b'-123456789\0')],
             'both': [(1, b'0x1e240\0'), (7, b'987654321\0')]}

    def test_all(self):
        for host, host_options in self.KINDS.items():
            for guest, guest_options in self.KINDS.items():
                with self.subTest(host=host, guest=guest):
                    self.write(changes=3, host_options=host_options, guest_options=guest_options)
                    # What readers add to the host's own times
                    shift, = {time - event.time for cpu in range(self.scenario.host_cpus)
                              for time, event in zip(self.times('host.dat', cpu), (
                                  event for event in self.scenario.events('host') if event.cpu == cpu))}
                    self.assertEqual(shift == 0, host is None)
                    self.stamp()
                    self.right(lambda event, shift=shift: event.host_tsc + shift)
                    os.unlink(self.path('out.dat'))

    def test_shifted_later(self):
        """A correct file becomes wrong when readers later shift only the host's file"""
        self.write(changes=3)
        self.stamp()
        self.write(changes=3, host_options=self.KINDS['DATE'])
        self.ends(INCOMPLETE, 'check', 'host.dat', 'out.dat', words=['by DATE and OFFSET in both'])


class TestSuspend(Base):
    """The host slept, and its TSC started again: KVM writes offsets with which the guest's TSC continues"""

    def test_suspend(self):
        for parameters in {}, dict(vcpus=3, seed=2), dict(seed=3, guest_segments=(6, 12)), \
                dict(seed=4, guest_segments=(0, 6)):
            with self.subTest(parameters=parameters):
                self.write(**{**dict(changes=3, segments=12, suspend=(6, 40_000_000_000)), **parameters})
                times = [event.time for event in self.scenario.events('host') if event.cpu == 0]
                self.assertLess(min(times), 20_000_000_000)
                self.assertGreater(max(times), 50_000_000_000)
                words = ["host.dat: the host's own TSC went back, from ", 'did the host sleep?']
                self.stamp(INCOMPLETE, words)
                self.right(status=INCOMPLETE)
                self.ends(INCOMPLETE, 'check', 'host.dat', 'out.dat', words=words)
                os.unlink(self.path('out.dat'))

    def test_not_too_far(self):
        """Times that the host had twice"""
        self.write(changes=2, segments=12, suspend=(6, 1_000_000))
        said = self.stamp(INCOMPLETE, ["the host's own TSC went back"])
        self.assertIn('a part is in doubt', said)


class TestLost(Base):
    """The kernel's counts show that the file's last events are missing"""

    def stats(self, cpu, **values):
        """stats_option() with other numbers of one CPU"""
        counts = {'entries': 0, 'oldest': 0, 'read': 0, **values}

        def stats_option(number, overrun=0, read=0):
            c = counts if number == cpu else dict.fromkeys(counts, 0)
            return (f'CPU: {number}\nentries: {c["entries"]}\noverrun: {overrun}\ncommit overrun: 0\nbytes: 0\n'
                    f'oldest event ts: {c["oldest"]}\nnow ts: 0\ndropped events: 0\n'
                    f'read events: {c["read"]}\n\0').encode()
        return mock.patch.object(dat, 'stats_option', stats_option)

    def test_rules(self):
        own = [event for event in self.write(changes=3).events('host') if event.cpu == 1]
        last = own[-1].time
        for values, lost in (
                (dict(entries=74, oldest=last + 1), True),          # a page that was never read
                (dict(entries=74, oldest=last), False),
                (dict(entries=0, oldest=last + 1), False),
                (dict(entries=74, oldest=own[0].time), False),
                (dict(read=len(own) + 1), None),                    # read, but not in the file: any event
                (dict(read=len(own)), False)):
            with self.subTest(values=values):
                with self.stats(1, **values):
                    self.write(changes=3)
                words = {True: ['history incomplete', f'after host TSC {last}'], False: ['lost      nothing'],
                         None: ['history incomplete', 'from the beginning']}[lost]
                status = DONE if lost is False else INCOMPLETE
                self.ends(status, 'show', 'host.dat', words=words)
                self.stamp(status, [] if lost is False else ['events were lost'])
                # The existing events are correct
                self.right()
                os.unlink(self.path('out.dat'))


class TestInSequence(Base):
    """A guest that continues elsewhere"""

    def test_replugged(self):
        """vCPUs that were unplugged and plugged in again have new threads"""
        for parameters, words in ((dict(vcpus=2, replugs=[(0, 1, 6)]), ' with thread '),
                                  (dict(vcpus=3, replugs=[(0, 1, 5), (0, 2, 8)]), '3 vCPUs')):
            with self.subTest(parameters=parameters):
                self.write(**parameters, changes=3, segments=14, linked=False)
                self.stamp(words=[words])
                self.right()
                os.unlink(self.path('out.dat'))

    def test_replugged_without_exit(self):
        """The last kvm_exit of the first thread is missing: it does not run the vCPU for the rest of the recording"""
        parameters = dict(vcpus=6, segments=12, stays=8, changes=3, jump=(1_000_000, 2_000_000), idle=20,
                          start=8_000_000_000, tids=[range(2003, 2043, 7)], linked=False, replugs=[(0, 5, 6)],
                          exit_isa=1, seed=500291)
        for missing, inside in ([], '1,468 of 1,468'), ([(0, 5, 5)], '1,462 of 1,468'):
            with self.subTest(missing=missing):
                self.write(missing_last=missing, **parameters)
                self.stamp(words=['VM 2003 with thread 2738', inside])
                self.right()
                os.unlink(self.path('out.dat'))

    def test_moved(self):
        """A guest is saved and loaded in another process: its offsets start again, and the old ones were recorded"""
        for parameters in {}, dict(vcpus=1, seed=2), dict(vcpus=4, seed=4):
            with self.subTest(parameters=parameters):
                self.write(**{**dict(changes=2, segments=16, linked=False, moves=[(0, 8, 9)]), **parameters})
                self.stamp(words=[' after VM '])
                self.right()
                # One VM alone is not the guest
                found = re.findall(r'^VM (\S+)', self.ends(DONE, 'show', 'host.dat'), re.M)
                os.unlink(self.path('out.dat'))
                self.assertEqual(len(found), 2)

    def test_moved_beside_others(self):
        self.write(vms=2, changes=2, segments=16, linked=False, moves=[(0, 8, 9)])
        self.stamp(words=[' after VM '])
        self.right()


if __name__ == '__main__':
    main('trace-cmd')
