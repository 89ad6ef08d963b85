#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The real trace-cmd report applies the sync points that are made from a history.

Each timestamp in a report of a guest's file with our TIME_SHIFT must be the history's host time of the file's raw
timestamp, computed here in unlimited integers: exactly if the TSC is not scaled, else within 2 cycles.
"""
import struct
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, Case, built, each, main
import trace_dat

PROGRAM = built('tests/files/encode_history')
GUEST = f'{DATA}/agent-moved/guest.dat'
TRACE_ID = 0x0123456789abcdef
# The recording is within BEGIN and END; the steps are between FIRST and LAST, among its events
BEGIN, END = 16_000_000_000, 40_000_000_000
FIRST, LAST = 17_000_000_000, 28_000_000_000


def host_of(guest, offset, ratio, bits):
    """The first host TSC at which the guest's TSC is guest or more"""
    scaled = guest - offset
    return -(-(scaled << bits) // ratio) if ratio else scaled


def guest_of(host, offset, ratio, bits):
    return (host * ratio >> bits if ratio else host) + offset


class VCPU:
    """A list of (first guest time, host time, mapping); the first one is also valid for all earlier times"""

    def __init__(self, offset, ratio=0, bits=0):
        self.lines = [(0, 0, (offset, ratio, bits))]

    def jump(self, guest, by):
        """The guest's TSC jumps forward when it reaches a value"""
        mapping = self.lines[-1][2]
        host = host_of(guest, *mapping)
        mapping = (mapping[0] + by, *mapping[1:])
        self.lines.append((guest_of(host, *mapping), host, mapping))
        return self

    def host(self, guest):
        return host_of(guest, *[line for line in self.lines if line[0] <= guest][-1][2])


def ratio(frequency, bits):
    return VCPU(-5_000_000_000, int(frequency * 10000) * (1 << bits) // 10000, bits)


def steps(number, offset, by):
    vcpu = VCPU(offset)
    for i in range(number):
        vcpu.jump(FIRST + (LAST - FIRST) * (i + 1) // (number + 1), by)
    return vcpu


HISTORIES = {
    'still': [VCPU(-8_824_146_511), VCPU(-8_824_146_511)],
    'offset 0': [VCPU(0), VCPU(0)],
    'positive and negative': [VCPU(1 << 32), VCPU(-(1 << 32))],
    'far': [VCPU(-(1 << 60)), VCPU(-(1 << 60) - 1)],
    '5 and 3 steps': [steps(5, -8_824_146_511, 1_000_000_007), steps(3, 0, 1)],
    '1000 steps and none': [steps(1000, -8_824_146_511, 1_000_003), VCPU(7)],
    **{f'ratio {frequency}, {bits} bits': [
        ratio(frequency, bits), ratio(frequency, bits).jump(20_000_000_000, 10_000_000)]
       for frequency in (0.8, 1.0001, 1.25) for bits in (32, 48)},
}


def encode(vcpus):
    lines = [f'{i} {host} {" ".join(map(str, mapping))}\n'
             for i, vcpu in enumerate(vcpus) for _, host, mapping in vcpu.lines]
    guests = [BEGIN, END]
    span = [f(vcpu.host(guest) for vcpu in vcpus) for f, guest in zip((min, max), guests)]
    return subprocess.run([PROGRAM, str(len(vcpus)), str(span[0]), str(span[1]),
                           str(TRACE_ID)], input=''.join(lines).encode(), check=True,
                          stdout=subprocess.PIPE).stdout


def shifted_by_a_point(payload):
    """Each sync point gets the correction of the next one"""
    payload = bytearray(payload)
    cpus, = struct.unpack_from('<I', payload, 12)
    at = 16
    for _ in range(cpus):
        points, = struct.unpack_from('<I', payload, at)
        corrections = at + 4 + 8 * points
        payload[corrections:corrections + 8 * (points - 1)] = \
            payload[corrections + 8:corrections + 8 * points]
        at += 4 + 3 * 8 * points
    return bytes(payload)


def times(file, *arguments):
    """The times of each CPU; corrections can change the order between CPUs"""
    return [[event.time for event in trace_dat.report('--cpu', str(cpu), *arguments, '-i', file)]
            for cpu in range(2)]


def wrong(raw, read, vcpus):
    """The number of timestamps that differ from the history, and the largest difference"""
    count = worst = 0
    for vcpu, raws, reads in zip(vcpus, raw, read):
        if len(raws) != len(reads):
            raise SystemExit('report shows another number of events')
        for guest, host in zip(raws, reads):
            off = abs(vcpu.host(guest) - host)
            worst = max(worst, off)
            count += off > (2 if vcpu.lines[0][2][1] else 0)
    return count, worst


@each({name: (name, vcpus) for name, vcpus in HISTORIES.items()})
class TestHistories(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.raw, cls.unstamped = times(GUEST, '--raw-ts'), times(GUEST)
        cls.total = sum(map(len, cls.raw))
        assert cls.total > 1000, cls.total

    def one(self, name, vcpus):
        stamped = self.path('guest.dat')
        payload = encode(vcpus)
        trace_dat.with_time_shift(GUEST, stamped, payload)
        bad, worst = wrong(self.raw, times(stamped), vcpus)
        self.assertEqual(bad, 0, f'{bad} of {self.total} timestamps wrong, at most {worst} cycles off')
        # Controls: without our option, and with an option whose corrections are shifted by one sync point
        if name != 'still':
            self.assertTrue(wrong(self.raw, self.unstamped, vcpus)[0])
        moves = any(len(vcpu.lines) > 1 or vcpu.lines[0][2][1] for vcpu in vcpus)
        trace_dat.with_time_shift(GUEST, stamped, shifted_by_a_point(payload))
        self.assertEqual(bool(wrong(self.raw, times(stamped), vcpus)[0]), moves)


if __name__ == '__main__':
    main('trace-cmd')
