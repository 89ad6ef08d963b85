# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Files that stamp --rewrite wrote: the times in reports, stamp's messages about them, and whether they are correct."""
import bisect
import collections
import re
import subprocess

import trace_dat

CYCLES = r'([\d,]+) cycles'
JUMP = re.compile(r'CPU (\d+)(?: in instance "?(\w+)"?)?: its TSC jumped backward within a page of the ring buffer: '
                  r'the (\d+) events? from host TSC (\d+) on '
                  rf'may be up to {CYCLES} earlier or {CYCLES} later')
MORE_JUMPS = 'more such jumps'


def report_of(path, names):
    """{(buffer, CPU): [time]} in the order of trace-cmd report, which is that of each stream"""
    out = subprocess.run(['trace-cmd', 'report', '-N', '-i', path], check=True, text=True, errors='replace',
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = collections.defaultdict(list)
    lost = ''
    for line in out.splitlines():
        # Names are padded to the longest of them
        line = line.lstrip()
        buffer = next((name for name in names if line.startswith(f'{name}:')), '')
        m = trace_dat.LINE.match(line[len(buffer) + bool(buffer):])
        # The line of lost events has the name of the event after it
        buffer, lost = buffer or lost, '' if m else buffer
        if m:
            found[buffer, int(m['cpu'])].append(int(m['time']))
    return found


def truth_of(scenario, vm, page_size=4096, long_size=8, **_):
    """{(buffer, CPU): [event]} in the order of each stream; the parameters are those of scenario.write()"""
    wanted = {}
    names, cpus = scenario._recording(vm)
    for buffer in names:
        for cpu in cpus:
            events = []
            for _ in scenario._pages(vm, cpu, buffer, page_size, long_size, events):
                pass
            if events:
                wanted[buffer, cpu] = events
    return wanted


def jumps_of(words):
    """{(buffer, CPU): [(events, host TSC of the first, cycles earlier, cycles later)]} from stamp's messages"""
    jumps = collections.defaultdict(list)
    for m in JUMP.finditer(words):
        jumps[m[2] or '', int(m[1])].append(tuple(int(text.replace(',', '')) for text in m.groups()[2:]))
    return jumps


def other_doubts(words):
    """stamp's output without the messages about events after a jump within a page"""
    of_jumps = JUMP, re.compile('it is unknown whether .* precede or follow another jump'), re.compile(MORE_JUMPS)
    return [line for line in words.splitlines() if not any(text.search(line) for text in of_jumps)]


def bounds_of(times, jumps, ahead=0):
    """{number of an event: (cycles earlier, cycles later)} of the events after a jump; ahead: constant that readers
    add to times"""
    bounds = {}
    for nr, first, earlier, later in jumps:
        # Rounding may move the first event
        begin = bisect.bisect_left(times, first + ahead - 2)
        for i in range(begin, min(begin + nr, len(times))):
            bounds[i] = earlier + 2, later + 2
    return bounds
