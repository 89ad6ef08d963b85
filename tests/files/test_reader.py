#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The real trace-cmd report reads the knots that the core makes of a history.

Each timestamp that report prints of a guest's file with our TIME_SHIFT must be the host time that the
history gives for the file's raw timestamp, worked out here in integers without a limit: exactly where
the TSC is not scaled, within 2 cycles where it is.

Arguments: the program encode_history, a guest's trace.dat.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
import trace_dat

TRACE_ID = 0x0123456789abcdef
# The recording lies within these guest times, and the steps in the midst of its events
BEGIN, END = 16_000_000_000, 40_000_000_000
FIRST, LAST = 17_000_000_000, 28_000_000_000


def host_of(guest, offset, ratio, bits):
    """The first host TSC at which the guest's TSC is guest or more"""
    scaled = guest - offset
    return -(-(scaled << bits) // ratio) if ratio else scaled


def guest_of(host, offset, ratio, bits):
    return (host * ratio >> bits if ratio else host) + offset


class VCPU:
    """Lines of (guest time at which it starts, host time, mapping), the first for all time before"""

    def __init__(self, offset, ratio=0, bits=0):
        self.lines = [(0, 0, (offset, ratio, bits))]

    def jump(self, guest, by):
        """The guest's TSC jumps forward when it has reached a value"""
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


def encode(program, vcpus):
    lines = [f'{i} {host} {" ".join(map(str, mapping))}\n'
             for i, vcpu in enumerate(vcpus) for _, host, mapping in vcpu.lines]
    guests = [BEGIN, END]
    span = [f(vcpu.host(guest) for vcpu in vcpus) for f, guest in zip((min, max), guests)]
    return subprocess.run([program, str(len(vcpus)), str(span[0]), str(span[1]),
                           str(TRACE_ID)], input=''.join(lines).encode(), check=True,
                          stdout=subprocess.PIPE).stdout


def shifted_by_a_knot(payload):
    """Each correction is its neighbour's"""
    payload = bytearray(payload)
    cpus, = struct.unpack_from('<I', payload, 12)
    at = 16
    for _ in range(cpus):
        knots, = struct.unpack_from('<I', payload, at)
        corrections = at + 4 + 8 * knots
        payload[corrections:corrections + 8 * (knots - 1)] = \
            payload[corrections + 8:corrections + 8 * knots]
        at += 4 + 3 * 8 * knots
    return bytes(payload)


def times(file, *arguments):
    """Per CPU, as corrections can change the order between CPUs"""
    return [[event.time for event in trace_dat.report('--cpu', str(cpu), *arguments, '-i', file)]
            for cpu in range(2)]


def wrong(raw, read, vcpus):
    """How many timestamps are not what the history gives, and by how much at most"""
    count = worst = 0
    for vcpu, raws, reads in zip(vcpus, raw, read):
        if len(raws) != len(reads):
            raise SystemExit('report shows another number of events')
        for guest, host in zip(raws, reads):
            off = abs(vcpu.host(guest) - host)
            worst = max(worst, off)
            count += off > (2 if vcpu.lines[0][2][1] else 0)
    return count, worst


def main():
    program, guest = sys.argv[1:]
    if not shutil.which('trace-cmd'):
        print('skipped: no trace-cmd')
        return 77
    failed = False
    raw = times(guest, '--raw-ts')
    unstamped = times(guest)
    total = sum(map(len, raw))
    assert total > 1000, total
    with tempfile.TemporaryDirectory() as directory:
        stamped = os.path.join(directory, 'guest.dat')
        for name, vcpus in HISTORIES.items():
            payload = encode(program, vcpus)
            trace_dat.with_time_shift(guest, stamped, payload)
            bad, worst = wrong(raw, times(stamped), vcpus)
            # Controls: without our option, and with an option that is off by one knot
            without = 0 if name == 'still' else wrong(raw, unstamped, vcpus)[0]
            moves = any(len(vcpu.lines) > 1 or vcpu.lines[0][2][1] for vcpu in vcpus)
            trace_dat.with_time_shift(guest, stamped, shifted_by_a_knot(payload))
            by_a_knot, _ = wrong(raw, times(stamped), vcpus)
            good = not bad and (without or name == 'still') and bool(by_a_knot) == moves
            failed |= not good
            print(f'{"ok" if good else "FAILED":6} {name}: {bad} of {total} timestamps wrong, at most '
                  f'{worst} cycles off; without the option {without} wrong, off by a knot {by_a_knot}')
    return failed


if __name__ == '__main__':
    sys.exit(main())
