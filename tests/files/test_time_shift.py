#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""TIME_SHIFT options of all kinds, in a real guest's file: for each event, what the real trace-cmd report
shows must be what time_shift_apply() says.

Arguments: the program apply_time_shift, a guest's file.
"""
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
import trace_dat

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
    """Around the times of events, at some of them, on both sides of 2^63, or anywhere"""
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
    # Now and then two at the same time
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
        # None at all would be read from beyond the reader's memory
        cpus.append([sample(time) for time in random_times(pick, times, pick.randint(1, 7))])
    data = option(pick.getrandbits(3), cpus, pick.random() < .9)
    if pick.random() < .15:
        data = data[:pick.randrange(len(data))]
    return data


def divides_by_minus_one(data):
    """The reader would be stopped by the processor: such a pair is not for it"""
    return struct.pack('<q', -2 ** 63) in data and struct.pack('<q', 2 ** 63 - 1) in data


def by_cpu(events):
    """The times of each CPU in the order of the file, which report keeps"""
    times = {}
    for event in events:
        times.setdefault(event.cpu, []).append(event.time)
    return times


def main():
    program, guest = sys.argv[1:]
    if not shutil.which('trace-cmd'):
        print('skipped: no trace-cmd')
        return 77
    pick = random.Random(SEED)
    raw = by_cpu(trace_dat.report('--raw-ts', '-i', guest))
    flat = [(cpu, time) for cpu, times in sorted(raw.items()) for time in times]
    lines = ''.join(f'{cpu} {time}\n' for cpu, time in flat)
    all_times = sorted(time for _, time in flat)
    counts = dict.fromkeys(['refused', 'skipped', 'equal', 'corrected', 'wrong'], 0)

    with tempfile.TemporaryDirectory() as directory:
        stamped, payload = os.path.join(directory, 'guest.dat'), os.path.join(directory, 'option')
        case = 0
        while case < CASES:
            data = random_option(pick, all_times)
            if divides_by_minus_one(data):
                continue
            case += 1
            with open(payload, 'wb') as file:
                file.write(data)
            trace_dat.with_time_shift(guest, stamped, data)
            ours = subprocess.run([program, payload], input=lines, text=True, check=True,
                                  stdout=subprocess.PIPE).stdout.split()
            shown = by_cpu(trace_dat.report('-i', stamped))
            shown = [time for _, times in sorted(shown.items()) for time in times]
            if ours in (['refused'], ['skipped']):
                # The option that the file has from its recording stays in force then
                expected = [] if ours == ['refused'] else None
                counts[ours[0]] += 1
            else:
                expected = [int(time) for time in ours]
                counts['corrected'] += sum(now != was for now, (_, was) in zip(expected, flat))
            if expected is None:
                expected = [time for _, times in
                            sorted(by_cpu(trace_dat.report('-i', guest)).items()) for time in times]
            counts['equal'] += len(expected)
            if shown != expected:
                counts['wrong'] += 1
                first = next((i for i, pair in enumerate(zip(shown, expected)) if pair[0] != pair[1]), None)
                print(f'FAILED: case {case}, option {data.hex()}: {len(shown)} events of {len(expected)}'
                      + (f', raw time {flat[first]} shown as {shown[first]}, not {expected[first]}'
                         if first is not None else ''))
    print(f'{CASES} options: {counts["equal"]} times as the reader shows them, {counts["corrected"]} of '
          f'them corrected; {counts["refused"]} options refused, {counts["skipped"]} skipped')
    # The control: all kinds were there, and most times were not as before
    enough = counts['corrected'] > counts['equal'] / 2 and counts['refused'] and counts['skipped']
    return bool(counts['wrong'] or not enough)


if __name__ == '__main__':
    sys.exit(main())
