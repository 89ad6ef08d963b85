#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Stamp many generated recordings of all kinds and check that the times are correct.

Each seed makes a different recording with tests/lib/scenario.py: VMs that run at the same time or in sequence, vCPUs in
any order with any vcpu_ids and threads, boots, loads of saved states, vCPUs that are plugged in again, scaled TSCs,
some with changes of their ratio, filtered and lost events, a missing exit, events of probes, true and false lines of
tsc-offset mark, all of these in several buffers, files that already have host times, and files that readers shift.

The true time of each of the guest's events is known. "tsc-offset stamp" gets the files without any hint. Its
result is one of these:

  right           exit status 0, and readers show each event at its time: exactly, or within 2 cycles for a scaled TSC
  right, doubted  the same, but with exit status 3: a part could not be proved, or it was estimated by events and is
                  right within the error that stamp prints
  doubted         exit status 3, and some times are wrong
  refused         exit status 1, no file
  none            the parameters of the seed exclude each other
  WRONG           exit status 0 and a wrong time, or another exit status

"stamp --rewrite" gets the files of all seeds too, or of fewer (--rewrite); the table calls this "rewritten". The times
that real readers show of its result are judged in the same way. Events after a jump backward within a page must be
right within the error that stamp prints for them. Other wrong times are excused only by a doubt about another subject.

The table has a line for each kind of recording; a recording can be of several kinds. Exit status: 0 if nothing is
WRONG.
"""
import argparse
import collections
import functools
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL
from rewritten import MORE_JUMPS, bounds_of, jumps_of, other_doubts, report_of, truth_of
from scenario import Scenario
import trace_dat_writer as dat

# The first right results of each kind, up to this number, are also checked with a shifted truth, which must be wrong
CONTROLS = 10


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
    """For each CPU [(time, correction)] of an interpolated TIME_SHIFT"""
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
    """The reader's conversion of a time: interpolation between the adjacent samples"""
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
    # As in C
    return time + corrections[low] + (abs(product) // length if product >= 0 else -(abs(product) // length))


def shift_of(options):
    """The constant that readers add to all times of a file, independent of TIME_SHIFT"""
    return sum(int(payload.split(b'\0')[0], 0) * (1000 if number == 1 else 1)
               for number, payload in options if number in (1, 7))


def choose(seed):
    """(parameters of the scenario, number of the VM, kinds)"""
    rnd = random.Random(seed)
    kinds = set()
    vms = rnd.choice((1, 1, 1, 2, 2, 3))
    vcpus = rnd.choice((1, 2, 2, 2, 3, 4, 6, 8, 16))
    segments = rnd.randint(8, 14)
    parameters = dict(vms=vms, vcpus=vcpus, segments=segments, stays=rnd.randint(6, 14),
                      guest_events=rnd.randint(2, 6), changes=rnd.choice((1, 1, 2, 3)), seed=seed,
                      idle=rnd.choice((0, 20, 200)),
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
    what = rnd.choice(('plain', 'plain', 'boot', 'reset', 'rebooted', 'load', 'replug', 'backward', 'scaled',
                       'corrected', 'filtered', 'lost', 'lost change', 'shifted', 'patched', 'late host', 'early host'))
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
        parameters.update(patched=rnd.choice((True, 'id')), one_process=rnd.random() < 0.3)
    elif what == 'late host':
        parameters.update(host_segments=(half, segments))
    elif what == 'early host':
        parameters.update(host_segments=(0, half + 1))
    # A separate generator, so that a seed has the same recording with and without probes
    add_probes(parameters, what, kinds, random.Random(f'probes {seed}'))
    add_marks(parameters, kinds, random.Random(f'marks {seed}'))
    add_rescaling(parameters, what, kinds, random.Random(f'rescaling {seed}'))
    add_buffers(parameters, kinds, random.Random(f'buffers {seed}'))
    add_missing_exit(parameters, what, kinds, random.Random(f'missing exit {seed}'))
    return parameters, rnd.randrange(parameters['vms']), kinds


def add_probes(parameters, what, kinds, rnd):
    """Add events of probes to some recordings: all of them, or without those of the kernel or others"""
    if rnd.random() < 0.6:
        return
    kinds.add('probes')
    missing = rnd.choice(((), (), (), ('kvm_write_tsc_offset',), ('vcpu_load',), ('write_offset', 'write_ratio'),
                          ('kvm_write_tsc_offset', 'vcpu_load'), ('vm_end',)))
    kinds.update(f'no {name}' for name in missing)
    parameters.update(probes=True, unrecorded=missing)
    for name, probability in ('nested', 0.2), ('nameless', 0.1), ('foreign_writer', 0.1), ('one_process', 0.3):
        # Here such a thread writes on several CPUs at the same time, which
        # is unrealistic: each write must have its VM
        others = name in ('foreign_writer', 'one_process') and 'write_offset' in missing
        if rnd.random() < probability and not others:
            kinds.add(name)
            parameters[name] = True
    if what in ('plain', 'boot', 'backward', 'scaled', 'filtered', 'lost') and rnd.random() < 0.3:
        kinds.add('lives')
        vms = rnd.choice((2, 3))
        parameters.update(lives=True, vms=vms, segments=vms * parameters['segments'], linked=False,
                          tids=parameters['tids'][:1] * vms)


def add_marks(parameters, kinds, rnd):
    """Add marks to some recordings, at one or several places; some of the marks are false"""
    if rnd.random() < 0.65:
        return
    kinds.add('marks')

    def change(**values):
        return lambda vcpu, line: line.update(values) if rnd_of(vcpu).random() < 0.7 else None

    def rnd_of(vcpu):
        return random.Random(f'{parameters["seed"]} {vcpu.vm.name} {vcpu.index}')

    def other_vm(vcpu, line):
        line['vm'] = rnd_of(vcpu).choice(('77-7', '2000-12', '2100-13', '2200-14'))

    def near(vcpu, line):
        line['offset'] += rnd_of(vcpu).choice((-200, 100, 5_000_000))

    def some(vcpu, _):
        return 'begin' if rnd_of(vcpu).random() < 0.5 else None

    edits = {'true marks': None, 'marks of some': some, 'marks of another VM': other_vm, 'contradicted marks': near,
             'marks without thread': change(thread=0)}
    kind = rnd.choice(('true marks', 'true marks', *edits))
    kinds.add(kind)
    parameters['marks'] = {rnd.randrange(parameters['segments']): edits[kind] for _ in range(rnd.choice((1, 1, 2, 3)))}
    parameters['unbegun'] = rnd.random() < 0.1


def add_rescaling(parameters, what, kinds, rnd):
    """Change the ratio in some recordings during the host's recording, which events of a stock kernel do not report"""
    if what not in ('plain', 'boot', 'scaled', 'filtered', 'patched', 'late host') or rnd.random() < 0.8:
        return
    kinds.add('rescaled')
    parameters['ratio'] = parameters.get('ratio') or 1
    # A lower ratio would move the guest's TSC back by seconds
    parameters['rescale'] = (parameters['ratio'] * rnd.choice((1 + 1e-6, 1.0003, 1.3)),)


def add_buffers(parameters, kinds, rnd):
    """Distribute the events of some recordings over several buffers, by event,
    vCPU or time, or copy them into several buffers"""
    if rnd.random() < 0.75:
        return
    kind = rnd.choice(('buffers by event', 'buffers by vCPU', 'buffers by time', 'copies in buffers'))
    kinds.add(kind)
    names = ('', 'a', 'b', 'c')[:rnd.randint(2, 4)]
    parameters['host_instances'] = {name: [] for name in names[1:]}

    @functools.lru_cache(None)
    def buffers_of(event, vcpu_id, third):
        # Entries and exits are read from one buffer
        event = 'kvm_entry' if event == 'kvm_exit' else event
        of_event = random.Random(f'{parameters["seed"]} {event}')
        if event in ('kvm_entry', 'print', 'sched_switch') or kind == 'buffers by event':
            return (of_event.choice(names),)
        if kind == 'copies in buffers':
            return of_event.sample(names, of_event.randint(1, len(names)))
        return (names[(vcpu_id if kind == 'buffers by vCPU' else third) % len(names)],)

    parameters['host_split'] = lambda event, run, number: buffers_of(event, run.vcpu.vcpu_id, number // 3)


def add_missing_exit(parameters, what, kinds, rnd):
    """Remove a kvm_exit from some hosts' files: the last one of a thread that no longer runs its vCPU, or the last
    one of any segment"""
    if rnd.random() > {'replug': 0.6, 'plain': 0.15, 'boot': 0.15, 'backward': 0.15, 'late host': 0.15}.get(what, 0):
        return
    kinds.add('missing exit')
    anywhere = [(rnd.randrange(parameters['vms']), rnd.randrange(parameters['vcpus']),
                 rnd.randint(1, parameters['segments']))]
    vm, vcpu, segment = parameters.get('replugs', anywhere)[0]
    parameters.update(missing_last=[(vm, vcpu, segment - 1)], exit_isa=rnd.choice((1, 2)))


def named_error(text):
    """The largest error, in cycles, that stamp prints for estimated values"""
    return max((int(number) for number in re.findall(r'wrong by (?:at most )?(\d+) cycles', text)), default=0)


def mark_error(text):
    """The error of a false mark if no change in the host's file contradicts it: within the bound of the error, the
    guest's events fit the mark as well as the truth"""
    bound = re.search(r', 0 changes; .*, error at most ([\d,]+) cycles', text)
    return int(bound[1].replace(',', '')) if bound else 0


class Outcome:
    """A result: its status, stamp's output, and wrong()"""

    def outcome(self, moved=0):
        """(outcome, why)"""
        if self.status == FAILED:
            return 'refused', self.words
        if self.status not in (DONE, INCOMPLETE):
            return 'WRONG', f'status {self.status}: {self.words}'
        wrong, total, worst = self.wrong(moved)
        if not wrong:
            return 'right' if self.status == DONE else 'right, doubted', self.words
        return self.if_wrong, f'{wrong} of {total} events at a wrong time, by up to {worst}: {self.words}'


class Result(Outcome):
    """The result of stamp for a recording, and its wrong times"""

    def __init__(self, scenario, vm, done, directory):
        self.status, self.words = done.returncode, done.stdout + done.stderr
        self.tolerance = max(2 if vm.ratio else 0, named_error(self.words),
                             mark_error(self.words) if scenario.false_marks else 0)
        self.if_wrong = 'WRONG' if self.status == DONE else 'doubted'
        if self.status not in (DONE, INCOMPLETE):
            return
        options = options_of(os.path.join(directory, 'out.dat'))
        self.cpus = samples_of([payload for kind, payload in options if kind == dat.TIME_SHIFT][-1])
        self.ahead = shift_of(options) - shift_of(options_of(os.path.join(directory, 'host.dat')))
        self.span, self.events = scenario.recorded_span(), scenario.events(vm.name)

    def wrong(self, moved=0):
        """(events at a wrong time, events, the largest error), with all times shifted by @moved cycles"""
        begin, end = self.span
        worst = wrong = total = 0
        for event in self.events:
            time = shown(self.cpus[event.cpu], event.time) + self.ahead
            off = abs(time - event.host_tsc - moved)
            # Times before and after the host's recording are unknown, but must not be inside it
            if not begin <= event.host_tsc <= end and not begin <= time <= end:
                continue
            total += 1
            wrong += off > self.tolerance
            worst = max(worst, off)
        return wrong, total, worst


class Rewritten(Outcome):
    """The result of stamp --rewrite for a recording: wrong times as readers show them"""

    def __init__(self, scenario, vm, done, directory):
        self.status, self.words = done.returncode, done.stdout + done.stderr
        self.tolerance = max(2 if vm.ratio else 0, named_error(self.words),
                             mark_error(self.words) if scenario.false_marks else 0)
        doubted = other_doubts(done.stderr) or 'nothing proves it' in done.stdout
        self.if_wrong = 'doubted' if self.status == INCOMPLETE and doubted else 'WRONG'
        if self.status not in (DONE, INCOMPLETE):
            return
        path = os.path.join(directory, 'rewritten.dat')
        # The shift of the host's events is added to both
        self.ahead = shift_of(options_of(os.path.join(directory, 'host.dat')))
        self.jumps, self.all_named = jumps_of(self.words), MORE_JUMPS not in self.words
        self.found = report_of(path, scenario.instances['guest'])
        self.wanted = truth_of(scenario, vm)
        self.begin, self.end = scenario.recorded_span()

    def wrong(self, moved=0):
        """Like Result.wrong()"""
        worst = wrong = total = 0
        for key, events in self.wanted.items():
            times = self.found[key]
            if len(times) != len(events):
                return len(events), len(events), abs(len(times) - len(events))
            bounds = bounds_of(times, self.jumps[key], self.ahead)
            for i, (time, event) in enumerate(zip(times, events)):
                time -= self.ahead
                off = event.host_tsc + moved - time
                if not self.begin <= event.host_tsc <= self.end and not self.begin <= time <= self.end:
                    continue
                total += 1
                earlier, later = bounds.get(i, (0, 0))
                if event.late and not self.all_named and i not in bounds:
                    continue
                if not -earlier - self.tolerance <= off <= later + self.tolerance:
                    wrong += 1
                    worst = max(worst, abs(off))
        return wrong, total, worst


def run(seed, rewrite=True):
    """(results, kinds) of a seed; no results if it makes no recording"""
    parameters, number, kinds = choose(seed)
    try:
        scenario = Scenario(**parameters)
    except ValueError:
        return [], kinds
    scenario.false_marks = 'contradicted marks' in kinds
    vm = scenario.vms[number]
    results = []
    with tempfile.TemporaryDirectory() as directory:
        scenario.write(directory, only=[vm])
        kinds_of_results = [(Result, 'out.dat', []), (Rewritten, 'rewritten.dat', ['--rewrite'])]
        for kind, out, arguments in kinds_of_results[:1 + rewrite]:
            done = subprocess.run([TOOL, 'stamp', *arguments, '-o', out, 'host.dat', f'{vm.name}.dat'],
                                  cwd=directory, capture_output=True, text=True, check=False)
            results.append(kind(scenario, vm, done, directory))
    return results, kinds


def control(result):
    """Whether wrong times are detected. The truth is shifted by more than any
    bound of an error, so that all times are wrong."""
    least = 2 * result.tolerance + 1
    return all(result.outcome(moved)[0] == result.if_wrong for moved in (least, -least))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('count', metavar='COUNT', type=int, nargs='?', default=200, help='how many seeds (200)')
    parser.add_argument('first', metavar='FIRST', type=int, nargs='?', default=1, help='the first of them (1)')
    parser.add_argument('--show', metavar='OUTCOME', action='append', default=['WRONG'],
                        help='say of each recording with this result why; can be given several times. WRONG is '
                        'always shown')
    parser.add_argument('--rewrite', metavar='N', type=int, default=1,
                        help='try stamp --rewrite as well with one seed in so many (1), with none if 0')
    arguments = parser.parse_args()
    totals, by_kind, blind = collections.Counter(), collections.defaultdict(collections.Counter), 0
    rewritten = collections.Counter()
    for seed in range(arguments.first, arguments.first + arguments.count):
        results, kinds = run(seed, arguments.rewrite and seed % arguments.rewrite == 0)
        outcomes = [result.outcome() for result in results] or [('none', '')]
        totals[outcomes[0][0]] += 1
        rewritten.update(outcome for outcome, _ in outcomes[1:])
        for kind in kinds:
            by_kind[kind][outcomes[0][0]] += 1
        by_kind['rewritten'].update(outcome for outcome, _ in outcomes[1:])
        for (outcome, why), what in zip(outcomes, ('', 'rewritten ')):
            if outcome in arguments.show:
                print(f'seed {seed} {sorted(kinds)} {what}{outcome}: {why}', flush=True)
        # Check the first right results
        for result, (outcome, _), counts in zip(results, outcomes, (totals, rewritten)):
            if outcome.startswith('right') and counts[outcome] <= CONTROLS and not control(result):
                print(f'seed {seed} {sorted(kinds)}: control: wrong times are not found')
                blind += 1
    for kind, counts in sorted(by_kind.items()):
        print(f'{kind:23}', ', '.join(f'{outcome} {number}' for outcome, number in sorted(counts.items())))
    print(f'{arguments.count} recordings:',
          ', '.join(f'{outcome} {number}' for outcome, number in sorted(totals.items())))
    # At least one result must be right, otherwise nothing was tested
    return totals['WRONG'] + rewritten['WRONG'] + blind > 0 or not totals['right']


if __name__ == '__main__':
    sys.exit(main())
