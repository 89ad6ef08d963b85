# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""trace.dat files for tests: trace-cmd's reports of them, and a copy with one more option.

Only version 7, little endian, like the recordings in tests/data.
"""
import collections
import re
import struct
import subprocess

DONE, TRACEID, TIME_SHIFT = 0, 11, 12
SECTION = struct.Struct('<HHIQ')
OPTION = struct.Struct('<HI')

# With the x86-tsc clock there is no space between the CPU and the timestamp; newer versions of trace-cmd have flags
# there, five or more, or with -R a number.
FLAGS = r'(?:-0x[0-9a-f]+|\s[^\d\s]\S{4,6}?(?=\s|\d))?'
LINE = re.compile(r'\s*(?:(?P<file>\S+\.dat):\s+)?.*-(?P<tid>\d+)\s+\[(?P<cpu>\d+)\]' + FLAGS +
                  r'\s*(?P<time>\d+): (?P<event>\w+):\s*(?P<text>.*)')
Event = collections.namedtuple('Event', 'file tid cpu time event text')


def options(data):
    """(id, position of the payload, its size) of all options in the chain of sections"""
    version, at = data[:12].split(b'\0')[0][10:], 12
    if data[:10] != b'\x17\x08\x44tracing' or version != b'7' or data[at]:
        raise ValueError('not a little-endian trace.dat of version 7')
    at += 1 + 1 + 4
    for _ in 'name', 'version':  # of the compression
        at = data.index(b'\0', at) + 1
    section, = struct.unpack_from('<Q', data, at)
    while section:
        at, section = section + SECTION.size, 0
        option = None
        while option != DONE:
            option, size = OPTION.unpack_from(data, at)
            at += OPTION.size
            yield option, at, size
            if option == DONE:
                section, = struct.unpack_from('<Q', data, at)
            at += size


def trace_id(path):
    with open(path, 'rb') as file:
        data = file.read()
    return next(struct.unpack_from('<Q', data, at)[0]
                for option, at, _ in options(data) if option == TRACEID)


def last_link(data):
    """The offset of the link that ends a file's options"""
    return [at for option, at, _ in options(data) if option == DONE][-1]


def with_time_shift(source, target, payload):
    """Write a copy of the file source with one more TIME_SHIFT, which overrides older ones"""
    with open(source, 'rb') as file:
        data = bytearray(file.read())
    link = last_link(data)
    struct.pack_into('<Q', data, link, len(data))
    body = OPTION.pack(TIME_SHIFT, len(payload)) + payload + OPTION.pack(DONE, 8) + bytes(8)
    with open(target, 'wb') as file:
        file.write(data + SECTION.pack(0, 0, 0, len(body)) + body)


def report(*arguments):
    """The events that trace-cmd report prints, in its order"""
    out = subprocess.run(['trace-cmd', 'report', '-N', *arguments], check=True, errors='replace',
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return [Event(m['file'], int(m['tid']), int(m['cpu']), int(m['time']), m['event'], m['text'])
            for m in map(LINE.match, out.splitlines()) if m]


def differing(scenario, vm, path, tolerance=0):
    """(number of events that report shows at a wrong time, number of all events)"""
    wrong = total = 0
    tolerance = max(tolerance, 2 if vm.ratio else 0)
    events = scenario.events(vm.name)
    for vcpu in vm.vcpus:
        wanted = [event.host_tsc for event in events if event.cpu == vcpu.index]
        found = [event.time for event in report('-i', path, '--cpu', str(vcpu.index))]
        total += len(wanted)
        wrong += abs(len(wanted) - len(found))
        wrong += sum(abs(a - b) > tolerance for a, b in zip(wanted, found))
    return wrong, total


def probes(events):
    """The number of probes in a merged report, and how many of them are out of order"""
    access, marks, last_exit, pending = {}, {}, {}, {}
    for place, event in enumerate(events):
        here = event.time, place
        if event.event == 'kvm_exit':
            last_exit[event.tid] = here
        elif event.event == 'kvm_pio' and (m := re.search(r'0x5f0 .*val 0x([0-9a-f]+)', event.text)):
            key = int(m[1], 16)
            pending[event.tid] = [last_exit.get(event.tid), here]
            access.setdefault(key, []).append(pending[event.tid])
        elif event.event == 'kvm_entry' and event.tid in pending:
            pending.pop(event.tid).append(here)
        elif m := re.search(r'probe ([ab]) ([0-9a-f]+)', event.text):
            marks.setdefault((m[1], int(m[2], 16)), []).append(here)

    total = out_of_order = 0
    for key, accesses in access.items():
        befores, afters = marks.get(('b', key), []), marks.get(('a', key), [])
        # The guest's k-th probe with a key is the host's k-th
        for before, seen, after in zip(sorted(befores), accesses, sorted(afters)):
            order = [before, *seen, after]
            total += 1
            out_of_order += None in order or len(order) != 5 or order != sorted(order)
    return total, out_of_order
