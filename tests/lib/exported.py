# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Exports compared with trace-cmd report of the same files: the number of rows of each event in Perfetto's tables"""
import collections
import re
import subprocess

from case import TOOL
from recording import check, order_of
import perfetto_trace
import trace_dat
import trace_processor

LINE = re.compile(r'.*-\d+\s+\[\d+\]' + trace_dat.FLAGS + r'\s*[\d.]+: (\w+):.*')
EVENTS = '''select m.raw_id, e.name, count(*) from ftrace_event e join cpu c using (ucpu)
    join machine m on m.id = c.machine_id group by 1, 2'''
SCHED = '''select m.raw_id, count(*) from sched s join cpu c using (ucpu) join machine m on m.id = c.machine_id
    group by 1'''
RUNS = '''select m.raw_id, count(*) from thread_state s join cpu c using (ucpu) join machine m on m.id = c.machine_id
    where state = 'Running' group by 1'''
# A trace with the same events as slices needed 205 bytes for each
BYTES_PER_EVENT = 205 / 2


def reported(*paths):
    """How often trace-cmd report shows each event, for each file"""
    counts = collections.Counter()
    for machine, path in enumerate(paths):
        out = subprocess.run(['trace-cmd', 'report', '-N', '-i', path], check=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, errors='replace').stdout
        for match in filter(None, map(LINE.match, out.splitlines())):
            counts[machine, match[1]] += 1
            counts[machine, 'a thread runs'] += bool(re.search(r'==>.* next_pid=[1-9]', match[0]))
    return +counts


def tables(trace):
    """The same for Perfetto's table ftrace_event. And for sched and thread_state: lists of pairs of the number of
    rows and the event that causes them."""
    events, *others = trace_processor.query(trace, EVENTS, SCHED, RUNS)
    return {(int(machine), name): int(nr) for machine, name, nr in events}, [
        ({int(machine): int(nr) for machine, nr in rows}, event)
        for rows, event in zip(others, ('sched_switch', 'a thread runs'))]


def differences(trace, *paths):
    """Differences between the report of files and Perfetto's tables of their export"""
    counts = reported(*paths)
    events, others = tables(trace)
    found = list(events.items() ^ {key: nr for key, nr in counts.items() if key[1] != 'a thread runs'}.items())
    for rows, event in others:
        found += rows.items() ^ {machine: nr for (machine, name), nr in counts.items() if name == event}.items()
    return found


def export(recording, but=()):
    """Export a recording of the lab, and compare: exit status, contents, and probe-order's verdict on the events in
    Perfetto's order. BUT: accepted complaints of Perfetto"""
    out = recording.host.with_name('out.pftrace')
    paths = recording.host, *recording.guests.values()
    done = subprocess.run([TOOL, 'export', '--perfetto', out, *paths], capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end='')
    trace = perfetto_trace.Trace(out)
    lines = sum(nr for (_, name), nr in reported(*paths).items() if name != 'a thread runs')
    check(len(trace.events) == lines, f'{len(trace.events)} ftrace events of {lines}, '
          f'{trace.size / max(lines, 1):.0f} bytes of the trace for each')
    check(trace.size <= BYTES_PER_EVENT * lines, 'which is at most half of what slices took')
    try:
        opened = trace_processor.Opened(out)
    except trace_processor.NotHere as error:
        print(f"not tried: Perfetto's own trace processor: {error}")
        return done.returncode, trace, order_of(trace.report())
    if trace.losses:
        but = 'ftrace_cpu_has_data_loss', 'mismatched_sched_switch_tids', *but
    problems = [problem for problem in opened.problems if problem.name not in but]
    check(not problems and len(opened.events) == lines,
          f'{trace_processor.version()} of Perfetto\'s trace processor: {len(opened.events)} events, '
          f'nothing wrong: {problems}')
    # Equal times of several CPUs can be in any order
    found, wanted = (sorted((event[:5] for event in events), key=lambda event: (event[3], event[0], event[2]))
                     for events in (opened.events, trace.events))
    check(found == wanted, 'in the order that the file has')
    wrong = differences(out, *paths)
    check(not wrong, f'its tables ftrace_event, sched and thread_state have what trace-cmd report counts: {wrong[:5]}')
    return done.returncode, trace, order_of(opened.report())
