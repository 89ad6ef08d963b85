# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Traces as stock Perfetto records them on a host and in its guest, with generated clocks and known true times.

All times are those of the host's TSC. Each machine has a Clock, its BOOTTIME as a function of that TSC. A Recording has
the output of the machine's Perfetto: snapshots of clocks, single and compact ftrace events, and packets of programs
with their own clocks.
"""
import collections
from fractions import Fraction
import json
import random

import perfetto_trace

REALTIME, MONOTONIC, MONOTONIC_RAW, BOOTTIME, TSC = 1, 3, 5, 6, 9
# By the schema of FtraceEvent
SCHED_SWITCH, SCHED_WAKING, GPU_WORK_PERIOD, PRINT = 4, 20, 488, 3

Change = collections.namedtuple('Change', 'host_tsc offset')


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, *parts):
    body = b''.join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field, value):
    return message(field, value.encode())


def packed(field, values):
    return message(field, *map(varint, values))


class Clock:
    """Nanoseconds as a function of the host's TSC: (tsc, rate) sets the rate from there on, in ns per cycle"""
    def __init__(self, start, tsc, *rates):
        self.parts, at = [], Fraction(start)
        for i, (begin, rate) in enumerate([(tsc, rates[0])] + list(rates[1:])):
            if i:
                last, value, before = self.parts[-1]
                at = value + (begin - last) * before
            self.parts.append((begin, at, Fraction(rate)))

    def exact(self, tsc):
        begin, value, rate = [part for part in self.parts if part[0] <= tsc or part is self.parts[0]][-1]
        return value + (tsc - begin) * rate

    def __call__(self, tsc):
        return int(self.exact(tsc))


class JumpingClock:
    """The clock of a guest that reads its TSC: it jumps forward with the TSC, but Linux makes it stand still instead
    of going back"""
    def __init__(self, start, first, rate, history):
        self.start, self.first, self.rate, self.history = start, history(first), Fraction(rate), history

    def __call__(self, tsc):
        seen = [self.history(tsc)] + [self.history(change.host_tsc - 1) for change in self.history.changes
                                      if change.host_tsc <= tsc]
        return int(self.start + (max(seen) - self.first) * self.rate)


class History:
    """The TSC of a guest: initial offset and changes"""
    def __init__(self, initial, *changes, ratio=0, frac_bits=48):
        self.initial, self.changes, self.ratio, self.frac_bits = initial, changes, ratio, frac_bits

    def __call__(self, tsc):
        offset = self.initial
        for change in self.changes:
            if change.host_tsc <= tsc:
                offset = change.offset
        return (((tsc * self.ratio >> self.frac_bits) if self.ratio else tsc) + offset) & (1 << 64) - 1

    def vcpu(self, vcpu_id, now):
        """A vCPU in the format of tsc-offset show --json"""
        scaling = dict(ratio=self.ratio, frac_bits=self.frac_bits)
        changes, last = [], self.initial
        for change in self.changes:
            changes.append(dict(host_tsc=change.host_tsc, previous=last, next=change.offset, delta=change.offset - last,
                                lost_before=False, backward=None, **scaling))
            last = change.offset
        return dict(vcpu_id=vcpu_id, thread=10 + vcpu_id, tsc_protected=False,
                    initial=dict(offset=self.initial, **scaling),
                    current=dict(host_tsc=now, offset=last, estimate=None, **scaling), changes=changes)


def snapshot_json(now, *vms, complete=True):
    """The output of show --json: vms are lists of the histories of vCPUs"""
    return dict(clock='x86-tsc', complete=complete, vms=[
        dict(id=2000 + i, name=f'{2000 + i}-12', guest_trace_id=None,
             threads=[dict(tid=10 + j, vcpu_id=j) for j in range(len(vm))],
             vcpus=[history.vcpu(j, now) for j, history in enumerate(vm)]) for i, vm in enumerate(vms)])


class Recording:
    """clock: the machine's BOOTTIME; tsc: its TSC as a function of the host's; suspended: difference of MONOTONIC"""
    def __init__(self, clock, tsc=lambda tsc: tsc, suspended=0, wall=1_764_000_000_000_000_000):
        self.clock, self.tsc, self.suspended, self.wall, self.packets = clock, tsc, suspended, wall, []

    def packet(self, *parts, sequence=1):
        self.packets.append(message(1, *parts, number(10, sequence)))

    def system(self, release):
        self.packet(message(45, message(1, text(1, 'Linux'), text(3, release), text(4, 'x86_64'))))

    def snapshot(self, at, without=(), primary=True, late=0, raw=False):
        """late: delay of the TSC reads in host cycles; raw: MONOTONIC_RAW is read right before as well"""
        now = self.clock(at)
        clocks = {BOOTTIME: now, REALTIME: now + self.wall, MONOTONIC: now - self.suspended,
                  **({MONOTONIC_RAW: 5 + (at * 2 // 5)} if raw else {}), TSC: self.tsc(at + late)}
        self.packet(message(6, *(message(1, number(1, clock), number(2, value)) for clock, value in clocks.items()
                                 if clock not in without), number(2, BOOTTIME) if primary else b''))

    def without_snapshots(self):
        self.packets = [packet for packet in self.packets if fields(fields(packet)[0][1])[0][0] != 6]

    def ftrace(self, cpu, events, *more, sequence=2):
        """events: (host TSC, pid, field, content)"""
        self.packet(message(1, number(1, cpu), *(
            message(2, number(1, self.clock(at)), number(2, pid), message(field, content))
            for at, pid, field, content in events), *more), sequence=sequence)

    def prints(self, cpu, times, name='mark'):
        self.ftrace(cpu, [(at, 1, PRINT, text(2, f'C|1|{name}|{i}\n')) for i, at in enumerate(times)])

    def switches(self, cpu, times, compact, first=100):
        """Threads take turns; compact: as Perfetto records them by default, without the first one."""
        tids = [first + i % 3 for i in range(len(times) + 1)]
        names = [f'work-{tid}' for tid in range(first, first + 3)]
        if not compact:
            self.ftrace(cpu, [(at, tids[i], SCHED_SWITCH, text(1, names[i % 3]) + number(2, tids[i]) + number(3, 120) +
                               number(4, 1) + text(5, names[(i + 1) % 3]) + number(6, tids[i + 1]) + number(7, 120))
                              for i, at in enumerate(times)])
            return
        clock = [self.clock(at) for at in times]
        deltas = [now - before for now, before in zip(clock, [0, *clock])]
        sched = [text(5, name) for name in names]
        sched += [packed(1, deltas), packed(2, [1] * len(times)), packed(3, tids[1:]), packed(4, [120] * len(times)),
                  packed(6, [(i + 1) % 3 for i in range(len(times))])]
        wake = [self.clock(at + 100) for at in times]
        sched += [packed(7, [now - before for now, before in zip(wake, [0, *wake])]), packed(8, tids[:-1]),
                  packed(9, [cpu] * len(times)), packed(10, [120] * len(times)),
                  packed(11, [i % 3 for i in range(len(times))]), packed(12, [1] * len(times))]
        self.packet(message(1, number(1, cpu), message(4, *sched)), sequence=2)

    def program(self, times, sequence=9, clock=64, unit=1, incremental=True, name='step'):
        """A thread with Perfetto's library: a separate clock, whose times are differences"""
        start = times[0] - 1000
        # These values are independent of the machine's clocks
        base = 77
        track = number(1, 1000 + sequence) + message(4, number(1, 500), number(2, 500 + sequence), text(5, 'thread'))
        self.packet(message(6, message(1, number(1, BOOTTIME), number(2, self.clock(start))),
                            message(1, number(1, clock), number(2, base), number(3, incremental), number(4, unit))),
                    number(13, 1), message(59, number(58, clock), message(11, number(11, 1000 + sequence))),
                    sequence=sequence)
        self.packet(message(60, track), sequence=sequence)
        last = self.clock(start)
        for i, at in enumerate(times):
            now = self.clock(start) + (self.clock(at) - self.clock(start)) // unit * unit
            value = (now - last) // unit if incremental else base + (now - self.clock(start)) // unit
            last = now
            self.packet(number(8, value), number(13, 2),
                        message(11, number(9, 3), text(23, f'{name} {i}')), sequence=sequence)

    def counter(self, at, clock, value):
        """A packet with a clock of the machine that is not BOOTTIME: SysStats"""
        now = self.clock(at)
        self.packet(number(8, {MONOTONIC: now - self.suspended, REALTIME: now + self.wall}.get(clock, now)),
                    number(58, clock), message(7, message(1, number(1, 1), number(2, value))), sequence=3)

    def service_event(self, at, field):
        self.packet(number(8, self.clock(at)), number(58, BOOTTIME), message(69, number(field, 1)))

    def write(self, path):
        with open(path, 'wb') as file:
            file.write(b''.join(self.packets))


class Pair:
    """A host and a guest that Perfetto records for a minute, and their events

    history: of the guest's TSC; clock: of the host
    times:   times of the guest's events, as host TSC; true times are those of the host's clock
    """
    HZ = 2_500_000_000
    START = 10**12
    SECONDS = 60
    INITIAL = -3 * 10**11

    def __init__(self, jump=0, jumps_at=(25,), follows=False, drift=(3, -13), events=200, seed=1, every=10, ratio=0,
                 late=0):
        """jump: of the TSC in seconds, each time; follows: the guest's clock follows the TSC; drift: of both clocks in
        parts per million; every: seconds between snapshots; late: delay of every third TSC reading, in host cycles"""
        self.random = random.Random(seed)
        changes, offset = [], self.INITIAL
        for at in jumps_at if jump else ():
            offset += round(jump * self.HZ * (ratio or 1))
            changes.append(Change(self.at(at), offset))
        self.history = History(self.INITIAL, *changes, ratio=round(ratio * (1 << 48)))
        rate = Fraction(10**9, self.HZ)
        host, guest = (rate * (1 + Fraction(ppm, 10**6)) for ppm in drift)
        self.clock = Clock(400_000_000_000, self.START, host)
        own = Clock(7_000_000_123, self.START, guest)
        if follows:
            own = JumpingClock(7_000_000_123, self.START, guest / Fraction(ratio or 1), self.history)
        self.host = Recording(self.clock)
        self.guest = Recording(own, self.history, suspended=5_000_000_001,
                               wall=self.host.wall + self.clock(self.START) - 7_000_000_123)
        self.host.system('6.1-host')
        self.guest.system('6.1-guest')
        for i, second in enumerate(range(0, self.SECONDS + 1, every)):
            self.host.snapshot(self.at(second) + self.random.randrange(10**6))
            self.guest.snapshot(self.at(second) + self.random.randrange(10**6), late=late * (i % 3 == 1))
        self.times = self.some_times(events)

    def at(self, second):
        return self.START + round(second * self.HZ)

    def some_times(self, events):
        return sorted(self.random.sample(range(self.at(1), self.at(self.SECONDS - 1)), events))

    def truth(self):
        return [self.clock(at) for at in self.times]

    def record(self):
        """Events of all kinds on both sides"""
        self.host.prints(0, self.some_times(len(self.times)), 'host')
        self.guest.prints(0, self.times)
        self.guest.switches(1, self.times, compact=True)
        self.guest.switches(2, self.times, compact=False, first=200)
        self.guest.program(self.times)
        self.guest.program(self.times, sequence=10, clock=65, unit=1000, name='coarse')
        self.guest.program(self.times, sequence=11, clock=66, incremental=False, name='absolute')
        for i, at in enumerate(self.times):
            self.guest.counter(at, [MONOTONIC, REALTIME, BOOTTIME][i % 3], i)
        return self

    def write(self, host, guest, history=None, vcpus=1):
        self.host.write(host)
        self.guest.write(guest)
        if history:
            with open(history, 'w', encoding='ascii') as file:
                json.dump(snapshot_json(self.at(self.SECONDS + 10), [self.history] * vcpus), file)


class RecordedPair(Pair):
    """The same with the times and the history of a recording in the lab

    vcpu: of show --json; times: host TSC of the events of the host and of the guest
    """
    HZ = 2_600_000_000
    STEP = 10**9

    def __init__(self, vcpu, host_times, guest_times, drift=(3, -13)):
        self.random = random.Random(1)
        self.history = History(vcpu['initial']['offset'],
                               *(Change(change['host_tsc'], change['next']) for change in vcpu['changes']))
        self.host_times, self.times = host_times, guest_times
        self.first = min(host_times[0], guest_times[0]) - self.STEP
        self.last = max(host_times[-1], guest_times[-1]) + self.STEP
        host, guest = (Fraction(10**9, self.HZ) * (1 + Fraction(ppm, 10**6)) for ppm in drift)
        self.clock = Clock(400_000_000_000, self.first, host)
        self.host = Recording(self.clock)
        self.guest = Recording(Clock(7_000_000_123, self.first, guest), self.history, suspended=5_000_000_001,
                               wall=self.host.wall + self.clock(self.first) - 7_000_000_123)
        self.host.system('6.1-host')
        self.guest.system('6.1-guest')
        for at in range(self.first, self.last + self.STEP, self.STEP):
            for side in self.host, self.guest:
                side.snapshot(at + self.random.randrange(10**6))

    def at(self, second):
        return self.first + round(second * self.HZ)

    def record(self):
        self.host.prints(0, self.host_times, 'host')
        self.guest.prints(0, self.times)
        return self


def fields(data):
    """A message as its fields: (number, value), messages as bytes"""
    found, at = [], 0
    while at < len(data):
        key, at = perfetto_trace.varint(data, at)
        value, at = perfetto_trace.varint(data, at)
        if key & 7 == perfetto_trace.BYTES:
            value, at = data[at:at + value], at + value
        elif key & 7 != perfetto_trace.VARINT:
            raise ValueError(f'wire type {key & 7}')
        found.append((key >> 3, value))
    return found


def only(message_fields, number, default=None):
    return next((value for found, value in message_fields if found == number), default)


def packets(path):
    """(machine, fields) of each packet"""
    with open(path, 'rb') as file:
        data = file.read()
    for _, begin, end in perfetto_trace.packet_spans(data):
        found = fields(data[begin:end])
        yield only(found, 98, 0), found


def ftrace_times(path, machine):
    """Times of all single ftrace events: (CPU, time)"""
    found = []
    for of, packet in packets(path):
        bundle = only(packet, 1)
        if of == machine and bundle is not None:
            bundle = fields(bundle)
            found += [(only(bundle, 1), only(fields(event), 1)) for number, event in bundle if number == 2]
    return found
