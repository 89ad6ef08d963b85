#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""stamp on many made-up recordings of all kinds: never a wrong time with exit status 0.

usage: sweep.py TSC-OFFSET [COUNT [FIRST-SEED]], with ../traces in PYTHONPATH

Each seed makes a recording: VMs that run beside each other, vCPUs in any order with any vcpu_ids and threads, boots, loads
of saved states, vCPUs that are plugged in again, scaled TSCs, filtered and lost events, files whose times are the host's
already, files that readers shift. For each event of the guest it is known when it was.

A result is right if readers show each event at its time: to the cycle, two where the TSC is scaled, or within the error
that stamp names where it had to find something by the events. Wrong is a wrong time with status 0, or one that is off by
more than stamp says without a word of doubt. All else is refused, or said to be in doubt.
"""
import collections
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

from scenario import Scenario, CYCLES_PER_MS
import trace_dat_writer as dat

DONE, FAILED, _, INCOMPLETE = range(4)


def options_of(path):
    """[(number, payload)] of a file of version 7"""
    with open(path, 'rb') as file:
        data = file.read()
    at = data.index(b'\0', 10) + 1 + 2 + 4
    at = data.index(b'\0', data.index(b'\0', at) + 1) + 1
    section, = struct.unpack_from('<Q', data, at)
    found = []
    while section:
        at = section + 16
        while True:
            number, size = struct.unpack_from('<HI', data, at)
            payload = data[at + 6:at + 6 + size]
            at += 6 + size
            if not number:
                section, = struct.unpack('<Q', payload)
                break
            found.append((number, payload))
    return found


def samples_of(option):
    """For each CPU [(time, correction)] of a TIME_SHIFT that is interpolated"""
    _, flags, nr = struct.unpack_from('<QII', option)
    assert flags == 1
    at, cpus = 16, []
    for _ in range(nr):
        count, = struct.unpack_from('<I', option, at)
        numbers = struct.unpack_from(f'<{3 * count}q', option, at + 4)
        at += 4 + 24 * count
        cpus.append((numbers[:count], numbers[count:2 * count]))
    return cpus


def shown(samples, time):
    """What readers make of a time: they interpolate between the samples next to it"""
    times, corrections = samples
    low, high = 0, len(times) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if times[middle] <= time:
            low = middle
        else:
            high = middle
    length, rise = times[high] - times[low], corrections[high] - corrections[low]
    product = (time - times[low]) * rise + length // 2
    # As C divides
    return time + corrections[low] + (abs(product) // length if product >= 0 else -(abs(product) // length))


def shift_of(options):
    """What readers add to all times of a file, whatever TIME_SHIFT does"""
    return sum(int(payload.split(b'\0')[0], 0) * (1000 if number == 1 else 1)
               for number, payload in options if number in (1, 7))


def choose(seed):
    """(parameters of the scenario, number of the VM, kinds)"""
    rnd = random.Random(seed)
    kinds = set()
    vms = rnd.choice((1, 1, 1, 2, 2, 3))
    vcpus = rnd.choice((1, 2, 2, 2, 3, 4, 6, 8, 16))
    segments = rnd.randint(8, 14)
    parameters = dict(vms=vms, vcpus=vcpus, segments=segments, stays=rnd.randint(6, 14), guest_events=rnd.randint(2, 6),
                      changes=rnd.choice((1, 1, 2, 3)), seed=seed, idle=rnd.choice((0, 20, 200)),
                      jump=(rnd.choice((10_000, 1_000_000)), rnd.choice((2_000_000, 1_000_000_000))),
                      start=rnd.choice((50_000_000_000, 8_000_000_000, 10 ** 14, 7 * 10 ** 15)),
                      linked=rnd.random() < 0.2)
    ids = list(range(vcpus))
    if rnd.random() < 0.3:
        kinds.add('holes')
        ids = sorted(rnd.sample(range(2 * vcpus + 2), vcpus))
    if rnd.random() < 0.3 and vcpus > 1:
        kinds.add('permuted')
        rnd.shuffle(ids)
    parameters['vcpu_ids'] = ids
    numbers = [2003 + 7 * i for i in range(vms * vcpus)]
    if rnd.random() < 0.3:
        kinds.add('threads')
        rnd.shuffle(numbers)
    elif vms > 1 and rnd.random() < 0.5:
        kinds.add('interleaved')
        numbers = [number for vm in range(vms) for number in numbers[vm::vms]]
    parameters['tids'] = [numbers[vm * vcpus:(vm + 1) * vcpus] for vm in range(vms)]
    what = rnd.choice(('plain', 'plain', 'boot', 'reset', 'rebooted', 'load', 'replug', 'backward', 'scaled', 'corrected',
                       'filtered', 'lost', 'lost change', 'shifted', 'patched', 'late host', 'early host'))
    kinds.add(what)
    half = segments // 2
    if what == 'boot':
        parameters.update(boot=True)
    elif what == 'reset':
        parameters.update(boot=rnd.random() < 0.5, resets=(2,), changes=1, guest_segments=(3, segments))
    elif what == 'rebooted':
        side = rnd.random() < 0.5
        parameters.update(resets=(half,), changes=1,
                          guest_segments=(half, segments) if side else (0, half))
    elif what == 'load':
        saved = rnd.randint(1, half - 1)
        parameters.update(loads=[(vm, saved, saved + rnd.randint(1, 3)) for vm in range(vms)])
    elif what == 'replug':
        parameters.update(replugs=[(rnd.randrange(vms), rnd.randrange(vcpus), half)])
    elif what == 'backward':
        parameters.update(direction=rnd.choice(('backward', 'both')))
    elif what == 'scaled':
        ratio = rnd.choice((0.5, 0.8, 1.0417, 1.25, 2, 4, 1 + 1e-6, 1 - 1e-6, 1 + 3e-5))
        parameters.update(ratio=ratio, frac_bits=rnd.choice((48, 32)), patched=rnd.random() < 0.2)
    elif what == 'corrected':
        parameters.update(corrected=True)
    elif what == 'filtered':
        parameters.update(missing_exits=rnd.choice((2, 5, 30)), exit_isa=rnd.choice((1, 2)),
                          release=rnd.choice(('6.1.0', '6.12.0')))
    elif what == 'lost':
        parameters.update(lose_every=rnd.choice((2, 3, 5)), guest_lose_every=rnd.choice((0, 3)))
    elif what == 'lost change':
        parameters.update(lose_changes=[(vm, rnd.randrange(vcpus), 0) for vm in range(vms)])
    elif what == 'shifted':
        shifts = [[], [(1, b'0x%x\0' % rnd.randrange(10 ** 6))], [(7, b'%d\0' % rnd.randrange(10 ** 12))]]
        parameters.update(host_options=rnd.choice(shifts), guest_options=rnd.choice(shifts))
    elif what == 'patched':
        parameters.update(patched=True, one_process=rnd.random() < 0.3)
    elif what == 'late host':
        parameters.update(host_segments=(half, segments))
    elif what == 'early host':
        parameters.update(host_segments=(0, half + 1))
    return parameters, rnd.randrange(vms), kinds


def named_error(text):
    """The greatest error that stamp names for what it found by events, in cycles"""
    return max((int(number) for number in re.findall(r'wrong by (?:at most )?(\d+) cycles', text)), default=0)


def run(tool, seed, directory):
    """(outcome, kinds, words)"""
    parameters, number, kinds = choose(seed)
    try:
        scenario = Scenario(**parameters)
    except ValueError:
        return 'none', kinds, ''
    scenario.write(directory)
    vm = scenario.vms[number]
    out = os.path.join(directory, 'out.dat')
    host = os.path.join(directory, 'host.dat')
    done = subprocess.run([tool, 'stamp', '-o', out, host, os.path.join(directory, f'{vm.name}.dat')],
                          capture_output=True, text=True, check=False)
    words = done.stdout + done.stderr
    if done.returncode == FAILED:
        return 'refused', kinds, words
    if done.returncode not in (DONE, INCOMPLETE):
        return 'WRONG', kinds, f'status {done.returncode}: {words}'
    options = options_of(out)
    cpus = samples_of([payload for kind, payload in options if kind == dat.TIME_SHIFT][-1])
    ahead = shift_of(options) - shift_of(options_of(host))
    tolerance = max(2 if vm.ratio else 0, named_error(words))
    worst = wrong = total = 0
    recorded = [event.host_tsc for event in scenario.events('host')]
    begin, end = min(recorded), max(recorded)
    for event in scenario.events(vm.name):
        time = shown(cpus[event.cpu], event.time) + ahead
        off = abs(time - event.host_tsc)
        # Nothing can be known of what was before and after the host's recording, but it must not come into it
        if not begin <= event.host_tsc <= end and not begin <= time <= end:
            continue
        total += 1
        wrong += off > tolerance
        worst = max(worst, off)
    if wrong and done.returncode == DONE:
        return 'WRONG', kinds, f'{wrong} of {total} events at a wrong time, by up to {worst}: {words}'
    if wrong:
        return 'doubted', kinds, f'{wrong} of {total} by up to {worst}: {words}'
    return 'right' if done.returncode == DONE else 'right, doubted', kinds, words


def main():
    tool = os.path.abspath(sys.argv[1])
    count, first = (int(word) for word in (sys.argv[2:] + ['200', '1'])[:2]) if len(sys.argv) < 4 else \
        map(int, sys.argv[2:4])
    verbose = os.environ.get('SWEEP_SHOW', '')
    totals, by_kind = collections.Counter(), collections.defaultdict(collections.Counter)
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as directory:
            outcome, kinds, words = run(tool, seed, directory)
        totals[outcome] += 1
        for kind in kinds:
            by_kind[kind][outcome] += 1
        if outcome == 'WRONG' or outcome in verbose.split('|'):
            print(f'seed {seed} {sorted(kinds)} {outcome}: {words}')
    for kind, counts in sorted(by_kind.items()):
        print(f'{kind:12}', ', '.join(f'{outcome} {number}' for outcome, number in sorted(counts.items())))
    print(f'{count} recordings:', ', '.join(f'{outcome} {number}' for outcome, number in sorted(totals.items())))
    # Something must have been right, or nothing was tested
    return totals['WRONG'] > 0 or not totals['right']


if __name__ == '__main__':
    sys.exit(main())
