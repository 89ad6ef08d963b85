#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Compares trace-cmd's protocols with record, in the lab: protocols.py order|cost; BUILD_DIR names the build.

  order   a guest whose TSC moves constantly: the number of probes out of order in stock trace-cmd report
  cost    an idle guest: the host's CPU time and the guest's exits that a protocol causes

The lab's emulator hangs occasionally. Then the remaining work is done in a new lab.
"""
import collections
import re
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from benchmark import QUICK, claim, claims_fail, figure, spread
from recording import PLUGIN, Lab, probes

# Limit of consecutive failures, of labs and of recordings
ATTEMPTS = 5
PROBES, DELAY_US = 100, 40000       # for each of 2 vCPUs
SECONDS, TURNS = 5, 4
# The exits of two equal recordings differ by up to 2,500, and the medians of this many pairs by 300
PAIRS = 16

Protocol = collections.namedtuple('Protocol', 'name how clock interval')
TSC, OTHER_CLOCK = 'x86-tsc', 'mono'


def protocols(name, how, clock, *intervals):
    return [Protocol(f'{name} at {interval}', how, clock, interval) for interval in intervals]


HOOK, HOOK_250, HOOK_50 = protocols('hook', PLUGIN, TSC, 0, 250, 50)
KVM, KVM_3000, KVM_250, KVM_50 = protocols('kvm', 'stock', TSC, 0, 3000, 250, 50)
PTP, PTP_250 = protocols('ptp', 'stock', OTHER_CLOCK, 0, 250)
RECORD, = protocols('record', 'ours', TSC, 0)
NONE = Protocol('none', 'stock', TSC, -1)


class LabFailed(Exception):
    pass


class OneLab(Lab):
    """A lab that in_labs() starts anew"""

    def begin_anew(self, why):
        raise LabFailed(why)


def in_labs(name, guest, jobs):
    """The results of each job(lab), in as few boots of host and guest as possible"""
    results, failures = [], 0
    while len(results) < len(jobs):
        before = len(results)
        try:
            with OneLab(name) as lab:
                lab.call('guest-up', 'g1', *guest)
                for job in jobs[before:]:
                    results.append(job(lab))
                    print(results[-1], flush=True)
        except LabFailed as failure:
            print(f'a new lab: {failure}', flush=True)
            failures = failures + 1 if len(results) == before else 0
            if failures == ATTEMPTS:
                sys.exit('the lab does not work')
    return results


def recorded(lab, by, workload, around='{}', **more):
    """A recording with this protocol. It is repeated if trace-cmd used another one, because it did not find the
    guest's process."""
    wanted = {NONE: None, PTP: 'ptp', PTP_250: 'ptp'}.get(by, 'kvm')
    for _ in range(ATTEMPTS):
        command = lab.recorder('recorded', {'g1': 3}, workload, how=by.how, clock=f'-C {by.clock}',
                               options=f'--tsync-interval {by.interval}', **more)
        recording = lab.fetch('recorded', {'g1': 3}, lab.run(around.format(f'({command})')))
        if recording.run.status:
            break
        negotiated = re.search(r'^Negotiated (\w+) time sync', recording.run.out, re.M)
        synchronised = recording.points('g1')[0] is not None
        if (negotiated[1] if negotiated else None) == wanted and synchronised == bool(wanted):
            return recording
        print(f'{by.name}: {negotiated and negotiated[0]}, synchronised: {synchronised}; again', flush=True)
    return lab.begin_anew(f'no recording by {by.name}')


def order():
    def job(by):
        return lambda lab: recorded(lab, by, probes('g1', PROBES, DELAY_US)).order()

    measured = [RECORD, KVM] if QUICK else [RECORD, HOOK, KVM, KVM_3000, KVM_250, KVM_50, PTP]
    for by, found in zip(measured, in_labs('protocols_order', ['--moves', 1], [job(by) for by in measured])):
        all_seen = found['unpaired'] * 10 <= 2 * PROBES <= found['probes'] + found['unpaired']
        text = f"probes out of order: {by.name}: {found['out_of_order']} of {found['probes']}"
        if by in (RECORD, HOOK):
            claim(all_seen and not found['out_of_order'], text)
        elif by in (KVM, KVM_3000):
            claim(all_seen and found['out_of_order'], f'{text} (control)')
        else:
            figure(text)


def cost():
    measured = [NONE, RECORD, KVM, HOOK, KVM_250, HOOK_250, KVM_50, HOOK_50, PTP_250]

    def job(by):
        return lambda lab: one_cost(lab, by)

    # The order alternates, so that a lab that becomes slower changes both results equally
    pairs = [[RECORD, KVM], [KVM, RECORD]] * (PAIRS // 2)
    results = in_labs('protocols_cost', [], [job(by) for by in measured * TURNS + sum(pairs, [])])
    turns = [dict(zip(measured, results[i:])) for i in range(0, len(measured) * TURNS, len(measured))]
    pairs = [dict(zip(pair, results[len(measured) * TURNS + 2 * i:])) for i, pair in enumerate(pairs)]
    for by in measured:
        ms, exits, ends = zip(*(turn[by] for turn in turns))
        figure(f'synchronisation: {by.name}: CPU {spread(ms)} ms, exits {spread(exits)}, before and after '
               f'{spread(ends)}')
    for figures, unit, most in (0, ' ms of CPU', 1), (1, ' exits', 50), (2, ' exits before and after', 600):
        more = [pair[RECORD][figures] - pair[KVM][figures] for pair in pairs]
        claim(statistics.median(more) <= most,
              f'synchronisation: {RECORD.name} to {KVM.name}: {spread(more)} more{unit} in {SECONDS} s')
    idle = statistics.median(turn[NONE][1] for turn in turns)
    for ours, theirs in (HOOK, KVM_250), (HOOK, KVM_50), (HOOK, PTP_250), (HOOK_250, KVM_250), (HOOK_50, KVM_50):
        ms = [turn[ours][0] / turn[theirs][0] for turn in turns]
        exits = [(turn[ours][1] - idle) / (turn[theirs][1] - idle) for turn in turns]
        text = f'synchronisation: {ours.name} to {theirs.name}: ratios CPU {spread(ms, 2)}, exits {spread(exits, 2)}'
        if ours is HOOK:
            claim(statistics.median(ms) < 1 and statistics.median(exits) < 1, text)
        else:
            figure(text)


def one_cost(lab, by):
    """The CPU time in ms and the guest's exits during the recording, and its exits before and after.

    The CPU time is that of the threads of the recording process and of its parent, which is record. The recorders are
    separate processes and do not count. KVM itself counts the exits.
    """
    exits = f'$(cat {lab.kvm_directory("g1")}/exits)'
    seen = f'''
sum=0
parent=$(sed -n 's/^PPid:\\s*//p' /proc/$PPID/status)
[ "$(cat /proc/$parent/comm)" = tsc-offset ] || parent=
for file in /proc/$PPID/task/*/schedstat ${{parent:+/proc/$parent/task/*/schedstat}}; do
	read -r ns _ < $file
	sum=$((sum + ns))
done
printf "\\ncost %s %s\\n" {exits} $sum
'''
    # A recording with as few events as possible
    recording = recorded(lab, by, f'{seen} sleep {SECONDS} {seen}',
                         f'printf "cost %s 0\\n" {exits}; {{}}; status=$?; printf "\\ncost %s 0\\n" {exits}; '
                         'exit $status', host_events='-e kvm:kvm_write_tsc_offset',
                         guest_events='-e sched:sched_process_exec')
    counts = [(int(exits), int(ns)) for exits, ns in re.findall(r'^cost (\d+) (\d+)$', recording.run.out, re.M)]
    if len(counts) != 4:
        return lab.begin_anew(f'not understood:\n{recording.run.out}')
    before, begin, end, after = counts
    exits = end[0] - begin[0]
    return (end[1] - begin[1]) / 1e6, exits, after[0] - before[0] - exits


def main():
    {'order': order, 'cost': cost}[sys.argv[1]]()
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
