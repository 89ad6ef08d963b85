#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The cost of stamp, show, check, explain and export: offline.py TSC-OFFSET [DIRECTORY].

It prints ratios of times that were measured in turn. Each time is the minimum of several runs.
"""
import os
import sys

sys.path.append(sys.path[0] + '/../lib')
from benchmark import QUICK, claim, claims_fail, least, memory, on_disk, run
from scenario import Scenario

TOOL = sys.argv[1]
EVENTS = 2_000_000 if QUICK else 10_000_000
# Sizes of a small and a large guest's file that stamp changes in place
SMALL, LARGE = 5, 57 if QUICK else 570
# Claims
STAMP_RATIO, FASTER, REWRITE_FASTER, EXPORT_FASTER = 1.10, 10, 5, 3
REWRITE_MORE_KIB = 1024
# Claim for a file of ten times the size: at most 2.3 MiB of guest modes are in memory, the rest is noise
MORE_KIB = 4096


def traces(directory, **size):
    directory = os.path.join(directory, *(f'{name}={value}' for name, value in size.items()))
    os.makedirs(directory, exist_ok=True)
    truth = Scenario(bulk=True, stays=200, idle=0, vcpus=4, changes=20, **size).write(directory)
    totals = [sum(file['counts'].values()) for file in [truth['host'], *truth['guests']]]
    host, guest = (os.path.join(directory, name) for name in ('host.dat', 'g1.dat'))
    run('sync')
    return host, guest, totals


def bench_stamp(directory):
    """stamp --in-place, for a small and a large guest's file of equal hosts' files"""
    pairs = [traces(directory, segments=69, guest_events=events)[:2] for events in (SMALL, LARGE)]
    sizes = [os.path.getsize(guest) >> 20 for _, guest in pairs]
    few, many = least(25, *([TOOL, 'stamp', '--in-place', *pair] for pair in pairs))
    claim(many <= STAMP_RATIO * few, f'stamp in place: {sizes[1]} MiB {many * 1000:.2f} ms, '
            f'{sizes[0]} MiB {few * 1000:.2f} ms: ratio {many / few:.3f}')


def bench_rewrite(directory):
    """Guests' files of two sizes, with equal hosts' files"""
    pairs = [traces(directory, segments=69, guest_events=events) for events in (5, 57)]
    commands = [[TOOL, 'stamp', '--rewrite', *pair[:2]] for pair in pairs]
    (_, guest, (_, events)) = pairs[1]
    report, rewrite = least(3, ['trace-cmd', 'report', '-i', guest], commands[1])
    claim(report >= REWRITE_FASTER * rewrite, f'rewriting of {events} events {rewrite:.2f} s, trace-cmd report '
          f'{report:.2f} s: {report / rewrite:.1f} times faster')
    few, many = (memory(*command) for command in commands)
    claim(many - few <= REWRITE_MORE_KIB,
          f'rewriting: {many} KiB at most for {events} events, {few} KiB for {pairs[0][2][1]}')


def bench_readers(directory):
    host, guest, totals = traces(directory, events=EVENTS)
    run(TOOL, 'stamp', '--in-place', host, guest)
    report, show = least(2, ['trace-cmd', 'report', '-i', host], [TOOL, 'show', host])
    claim(report >= FASTER * show,
            f'show {show:.2f} s, trace-cmd report {report:.2f} s: {report / show:.1f} times faster')
    report, check = least(2, ['trace-cmd', 'report', '-i', host, '-i', guest],
                          [TOOL, 'check', host, guest])
    claim(report >= FASTER * check, f'check of {sum(totals)} events {check:.2f} s, trace-cmd report '
            f'{report:.2f} s: {report / check:.1f} times faster')
    small_host, small_guest, few = traces(directory, events=EVENTS // 10)
    run(TOOL, 'stamp', '--in-place', small_host, small_guest)
    large = memory(TOOL, 'check', host, guest)
    small = memory(TOOL, 'check', small_host, small_guest)
    claim(large - small <= MORE_KIB, f'check: {large} KiB at most for {totals[0]} events of the host and {totals[1]} '
          f'of the guest, {small} KiB for {few[0]} and {few[1]}')


def bench_merged(directory, faster, verb, *options):
    """A verb that reads host and guest in the order of host time: compared with a report of them, and by size"""
    pairs = [traces(directory, events=events) for events in (EVENTS // 10, EVENTS)]
    for host, guest, _ in pairs:
        run(TOOL, 'stamp', '--in-place', host, guest)
    (*_, few), (host, guest, totals) = pairs
    report, seconds = least(3, ['trace-cmd', 'report', '-i', host, '-i', guest], [TOOL, verb, *options, host, guest])
    claim(report >= faster * seconds, f'{verb} of {sum(totals)} events {seconds:.2f} s, trace-cmd report '
            f'{report:.2f} s: {report / seconds:.1f} times faster')
    small, large = (memory(TOOL, verb, *options, *pair[:2]) for pair in pairs)
    claim(large - small <= MORE_KIB, f'{verb}: {large} KiB at most for {totals[0]} events of the host and {totals[1]} '
          f'of the guest, {small} KiB for {few[0]} and {few[1]}')


def main():
    with on_disk(*sys.argv[2:]) as directory:
        bench_stamp(directory)
        bench_rewrite(directory)
        bench_readers(directory)
        bench_merged(directory, FASTER, 'explain')
        bench_merged(directory, EXPORT_FASTER, 'export', '--perfetto', os.path.join(directory, 'out.pftrace'))
    return claims_fail()


if __name__ == '__main__':
    sys.exit(main())
