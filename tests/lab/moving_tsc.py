#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The main case: a guest whose TSC moves forward at random times by random amounts, on each vCPU.

Proves that the merged report is in order, and that each sync point of TIME_SHIFT agrees with the kernel's events. The
control is the stock protocol in the same lab.
"""
import bisect
import re
import shlex
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from debian_suite import NotToBeHad, trace_cmd
from exported import export
from recording import check, in_order, main, probes, signed, verdict

# More than 10 s; the guest's TSC is moved every 200 to 800 ms on each vCPU
WORKLOAD = probes('g1', 700, 14000)
MOVES = 16
# An event that is at least this many cycles from a change is certainly before or after it
MARGIN = 1000000


def offset_events(rows):
    """Per vCPU, the events of the host's file: (thread, time, previous, next)."""
    vcpus = {}
    for tid, ts, event, text in rows:
        if event == 'kvm_write_tsc_offset':
            vcpu, previous, following = re.findall(r'=(\d+)', text)
            vcpus.setdefault(int(vcpu), []).append((tid, ts, signed(previous), signed(following)))
    return vcpus


def steps(points):
    """The changes that sync points describe: (guest time of the first new value, correction)."""
    return [(ts, correction) for (_, before), (ts, correction) in zip(points, points[1:])
            if correction != before]


def outside(tid, ts, rows):
    """The last exit before and the first entry after a host time, of one vCPU's thread."""
    exits = [t for thread, t, event, _ in rows if thread == tid and event == 'kvm_exit' and t <= ts]
    entries = [t for thread, t, event, _ in rows
               if thread == tid and event == 'kvm_entry' and t >= ts]
    return (exits or [0])[-1], (entries or [1 << 64])[0]


def with_events(changes, times):
    """For each change, whether an event shows its result: one that was recorded well within its time."""
    ends = [ts for _, ts, _, _ in changes[1:]] + [1 << 64]
    times = sorted(times)
    shown = []
    for (_, ts, _, _), end in zip(changes, ends):
        at = bisect.bisect_right(times, ts + MARGIN)
        shown.append(at < len(times) and times[at] < end - MARGIN)
    return shown


def matched(corrections, changes):
    """The change for each correction; all are there in this order, but some changes may have no correction"""
    found, at = [], 0
    for correction in corrections:
        while at < len(changes) and -changes[at][3] != correction:
            at += 1
        if at == len(changes):
            return None
        found.append(at)
        at += 1
    return found


def check_points(recording, guest):
    """Compare the sync points with the events of the host's file, which began later and may end later."""
    rows = recording.host_events()
    events = offset_events(rows)
    vcpus, flags = recording.points(guest)
    check(flags == 1 and len(vcpus) == 2, 'TIME_SHIFT is there, interpolated, for 2 vCPUs')
    check(len(vcpus[0]) == len(vcpus[1]), f'both vCPUs have {len(vcpus[0])} points')
    right = misplaced = 0
    for vcpu, points in enumerate(vcpus):
        changes = [event for event in events[vcpu] if event[2] != event[3]]
        values = [points[0][1]] + [correction for _, correction in steps(points)]
        first = values.index(-changes[0][2]) if -changes[0][2] in values else 0
        found = matched(values[first + 1:], changes)
        shown = with_events(changes, recording.cpu_times(guest, vcpu))
        check(found is not None and values[first] == -changes[0][2],
              f'vCPU {vcpu}: the corrections are those of {len(found or [])} events, to the cycle')
        lost = [changes[at] for at, is_shown in enumerate(shown) if is_shown and at not in (found or [])]
        check(not lost, f'vCPU {vcpu}: of {len(changes)} changes {sum(shown)} have events of the guest, all of these are '
              f'there {lost}')
        for (ts, correction), at in zip(steps(points)[first:], found or []):
            tid, _, _, following = changes[at]
            # The times of an event in record's instance and in the recording differ slightly
            before, after = outside(tid, ts - following, rows)
            misplaced += not before < ts + correction < after
            right += 1
    check(right and not misplaced,
          f'{right} changes lie between the kvm_exit and the kvm_entry around them')
    return events


def random_moves(lab):
    lab.guests(g1='--moves 1')
    ours = lab.record('ours', {'g1': 3}, WORKLOAD)
    in_order(ours, 'ours', at_least=1000)
    events = check_points(ours, 'g1')
    check(min(len(own) for own in events.values()) >= MOVES,
          f'{sum(len(own) for own in events.values())} changes, at least {MOVES} on each vCPU')
    span = [ts for _, ts, _, _ in ours.host_events()]
    print(f'the host recorded {(span[-1] - span[0]) / 1e9:.1f}e9 cycles')
    check(ours.finished('g1'), f'record has no doubt: {ours.run.said("")}')

    status, violations, bounds = ours.violations('g1')
    check(status == 0 and not violations, f'tsc-offset check agrees: {violations} violations, may be moved by '
          f'{bounds} cycles')
    # The export has all probes that were not lost; the report of the same recording has all of them in order
    order = export(ours)[2]
    check(not order['out_of_order'] and order['probes'] >= 1000, verdict('ours, exported', order))

    recorded = lab.record('stock', {'g1': 3}, WORKLOAD, how='stock')
    stock = recorded.order()
    check(stock['out_of_order'] > 100, 'control: ' + verdict('stock', stock))
    status, violations, _ = recorded.violations('g1')
    check(status == 3 and violations > 100, f'control: tsc-offset check of it: {violations} violations')
    # With wrong times a system call that moves to another CPU can end before it begins
    order = export(recorded, but=['misplaced_end_event'])[2]
    if recorded.points('g1')[0]:
        check(order['out_of_order'] > 0.9 * order['probes'] > 900, 'control: ' + verdict('stock, exported', order))
    else:
        # Its protocol may fail on a busy machine. Of such a file, export computes the times, and reports that.
        check(not order['out_of_order'] and order['probes'] > 1000, verdict('stock, unsynchronised, exported', order))
    check(lab.instances() == [], 'no tracefs instance is left')


def own_moves(lab):
    """The guest itself moves its TSC, but not after the recording."""
    lab.guests(g2='--cid 4')
    # The moves are larger than the time for which a busy machine can delay a vCPU between the reading and the writing
    # of its TSC. Their sums are equal: a vCPU whose TSC stays behind has interrupts of its timer all the time.
    moves = "guest-run g2 'move-tsc 0 520000000; move-tsc 1 1120000000; move-tsc 0 600000000'"
    workload = f"{probes('g2', 30, 10000)}; {moves}; {probes('g2', 30, 10000, base=0x800)}"
    own = lab.record('own', {'g2': 4}, workload, options='--tsync-interval 250')
    in_order(own, 'a guest that writes its TSC, with --tsync-interval 250', at_least=120)
    check_points(own, 'g2')
    check([-points[-1][1] for points in own.points('g2')[0]] == lab.debugfs_offsets('g2'),
          'the last corrections are what debugfs says now')
    check(own.finished('g2', 3), f'record says how many changes there were, and has no doubt: {own.run.said("")}')

    # record adds -C x86-tsc --tsc2nsec, so that the clock does not depend on whether trace-cmd finds the process of the
    # guest. This trace-cmd exports nothing of its time synchronisation, like one built with Meson.
    lab.call('run', "sed s/tracecmd_tsync/xracecmd_tsync/g $(command -v trace-cmd) > hidden && chmod +x hidden")
    seconds = lab.record('seconds', {'g2': 4}, workload, clock='', environment='TRACE_CMD=../hidden')
    in_order(seconds, 'without a clock', at_least=120)
    check('.' in seconds.report('-F', 'kvm_entry').split('[', 1)[1].split(': kvm', 1)[0],
          'its report is in seconds')
    stock = lab.record('hidden-stock', {'g2': 4}, workload, start='../hidden').order()
    check(stock['out_of_order'] > 10, 'control: ' + verdict('its own protocol', stock))

    check(lab.instances() == [], 'no tracefs instance is left')


def newest_trace_cmd(lab):
    """The trace-cmd of Debian sid on the host"""
    try:
        words = trace_cmd('sid')
    except NotToBeHad as error:
        print(f'newest_trace_cmd skipped: {error}')
        return
    lab.guests(g2='--cid 4')
    lab.call('run', f"printf '%s\\n' '#!/bin/sh' 'exec {shlex.join(words)} \"$@\"' > trace-cmd-sid && chmod +x trace-cmd-sid")
    moves = "guest-run g2 'move-tsc 0 520000000; move-tsc 1 520000000'"
    workload = f"{probes('g2', 20, 10000)}; {moves}; {probes('g2', 30, 10000, base=0x800)}"
    version = re.search(r'version (\S+)', lab.run('./trace-cmd-sid --version').out)[1]
    check(version != re.search(r'version (\S+)', lab.run('trace-cmd --version').out)[1], f"it is sid's: {version}")
    ours = lab.record('newest', {'g2': 4}, workload, environment='TRACE_CMD=../trace-cmd-sid')
    in_order(ours, f'trace-cmd {version}', at_least=100)
    check(ours.finished('g2', 2), f'trace-cmd {version}: record has no doubt: {ours.run.said("")}')
    stock = lab.record('newest-stock', {'g2': 4}, workload, start='../trace-cmd-sid').order()
    check(stock['out_of_order'] > 10, 'control: ' + verdict(f"trace-cmd {version}'s own protocol", stock))
    check(lab.instances() == [], 'no tracefs instance is left')


main(random_moves, own_moves, newest_trace_cmd)
