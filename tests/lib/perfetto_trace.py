# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Perfetto traces for tests, read by the field numbers of Perfetto's public schema instead of those in our writer.
Unknown contents are an error.

    machines  description of each, by number: 0 is the host
    events    ftrace events, by time; equal times in the order of the file
    losses    (machine, CPU) of each bundle before which events were lost
    tracks    name, parent and more of each, by uuid; for a counter the unit, for a thread pid and tid
    items     contents of tracks: (time, what, machine, track, name, details or value), by time, equal times in
              the order of the file
"""
import collections
import os

Field = collections.namedtuple('Field', 'name kind repeated', defaults=[False])
Item = collections.namedtuple('Item', 'time what machine track name details')
Slice = collections.namedtuple('Slice', 'machine track begin end name details')
Event = collections.namedtuple('Event', 'machine tid cpu time event fields native')

VARINT, BYTES = 0, 2
NAMED = {1: Field('iid', 'uint'), 2: Field('name', str)}
INTERNED = {1: Field('categories', NAMED, True), 2: Field('names', NAMED, True),
            3: Field('details', NAMED, True), 29: Field('texts', NAMED, True)}
ANNOTATION = {1: Field('name', 'uint'), 4: Field('value', 'int'), 17: Field('text', 'uint')}
TRACK_EVENT = {3: Field('categories', 'uint', True), 4: Field('details', ANNOTATION, True), 9: Field('type', 'int'),
               10: Field('name', 'uint'), 11: Field('track', 'uint'), 30: Field('value', 'int')}
COUNTER = {6: Field('unit', str)}
THREAD = {1: Field('pid', 'int'), 2: Field('tid', 'int'), 5: Field('name', str)}
DESCRIPTOR = {1: Field('uuid', 'uint'), 2: Field('name', str), 4: Field('thread', THREAD), 5: Field('parent', 'uint'),
              8: Field('counter', COUNTER), 11: Field('ordering', 'int'), 12: Field('rank', 'int'),
              14: Field('description', str), 15: Field('merge', 'int')}
UTSNAME = {1: Field('sysname', str), 3: Field('release', str), 4: Field('machine', str)}
SYSTEM = {1: Field('utsname', UTSNAME), 8: Field('cpus', 'uint'), 17: Field('name', str)}
FIELD = {1: Field('name', str), 3: Field('number', 'int'), 4: Field('label', 'int'), 5: Field('type', 'int')}
MESSAGE = {1: Field('name', str), 2: Field('fields', FIELD, True)}
DESCRIBED = {1: Field('number', 'int'), 2: Field('message', MESSAGE), 3: Field('group', str)}
BUNDLE = {1: Field('cpu', 'uint'), 2: Field('events', bytes, True), 3: Field('lost', 'uint'),
          11: Field('described', DESCRIBED, True)}
PACKET = {1: Field('bundle', BUNDLE), 8: Field('timestamp', 'uint'), 10: Field('sequence', 'uint'),
          11: Field('event', TRACK_EVENT), 12: Field('interned', INTERNED), 13: Field('flags', 'uint'),
          45: Field('system', SYSTEM), 60: Field('track', DESCRIPTOR), 98: Field('machine', 'uint')}
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4
CLEARED, NEEDED = 1, 2
FIRST_DESCRIBED = 65536
# The types of FieldDescriptorProto.Type
TYPES = {3: 'int', 4: 'uint', 9: str}


def numbered(text):
    """{number: field} of "name number kind ..." """
    words = text.split()
    return {int(number): Field(name, {'text': str}.get(kind.rstrip('*'), kind.rstrip('*')), kind.endswith('*'))
            for name, number, kind in zip(words[::3], words[1::3], words[2::3])}


WAKEUP = 'comm 1 text pid 2 int prio 3 int success 4 int target_cpu 5 int'
# The messages that tests use
NATIVE = {number: (name, numbered(fields)) for number, name, fields in (
    (3, 'print', 'ip 1 uint buf 2 text'),
    (4, 'sched_switch', 'prev_comm 1 text prev_pid 2 int prev_prio 3 int prev_state 4 int next_comm 5 text '
                        'next_pid 6 int next_prio 7 int'),
    (17, 'sched_wakeup', WAKEUP), (20, 'sched_waking', WAKEUP), (114, 'sched_wakeup_new', WAKEUP),
    (235, 'task_newtask', 'pid 1 int comm 2 text clone_flags 3 uint oom_score_adj 4 int'),
    (236, 'task_rename', 'pid 1 int oldcomm 2 text newcomm 3 text oom_score_adj 4 int'),
    (237, 'sched_process_exec', 'filename 1 text pid 2 int old_pid 3 int'),
    (238, 'sched_process_exit', 'comm 1 text pid 2 int tgid 3 int prio 4 int'),
    (239, 'sched_process_fork', 'parent_comm 1 text parent_pid 2 int child_comm 3 text child_pid 4 int'),
    (240, 'sched_process_free', 'comm 1 text pid 2 int prio 3 int'),
    (242, 'sched_process_wait', 'comm 1 text pid 2 int prio 3 int'),
    (329, 'sys_enter', 'id 1 int args 2 uint*'), (330, 'sys_exit', 'id 1 int ret 2 int'),
    (491, 'sched_migrate_task', 'comm 1 text pid 2 int prio 3 int orig_cpu 4 int dest_cpu 5 int running 6 int '
                                'load 7 uint'))}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise ValueError('a number does not end')


def pieces(data):
    """(number, value) of each field, a number or bytes"""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == BYTES:
            size, value = value, data[at:at + value]
            at += size
            if len(value) != size:
                raise ValueError('half a field')
        elif key & 7 != VARINT:
            raise ValueError(f'wire type {key & 7}')
        yield key >> 3, value


def decoded(field, value):
    if (field.kind in ('int', 'uint')) != isinstance(value, int):
        raise ValueError(f'{field.name} is none')
    if field.kind == 'int':
        return value - (value >> 63 << 64)
    if field.kind is str:
        return value.decode()
    return value if field.kind in ('uint', bytes) else message(value, field.kind)


def message(data, schema):
    found = {}
    for number, value in pieces(data):
        field = schema[number]
        value = decoded(field, value)
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif field.name in found:
            raise ValueError(f'{field.name} twice')
        else:
            found[field.name] = value
    return found


def packet_spans(data):
    """(begin of the packet, begin of its message, end of both) for each packet"""
    at = 0
    while at < len(data):
        key, begin = varint(data, at)
        if key != 1 << 3 | BYTES:
            raise ValueError(f'no packet but {key}')
        size, begin = varint(data, begin)
        if begin + size > len(data):
            raise ValueError('half a packet')
        yield at, begin, begin + size
        at = begin + size


def packets(path):
    with open(path, 'rb') as file:
        data = file.read()
    for _, begin, end in packet_spans(data):
        yield message(data[begin:end], PACKET)


def text_of(event, fields):
    """The text of an event: as trace-cmd report prints it if programs search it there, otherwise its fields"""
    if event == 'kvm_pio':
        return f'pio_{"write" if fields["rw"] else "read"} at 0x{fields["port"]:x} size {fields["size"]} ' \
            f'count {fields["count"]} val 0x{fields["val"]:x}'
    if event == 'print':
        return fields['buf'].strip()
    return ' '.join(f'{name}={value}' for name, value in fields.items())


class Trace:
    def __init__(self, path):
        self.machines, self.tracks, self.size = {}, {}, os.path.getsize(path)
        self.events, self.losses, self.items = [], [], []
        self.described, self.interned = {}, {}
        for packet in packets(path):
            machine = packet.get('machine', 0)
            # Each machine has a separate sequence, which begins with its names
            if packet['sequence'] != machine + 1 or \
                    (packet.get('flags') == CLEARED) != (machine not in self.interned):
                raise ValueError(f'{packet}')
            if 'interned' in packet:
                names = self.interned.setdefault(machine, {})
                for kind, values in packet['interned'].items():
                    names.setdefault(kind, {}).update({value['iid']: value['name'] for value in values})
            elif 'system' in packet:
                self.machines[machine] = {**packet['system'].get('utsname', {}), **packet['system']}
            elif 'track' in packet:
                self.take_track(machine, packet['track'])
            elif 'bundle' in packet:
                self.take_bundle(machine, packet['bundle'])
            else:
                self.take_item(machine, packet)
        self.events.sort(key=lambda event: event.time)
        self.items.sort(key=lambda item: item.time)

    def take_track(self, machine, track):
        # Each track is described before its first use
        if track['uuid'] in self.tracks or track.get('parent', track['uuid']) not in (track['uuid'], *self.tracks) or \
                not track['uuid']:
            raise ValueError(f'{track}')
        self.tracks[track['uuid']] = {'machine': machine, **track}

    def take_bundle(self, machine, bundle):
        for described in bundle.get('described', []):
            fields = described['message'].get('fields', [])
            if described['number'] < FIRST_DESCRIBED or described['number'] in self.described or \
                    [field['number'] for field in fields] != list(range(1, len(fields) + 1)) or len(fields) > 31:
                raise ValueError(f'{described}')
            self.described[described['number']] = machine, described['message']['name'], {
                field['number']: Field(field['name'], TYPES[field['type']]) for field in fields}
        self.losses += [(machine, bundle['cpu'])] * bundle.get('lost', 0)
        for data in bundle.get('events', []):
            (_, time), (_, tid), (number, body) = pieces(data)
            if number < FIRST_DESCRIBED:
                name, schema = NATIVE[number]
            else:
                whose, name, schema = self.described[number]
                if whose != machine:
                    raise ValueError(f'{name} is of machine {whose}')
            self.events.append(Event(machine, tid - (tid >> 31 << 32), bundle['cpu'], time, name, message(body, schema),
                                     number < FIRST_DESCRIBED))

    def take_item(self, machine, packet):
        event, names = packet['event'], self.interned[machine]
        track = self.tracks[event['track']]
        if ('counter' in track) != (event['type'] == COUNT) or track['machine'] != machine:
            raise ValueError(f'{event}')
        if event['type'] != COUNT and packet.get('flags') != NEEDED:
            raise ValueError(f'{packet}')
        if [names['categories'][iid] for iid in event.get('categories', [])] != ['tsc-offset'] * ('name' in event):
            raise ValueError(f'{event}')
        details = event['value'] if event['type'] == COUNT else {
            names['details'][detail['name']]: names['texts'][detail['text']] if 'text' in detail else detail['value']
            for detail in event.get('details', [])}
        self.items.append(Item(packet['timestamp'], event['type'], machine, event['track'],
                               names['names'][event['name']] if 'name' in event else None, details))

    def path(self, track):
        """The names from the top to a track"""
        found = self.tracks[track]
        return (*(self.path(found['parent']) if 'parent' in found else ()), found.get('name'))

    def slices(self, name=None):
        """The slices of each track, which do not overlap and all end"""
        found, running = [], {}
        for item in self.items:
            if item.what == BEGIN:
                if item.track in running:
                    raise ValueError(f'{item} in {running[item.track]}')
                running[item.track] = item
            elif item.what == END:
                begin = running.pop(item.track)
                found.append(Slice(begin.machine, item.track, begin.time, item.time, begin.name,
                                   {**begin.details, **item.details}))
        if running:
            raise ValueError(f'{running} does not end')
        return [slice for slice in found if name in (None, slice.name)]

    def notes(self):
        """Instant events"""
        return [item for item in self.items if item.what == INSTANT]

    def counters(self):
        """(time, value) by path"""
        found = {}
        for item in self.items:
            if item.what == COUNT:
                found.setdefault(self.path(item.track), []).append((item.time, item.details))
        return found

    def texts(self):
        """The events with their texts, like trace_dat.report() for a report"""
        Text = collections.namedtuple('Text', 'file tid cpu time event text')
        return [Text(event.machine, event.tid, event.cpu, event.time, event.event, text_of(event.event, event.fields))
                for event in self.events]

    def report(self, files=('host.dat', 'guest.dat')):
        """Lines in the format of trace-cmd report -i HOST -i GUEST..."""
        return report(self.texts(), files)


def report(texts, files):
    return ''.join(f'{files[event.file]}: <...>-{event.tid} [{event.cpu:03}] {event.time}: {event.event}: '
                   f'{event.text}\n' for event in texts)
