#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""TIME_SHIFT options of all kinds, in a real guest's file: for each event, the time in the real trace-cmd report must
be the result of time_shift_apply().
"""
import random
import struct
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, Case, built, main
import trace_dat

PROGRAM = built('tests/files/apply_time_shift')
GUEST = f'{DATA}/agent-moved/guest.dat'
SEED = 31
CASES = 120
INTERPOLATE = 1


def option(flags, cpus, fractions=True):
    """A payload from lists of samples (time, offset, scaling, fraction bits)"""
    def numbers(samples, field):
        return struct.pack(f'<{len(samples)}Q', *(sample[field] % 2 ** 64 for sample in samples))
    data = struct.pack('<QII', 1, flags, len(cpus))
    for samples in cpus:
        data += struct.pack('<I', len(samples))
        data += b''.join(numbers(samples, field) for field in range(3))
    if fractions:
        data += b''.join(numbers(samples, 3) for samples in cpus)
    return data


def random_times(pick, times, nr):
    """Times around those of events, at some events, on both sides of 2^63, or anywhere"""
    low, high = times[0], times[-1]
    kinds = {
        'inside': lambda: pick.randint(low, high),
        'at events': lambda: pick.choice(times),
        'around': lambda: pick.randint(2 * low - high, 2 * high - low),
        'both halves': lambda: pick.choice([pick.randint(low, high), -pick.randint(1, 2 ** 63)]),
        'anywhere': lambda: pick.getrandbits(64) - 2 ** 63,
    }
    kind = kinds[pick.choice(list(kinds))]
    found = [kind() for _ in range(nr)]
    # Sometimes two samples have the same time
    if nr > 1 and pick.random() < .3:
        found[pick.randrange(nr)] = pick.choice(found)
    return found


def random_option(pick, times):
    width = pick.choice([8, 20, 35, 50, 64])
    odd = pick.random() < .3

    def sample(time):
        return (time, pick.getrandbits(width) - 2 ** (width - 1),
                pick.getrandbits(pick.choice([1, 10, 64])) if odd else 1,
                pick.choice([0, 1, 32, 63, 64, -1, pick.getrandbits(64)]) if odd else 0)

    cpus = []
    for _ in range(pick.choice([0, 1, 2, 2, 2, 3])):
        # Without any sample the reader would read beyond its memory
        cpus.append([sample(time) for time in random_times(pick, times, pick.randint(1, 7))])
    data = option(pick.getrandbits(3), cpus, pick.random() < .9)
    if pick.random() < .15:
        data = data[:pick.randrange(len(data))]
    return data


def divides_by_minus_one(data):
    """Such a pair makes the reader divide INT64_MIN by -1, which traps"""
    return struct.pack('<q', -2 ** 63) in data and struct.pack('<q', 2 ** 63 - 1) in data


def by_cpu(events):
    """The times of each CPU in the order of the file, which report keeps"""
    times = {}
    for event in events:
        times.setdefault(event.cpu, []).append(event.time)
    return times


class TestOptions(Case):
    def setUp(self):
        super().setUp()
        raw = by_cpu(trace_dat.report('--raw-ts', '-i', GUEST))
        # All events, as (CPU, time)
        self.flat = [(cpu, time) for cpu, times in sorted(raw.items()) for time in times]
        self.unstamped = self.shown(GUEST)

    def shown(self, path):
        return [time for _, times in sorted(by_cpu(trace_dat.report('-i', path)).items()) for time in times]

    def ours(self, data):
        """The times that time_shift_apply() predicts for the reader with an option, or "refused" or "skipped"."""
        with open(self.path('option'), 'wb') as file:
            file.write(data)
        lines = ''.join(f'{cpu} {time}\n' for cpu, time in self.flat)
        words = subprocess.run([PROGRAM, self.path('option')], input=lines, text=True, check=True,
                               stdout=subprocess.PIPE).stdout.split()
        return words[0] if words in (['refused'], ['skipped']) else [int(time) for time in words]

    def test_random(self):
        pick = random.Random(SEED)
        all_times = sorted(time for _, time in self.flat)
        counts = dict.fromkeys(['refused', 'skipped', 'equal', 'corrected'], 0)
        case = 0
        while case < CASES:
            data = random_option(pick, all_times)
            if divides_by_minus_one(data):
                continue
            case += 1
            trace_dat.with_time_shift(GUEST, self.path('guest.dat'), data)
            expected = self.ours(data)
            if isinstance(expected, str):
                counts[expected] += 1
                # If our option is skipped, the file's original option stays in force
                expected = [] if expected == 'refused' else self.unstamped
            else:
                counts['corrected'] += sum(now != was for now, (_, was) in zip(expected, self.flat))
            counts['equal'] += len(expected)
            with self.subTest(case=case, option=data.hex()):
                self.compare(self.shown(self.path('guest.dat')), expected)
        print(f'{CASES} options: {counts["equal"]} times as the reader shows them, {counts["corrected"]} of '
              f'them corrected; {counts["refused"]} options refused, {counts["skipped"]} skipped')
        # The control: all kinds occurred, and most times were corrected
        self.assertGreater(counts['corrected'], counts['equal'] / 2)
        self.assertTrue(counts['refused'] and counts['skipped'])

    def compare(self, shown, expected):
        """Compare long lists; only the first difference matters"""
        for event, now, right in zip(self.flat, shown, expected):
            self.assertEqual(now, right, f'(CPU, raw time) {event}')
        self.assertEqual(len(shown), len(expected))


if __name__ == '__main__':
    main('trace-cmd')
