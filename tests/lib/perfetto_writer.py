# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Writes Perfetto traces of several machines for tests, like export: by the field numbers of Perfetto's schema.

    writer = Writer()
    writer.machine(1, 'Linux', '6.1.0')
    writer.event(1, cpu, time, pid, 'sched_switch', dict(prev_comm='a', prev_pid=1, ...))
    writer.thread_slice(tid, pid, 'guest mode', begin, end, vm='2010', vcpu=0)
    writer.lost(machine, cpu, begin, end)
    writer.write(path)
"""
import collections

SWITCH = dict(prev_comm=1, prev_pid=2, prev_prio=3, prev_state=4, next_comm=5, next_pid=6, next_prio=7)
WAKE = dict(comm=1, pid=2, prio=3, success=4, target_cpu=5)
# Number of the event's message, and those of its fields
EVENTS = {
    'sched_switch': (4, SWITCH),
    'sched_wakeup': (17, WAKE),
    'sched_waking': (20, WAKE),
    'sched_wakeup_new': (114, WAKE),
    'task_newtask': (235, dict(pid=1, comm=2, clone_flags=3, oom_score_adj=4)),
    'sched_process_free': (240, dict(comm=1, pid=2, prio=3)),
    'sched_migrate_task': (491, dict(comm=1, pid=2, prio=3, orig_cpu=4, dest_cpu=5)),
}
GENERIC = 327
HOST_SEQUENCE, SEQUENCES_OF_MACHINE = 1, 1000
BEGIN, END = 1, 2
# The trace processor requires that events of one CPU are together
BUNDLE = 1000


def varint(value):
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7f:
        found.append(value & 0x7f | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def put(field, value):
    return number(field, value) if isinstance(value, int) else message(field, value)


def ftrace_event(time, pid, name, fields):
    if name in EVENTS:
        event, numbers = EVENTS[name]
        body = b''.join(put(numbers[field], value) for field, value in fields.items())
    else:
        event = GENERIC
        body = message(1, name) + b''.join(
            message(2, message(1, field) + put(4 if isinstance(value, int) else 3, value))
            for field, value in fields.items())
    return number(1, time) + number(2, pid) + message(event, body)


class Writer:
    def __init__(self):
        self.packets = []
        self.cpus = collections.defaultdict(list)
        self.tracks = {}
        self.items = []

    def packet(self, machine, data, sequence=0):
        identity = number(10, HOST_SEQUENCE + machine * SEQUENCES_OF_MACHINE + sequence)
        self.packets.append(data + identity + (number(98, machine) if machine else b''))

    def machine(self, machine, name, release):
        utsname = message(1, name) + message(4, 'x86_64') + message(3, release)
        self.packet(machine, message(45, message(1, utsname)))

    def event(self, machine, cpu, time, pid, name, fields):
        self.cpus[machine, cpu].append(ftrace_event(time, pid, name, fields))

    def track(self, machine, key, descriptor):
        if (machine, key) not in self.tracks:
            uuid = self.tracks[machine, key] = len(self.tracks) + 1
            self.packet(machine, message(60, number(1, uuid) + descriptor), 900)
        return self.tracks[machine, key]

    def slice(self, machine, track, name, begin, end, details):
        annotations = b''.join(message(4, message(10, key) + (number(4, value) if isinstance(value, int) else
                                                              message(6, value)))
                               for key, value in details.items() if value is not None)
        event = number(11, track)
        # At equal times: the end of a slice, slices of 0 ns, the begin of another
        empty = begin == end
        self.items.append((begin, 1 if empty else 3, machine, number(9, BEGIN) + event + message(22, 'tsc-offset') +
                           message(23, name) + annotations))
        self.items.append((end, 2 if empty else 0, machine, number(9, END) + event))

    def thread_slice(self, tid, pid, name, begin, end, **details):
        track = self.track(0, tid, message(4, number(1, pid) + number(2, tid)))
        self.slice(0, track, name, begin, end, details)

    def lost(self, machine, cpu, begin, end):
        track = self.track(machine, f'CPU {cpu}, events lost', message(2, f'CPU {cpu}, events lost'))
        self.slice(machine, track, 'events lost', begin, end, dict(machine=machine, cpu=cpu))

    def write(self, path):
        for (machine, cpu), events in sorted(self.cpus.items()):
            for at in range(0, len(events), BUNDLE):
                bundle = number(1, cpu) + b''.join(message(2, event) for event in events[at:at + BUNDLE])
                self.packet(machine, message(1, bundle), cpu)
        for time, _, machine, event in sorted(self.items, key=lambda item: item[:2]):
            self.packet(machine, number(8, time) + message(11, event), 900)
        with open(path, 'wb') as file:
            file.write(b''.join(message(1, packet) for packet in self.packets))


def write_history(path, history, events, losses, spans):
    """A generated history (vm_history), in export's format"""
    writer = Writer()
    files = [0, *(guest.number for guest in history.guests if guest.has_file)]
    for machine in files:
        writer.machine(machine, 'Linux', '6.1.0')
    for event in events:
        if event.machine in files:
            writer.event(event.machine, event.cpu, event.time, event.pid, event.name, event.fields)
    for span in spans:
        writer.thread_slice(span.tid, span.pid, span.name, span.begin, span.end, vm=span.vm, vcpu=span.vcpu,
                            machine=span.machine, guest_cpu=span.guest_cpu, exit_reason=span.exit_reason,
                            cause=span.cause)
    for loss in losses:
        if loss.machine in files:
            writer.lost(*loss)
    writer.write(path)
