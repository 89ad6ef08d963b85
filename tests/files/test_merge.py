#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset merge: the times that it writes, what it omits and reports, and what it refuses.

tests/compat/test_perfetto_merge.py checks the result with Perfetto.
"""
from fractions import Fraction
import json
import os
import random
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, USAGE, Case, main, needs
import perfetto_recording
from perfetto_recording import (GPU_WORK_PERIOD, MONOTONIC_RAW, TSC, Clock, Pair, Recording, ftrace_times, message,
                                number, packed, text)
from scenario import Scenario
import trace_dat

# The same as in test_perfetto_merge.py
ERROR = 2


class Merges(Case):
    def run_merge(self, *options, history='history.json', out='out.pftrace', host='host.pftrace', guest='guest.pftrace'):
        return self.run_tool('merge', '--history', history, '-o', out, *options, host, guest)

    def merge(self, pair, status=DONE, *words, options=(), vcpus=1):
        if pair:
            pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'), vcpus)
        return self.says(self.run_merge(*options), status, *words)

    def near(self, found, truth, error=ERROR):
        self.assertEqual(len(found), len(truth))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(found, truth)), error)

    def times(self, machine=1, cpu=0):
        return [time for of, time in ftrace_times(self.path('out.pftrace'), machine) if of == cpu]


class TestTimes(Merges):
    def one(self, *words, **parameters):
        pair = Pair(**parameters)
        pair.guest.prints(0, pair.times)
        pair.host.prints(0, pair.times)
        self.merge(pair, DONE, *words)
        self.near(self.times(), pair.truth())
        # The host's packets are unchanged
        self.assertEqual(self.times(0), pair.truth())

    def test_still(self):
        self.one('even within', events=1000)

    def test_jumps(self):
        for jump in 7, -7, 0.01, -0.01:
            for follows in False, True:
                if follows and jump < 0:
                    continue
                with self.subTest(jump=jump, follows=follows):
                    self.one('jumped with it' if follows else 'ran on', jump=jump, follows=follows, jumps_at=(14, 35.5))

    def test_drift(self):
        self.one(drift=(-400, 450), jump=-1)

    def test_seldom(self):
        """A ring buffer with few snapshots"""
        self.one(every=20, jump=-3)

    def test_scaled(self):
        self.one(ratio=0.8, jump=2)

    def test_resolution(self):
        """An error of 20 cycles in the history would be detected"""
        pair = Pair(jump=-1)
        pair.guest.prints(0, pair.times)
        pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        # 20 cycles are 8 ns
        history = self.directory / 'history.json'
        history.write_text(re.sub(r'"(offset|previous|next)": (-?\d+)',
                                  lambda match: f'"{match[1]}": {int(match[2]) + 20}', history.read_text()))
        self.merge(None, DONE)
        with self.assertRaises(AssertionError):
            self.near(self.times(), pair.truth())
        self.near(self.times(), pair.truth(), 8 + ERROR)

    def test_late_reads(self):
        """The TSC was read late, which MONOTONIC_RAW shows"""
        pair = Pair()
        pair.guest.prints(0, pair.times)
        for side in pair.host, pair.guest:
            side.without_snapshots()
            for second in range(0, 61, 10):
                side.snapshot(pair.at(second), late=25_000 if second == 30 else 0, raw=True)
        self.merge(pair, DONE, 'late in snapshots of clocks; this is corrected')
        self.near(self.times(), pair.truth(), 2 * ERROR)

    def test_uneven(self):
        """A clock that NTP slews: the possible error is reported"""
        pair = Pair()
        begin, _, rate = pair.clock.parts[0]
        pair.clock.parts.append((pair.at(33), pair.clock.exact(pair.at(33)), rate * (1 + Fraction(20, 10**6))))
        pair.host.packets = pair.host.packets[:1]
        for second in range(0, 61, 10):
            pair.host.snapshot(pair.at(second))
        pair.guest.prints(0, pair.times)
        done = self.merge(pair, INCOMPLETE, 'host.pftrace: between snapshots its clock is even within')
        off = max(abs(a - b) for a, b in zip(self.times(), pair.truth()))
        said = int(re.search(r'host.pftrace: .* even within (\d+) ns', done.stderr)[1])
        self.assertGreater(off, 10_000)
        self.assertGreater(said, off // 2)

    def test_three_machines(self):
        """A merged trace serves as the host's trace for another guest"""
        pair = Pair(jump=-5, seed=1)
        pair.guest.prints(0, pair.times)
        self.merge(pair)
        os.rename(self.path('out.pftrace'), self.path('first.pftrace'))
        pair.history.initial -= 10**10
        pair.history.changes = tuple(perfetto_recording.Change(change.host_tsc, change.offset - 10**10)
                                     for change in pair.history.changes)
        other = Pair(jump=-5, seed=1)
        other.guest.tsc = pair.history
        other.guest.packets = []
        for second in range(0, 61, 10):
            other.guest.snapshot(pair.at(second))
        other.guest.prints(0, pair.times)
        other.history = pair.history
        other.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        self.says(self.run_merge(host='first.pftrace'), DONE, 'machine 2')
        self.near(self.times(1), pair.truth())
        self.near(self.times(2), pair.truth())

    @needs('trace-cmd')
    def test_recording(self):
        """A real guest whose vCPUs jumped by different amounts: the host's recording is the history"""
        data = f'{DATA}/agent-moved'
        self.says(self.run_tool('stamp', '-o', 'guest.dat', f'{data}/host.dat', f'{data}/guest.dat'), DONE)
        report = subprocess.run(['trace-cmd', 'report', '-N', '-i', f'{data}/host.dat', '-i', 'guest.dat'],
                                cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                check=True).stdout
        times = [int(time) for time in re.findall(r'^ *guest.dat: .*? \[\d+\]' + trace_dat.FLAGS + r'\s*(\d+): ', report, re.M)]
        self.assertGreater(len(times), 1000)
        first, last = times[0], times[-1]
        vcpu = perfetto_recording.History(-8824146511, perfetto_recording.Change(30758974169, -8773312585))
        host_clock = Clock(10**9, first, Fraction(10**9, 2_596_100_000))
        host = Recording(host_clock)
        guest = Recording(Clock(10**8, first, Fraction(10**9, 2_596_110_000)), vcpu, wall=host.wall + 9 * 10**8)
        for i in range(9):
            host.snapshot(first + (last - first) * i // 8)
            guest.snapshot(first + (last - first) * i // 8)
        guest.prints(0, times)
        host.write(self.path('host.pftrace'))
        guest.write(self.path('guest.pftrace'))
        done = self.run_merge(history=f'{data}/host.dat')
        # After the jump the vCPUs' offsets differ by 808,002 cycles
        self.says(done, INCOMPLETE, 'because TSC offsets of vCPUs differ', 'the TSC jumped between 1 pair of snapshots')
        self.assertIn(int(re.search(r'wrong by up to (\d+) ns', done.stderr)[1]), range(311_236, 311_239))
        self.near(self.times(), [host_clock(at) for at in times])

    def test_scenario(self):
        """A recording with known truth is the history; one of its two VMs is chosen"""
        scenario = Scenario(vms=2, vcpus=1, changes=1, direction='backward', idle=4)
        scenario.write(self.directory)
        vcpu = scenario.vms[1].vcpus[0]
        times = sorted(event.host_tsc for event in scenario.events('g2'))
        span = times[-1] - times[0]
        host = Recording(Clock(10**12, times[0], Fraction(10, 26)))
        guest = Recording(Clock(10**10, times[0], Fraction(10, 26)), vcpu.guest_tsc, wall=host.wall + 99 * 10**10)
        for i in range(9):
            host.snapshot(times[0] + span * i // 8)
            guest.snapshot(times[0] + span * i // 8)
        guest.prints(0, times)
        host.write(self.path('host.pftrace'))
        guest.write(self.path('guest.pftrace'))
        self.says(self.run_merge(history='host.dat'), FAILED, 'there are 2 VMs in it, choose one with --vm')
        done = self.run_merge('--vm', str(vcpu.tid), history='host.dat')
        self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
        self.near(self.times(), [host.clock(at) for at in times])
        done = self.run_merge('--vm', str(scenario.vms[0].vcpus[0].tid), history='host.dat')
        self.assertIn(done.returncode, (FAILED, INCOMPLETE), done.stderr)


class TestLeftOut(Merges):
    def test_kinds(self):
        pair = Pair()
        pair.guest.prints(0, pair.times)
        for _ in range(3):
            # AndroidLogPacket, and an unknown one
            pair.guest.packet(number(8, pair.guest.clock(pair.at(5))), message(39, number(1, 1)))
        pair.guest.packet(message(1500, number(1, 1)))
        self.merge(pair, INCOMPLETE, '3 packets of kind 39 are left out', '1 packets of kind 0 are left out')
        self.near(self.times(), pair.truth())

    def test_events(self):
        pair = Pair(events=10)
        events = [(at, 1, perfetto_recording.PRINT, text(2, 'x')) for at in pair.times]
        events.insert(3, (pair.at(9), 1, GPU_WORK_PERIOD, number(1, 1)))
        pair.guest.ftrace(0, events)
        self.merge(pair, INCOMPLETE, '1 ftrace events are left out')
        self.near(self.times(), pair.truth())

    def test_clocks(self):
        pair = Pair(events=10)
        pair.guest.prints(0, pair.times)
        pair.guest.counter(pair.at(9), 200, 1)
        # Another ftrace clock
        pair.guest.ftrace(0, [(pair.at(9), 1, perfetto_recording.PRINT, text(2, 'x'))], number(5, 2))
        self.merge(pair, INCOMPLETE, '2 packets are left out: their times cannot be converted to the host')
        self.near(self.times(), pair.truth())

    def test_machines(self):
        pair = Pair(events=10)
        pair.guest.prints(0, pair.times)
        pair.guest.packet(number(98, 5), message(45))
        self.merge(pair, INCOMPLETE, '1 packets of other machines are left out')

    def test_stood_still(self):
        """The TSC moved backward, and the guest's clock stood still until the TSC had caught up"""
        pair = Pair(jump=-7, follows=True, events=1000)
        pair.guest.prints(0, pair.times)
        self.merge(pair, INCOMPLETE, 'did not run evenly', 'ftrace events are left out')
        truth = [time for at, time in zip(pair.times, pair.truth()) if at < pair.at(20)]
        found = self.times()
        self.near(found[:len(truth)], truth)
        self.assertLess(len(found), len(pair.times))
        # None of the remaining times is wrong
        truth = set(pair.truth())
        for time in found:
            self.assertTrue(truth & set(range(time - ERROR, time + ERROR + 1)), time)

    def test_compact(self):
        """Packed differences that are not valid numbers"""
        pair = Pair(events=10)
        pair.guest.packet(message(1, number(1, 0), message(4, packed(1, [1, 2])[:-1] + b'\xff')), sequence=2)
        self.merge(pair, INCOMPLETE, '1 packets of kind 1 are left out')

    def test_outside(self):
        pair = Pair(events=10)
        pair.guest.prints(0, [pair.at(-5), pair.at(90)])
        self.merge(pair, INCOMPLETE, '2 of', 'outside of the snapshots of clocks')
        self.near(self.times(), [pair.clock(pair.at(-5)), pair.clock(pair.at(90))], 10)


class TestRefused(Merges):
    def refused(self, pair, *words, **more):
        self.merge(pair, FAILED, *words, **more)
        self.assertFalse(os.path.exists(self.path('out.pftrace')))

    def without(self, pair, side, *clocks, every=10):
        side.without_snapshots()
        for second in range(0, 61, every):
            side.snapshot(pair.at(second), without=clocks)

    def test_no_tsc(self):
        for name in 'host', 'guest':
            pair = Pair()
            self.without(pair, getattr(pair, name), TSC)
            self.refused(pair, f'{name}.pftrace: its snapshots of clocks lack the TSC')

    def test_no_snapshots(self):
        pair = Pair()
        pair.guest.packets = pair.guest.packets[:1]
        self.refused(pair, 'guest.pftrace: there are no snapshots of clocks in it')
        pair = Pair()
        self.without(pair, pair.host, every=100)
        self.refused(pair, 'host.pftrace: there is only one snapshot')

    def test_other_vm(self):
        pair = Pair()
        pair.history.initial += 500 * Pair.HZ
        self.refused(pair, 'do not fit the history')
        pair = Pair(ratio=1.5)
        pair.history.ratio = 0
        self.refused(pair, 'do not fit the history')

    def test_wall_clock(self):
        """A VM that fits except for the time of day"""
        pair = Pair()
        pair.history.initial += Pair.HZ // 5
        self.merge(pair, INCOMPLETE, "its wall clock differs from the host's by 0.2")

    def test_vm_fits_better(self):
        """A history with two VMs whose TSCs differ by little: the wall clocks are compared for both"""
        for ms, chosen, status, other in (50, 2001, INCOMPLETE, 2000), (50, 2000, DONE, None), (2, 2000, INCOMPLETE, 2001), \
                (2, 2001, INCOMPLETE, 2000), (150, 2000, DONE, None), (150, 2001, INCOMPLETE, 2000):
            with self.subTest(ms=ms, chosen=chosen):
                pair = Pair()
                pair.write(self.path('host.pftrace'), self.path('guest.pftrace'))
                shifted = perfetto_recording.History(pair.history.initial + ms * Pair.HZ // 1000)
                with open(self.path('history.json'), 'w', encoding='ascii') as file:
                    json.dump(perfetto_recording.snapshot_json(pair.at(Pair.SECONDS + 10), [pair.history], [shifted]), file)
                done = self.merge(None, status, options=['--vm', str(chosen)])
                said = re.findall(r'guest\.pftrace: is it of VM (\d+)-12\?', done.stderr)
                self.assertEqual(said, [str(other)] if other else [])

    def test_history(self):
        pair = Pair()
        pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        history = self.directory / 'history.json'
        whole = history.read_text()
        for old, new, status, words in (
                ('"tsc_protected": false', '"tsc_protected": true', FAILED, 'its TSC is protected'),
                ('"complete": true', '"complete": false', INCOMPLETE, 'may be missing'),
                (f'"host_tsc": {pair.at(70)}', f'"host_tsc": {pair.at(40)}', INCOMPLETE, 'later changes of TSC'),
                ('"vms": [', '"vms": [], "x": [', FAILED, 'there are 0 VMs'),
                ('"ratio": 0', '"ratio": -1', FAILED, 'ratio'),
                ('{', '', FAILED, 'no JSON')):
            self.assertIn(old, whole)
            history.write_text(whole.replace(old, new))
            self.merge(None, status, words)
        history.write_text(whole)
        self.merge(None, FAILED, 'the VM that --vm names is not in it', options=['--vm', '7-8'])
        self.merge(None, DONE, options=['--vm', '2000-12'])
        self.merge(None, DONE, options=['--vm', '2000'])

    def test_other_files(self):
        pair = Pair()
        pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        guest = self.directory / 'guest.pftrace'
        whole = guest.read_bytes()
        for content, words in ((b'', 'there are no snapshots'), (b'text', 'at offset 0: not a Perfetto trace'),
                               (whole[:-1], 'ends in the middle of a packet'),
                               (whole + b'x', 'not a packet of a Perfetto'),
                               (whole + b'\x0a', 'ends in the middle of a packet'),
                               (whole + message(1, b'\x0f'), 'an invalid packet'),
                               (whole + b'\x0a' + b'\xff' * 11, 'ends in the middle of a packet'),
                               (whole + message(1, message(50, b'x')), 'traceconv decompress_packets')):
            guest.write_bytes(content)
            self.refused(None, 'guest.pftrace', words)
        guest.unlink()
        self.refused(None, 'No such file')
        guest.mkdir()
        self.refused(None, 'not a regular file')
        self.says(self.run_merge(guest=f'{DATA}/agent-moved/host.dat'), FAILED, 'a recording of trace-cmd',
                  'tsc-offset export')

    def test_trace_clock(self):
        pair = Pair()
        pair.host.packet(message(6, number(2, MONOTONIC_RAW)))
        self.refused(pair, 'host.pftrace: its times are by clock 5')

    def test_usage(self):
        pair = Pair()
        pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        self.says(self.run_tool('merge', 'host.pftrace', 'guest.pftrace'), USAGE)
        for name in 'host.pftrace', 'guest.pftrace', 'history.json':
            before = (self.directory / name).read_bytes()
            self.says(self.run_merge(out=name), FAILED, 'is one of the inputs')
            self.assertEqual((self.directory / name).read_bytes(), before)
        self.says(self.run_merge(guest='host.pftrace'), FAILED, "is given as the host's trace and as the guest's")
        os.chmod(self.path('guest.pftrace'), 0o600)
        self.merge(None)
        self.assertEqual(os.stat(self.path('out.pftrace')).st_mode & 0o777, 0o600)


class TestDamage(Merges):
    def test_bytes(self):
        """With any contents of a guest's trace the command ends normally, and its output is a trace"""
        pair = Pair(jump=-5, events=20).record()
        pair.write(self.path('host.pftrace'), self.path('guest.pftrace'), self.path('history.json'))
        guest, rnd, statuses = self.directory / 'guest.pftrace', random.Random(3), set()
        whole = guest.read_bytes()
        host = [time for _, time in ftrace_times(self.path('host.pftrace'), 0)]
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(rnd.choice((1, 1, 3, 20))):
                damaged[rnd.randrange(len(damaged))] = rnd.choice((0, 0xff, 0x80, rnd.randrange(256)))
            guest.write_bytes(damaged)
            done = self.run_merge()
            self.assertIn(done.returncode, (DONE, FAILED, INCOMPLETE), done.stderr)
            statuses.add(done.returncode)
            if done.returncode != FAILED:
                self.assertEqual(self.times(0), host)
                os.unlink(self.path('out.pftrace'))
            self.assertFalse(os.path.exists(self.path('out.pftrace')))
        self.assertEqual(statuses, {DONE, FAILED, INCOMPLETE})


if __name__ == '__main__':
    main()
