# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""What the readers of both Debians show of a host's file together with a guest's file."""
import re

import trace_dat
from trace_dat import Event

ROW = re.compile(r'(?P<stream>\d+) (?P<cpu>\d+) (?P<tid>-?\d+) (?P<time>-?\d+) \w+/(?P<event>\w+) (?P<text>.*)')


def by_report(debian, *files):
    words = [word for file in files for word in ('-i', file)]
    out = debian.run('trace-cmd', 'report', '-N', *words).stdout
    return [Event(m['file'], int(m['tid']), int(m['cpu']), int(m['time']), m['event'], m['text'])
            for m in map(trace_dat.LINE.match, out.splitlines()) if m]


def by_kernelshark(debian, *files):
    out = debian.run(debian.build / 'tests/compat/kshark_rows', *files).stdout
    return [Event(str(files[int(m['stream'])]), int(m['tid']), int(m['cpu']), int(m['time']), m['event'], m['text'])
            for m in map(ROW.match, out.splitlines()) if m]


READERS = {'trace-cmd report': by_report, 'KernelShark': by_kernelshark}


def times(events):
    """The parts that must be equal in all readers. The order of two events at the same time may differ."""
    return sorted((event.time, event.cpu, event.tid, event.event) for event in events)
