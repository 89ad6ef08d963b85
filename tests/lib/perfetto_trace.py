# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Perfetto traces for tests, read by the field numbers of Perfetto's public schema, as its documentation has them
and not by what we write them with. Anything else in the file is an error.

    tracks  name, parent and more of each, by uuid; of a counter with the unit
    items   (time, what, track, name, category, details or value) in the order in which Perfetto sorts them: by time,
            and equal times as they are in the file
"""
import collections
import os

Field = collections.namedtuple('Field', 'name kind repeated', defaults=[False])
Item = collections.namedtuple('Item', 'time what track name category details')
Slice = collections.namedtuple('Slice', 'track begin end name category')
Event = collections.namedtuple('Event', 'file tid cpu time event text')

VARINT, BYTES = 0, 2
ANNOTATION = {10: Field('name', str), 3: Field('value', 'uint'), 4: Field('value', 'int'), 6: Field('value', str)}
TRACK_EVENT = {9: Field('type', 'int'), 11: Field('track', 'uint'), 22: Field('categories', str, True),
               23: Field('name', str), 30: Field('value', 'int'), 4: Field('details', ANNOTATION, True)}
COUNTER = {6: Field('unit', str)}
DESCRIPTOR = {1: Field('uuid', 'uint'), 2: Field('name', str), 5: Field('parent', 'uint'),
              8: Field('counter', COUNTER), 11: Field('ordering', 'int'), 12: Field('rank', 'int'),
              14: Field('description', str), 15: Field('merge', 'int')}
PACKET = {8: Field('timestamp', 'uint'), 10: Field('sequence', 'uint'), 11: Field('event', TRACK_EVENT),
          13: Field('flags', 'uint'), 60: Field('track', DESCRIPTOR)}
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4


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


def message(data, schema):
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        field = schema[key >> 3]
        if key & 7 == VARINT:
            value, at = varint(data, at)
            if field.kind not in ('int', 'uint'):
                raise ValueError(f'{field.name} is a number')
            if field.kind == 'int':
                value -= value >> 63 << 64
        elif key & 7 == BYTES:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size or field.kind in ('int', 'uint'):
                raise ValueError(f'{field.name} is none')
            value = value.decode() if field.kind is str else message(value, field.kind)
        else:
            raise ValueError(f'wire type {key & 7}')
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif field.name in found:
            raise ValueError(f'{field.name} twice')
        else:
            found[field.name] = value
    return found


def packet_spans(data):
    """Where each packet begins, where its message does, and where both end"""
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


def file_of(path):
    """Whose events are on a track: of files the last word of the first track"""
    return path[0].split(',')[0 if path[0].startswith('host') else -1].split()[-1]


def report_line(path, time, name, task, cpu, text, **_):
    """An instant as trace-cmd report prints an event"""
    return f'{file_of(path)}: {task} [{cpu:03}] {time}: {name}: {text}\n'


class Trace:
    def __init__(self, path):
        self.tracks, self.items, self.size = {}, [], os.path.getsize(path)
        for number, packet in enumerate(packets(path)):
            # Each track is described before anything is on it; only the first packet forgets what was before
            if packet['sequence'] != 1 or packet.get('flags', 0) != (not number):
                raise ValueError(f'packet {number}: {packet}')
            if 'track' in packet:
                track = packet['track']
                if track['uuid'] in self.tracks or track.get('parent', track['uuid']) not in (
                        track['uuid'], *self.tracks) or not track['uuid']:
                    raise ValueError(f'{track}')
                self.tracks[track['uuid']] = track
                continue
            event = packet['event']
            if ('counter' in self.tracks[event['track']]) != (event['type'] == COUNT):
                raise ValueError(f'{event}')
            category, = event.get('categories', [None])
            details = event['value'] if event['type'] == COUNT else \
                {detail['name']: detail['value'] for detail in event.get('details', [])}
            self.items.append(Item(packet['timestamp'], event['type'], event['track'], event.get('name'), category,
                                   details))
        self.items.sort(key=lambda item: item.time)

    def path(self, track):
        """The names from the top to a track"""
        found = self.tracks[track]
        return (*(self.path(found['parent']) if 'parent' in found else ()), found['name'])

    def slices(self, category=None):
        """Those of each track, of which none is in another and all end"""
        found, running = [], {}
        for item in self.items:
            if item.what == BEGIN:
                if item.track in running:
                    raise ValueError(f'{item} in {running[item.track]}')
                running[item.track] = item
            elif item.what == END:
                begin = running.pop(item.track)
                found.append(Slice(item.track, begin.time, item.time, begin.name, begin.category))
        if running:
            raise ValueError(f'{running} does not end')
        return [slice for slice in found if category in (None, slice.category)]

    def instants(self):
        """Those that are events of a recording"""
        return [item for item in self.items if item.what == INSTANT and item.category != 'tsc-offset']

    def notes(self):
        """Those that are not"""
        return [item for item in self.items if item.what == INSTANT and item.category == 'tsc-offset']

    def counters(self):
        """(time, value) by path"""
        found = {}
        for item in self.items:
            if item.what == COUNT:
                found.setdefault(self.path(item.track), []).append((item.time, item.details))
        return found

    def events(self):
        """The instants as events of trace-cmd report"""
        return [Event(file_of(self.path(item.track)), int(item.details['task'].rsplit('-', 1)[1]), item.details['cpu'],
                      item.time, item.name, item.details['text']) for item in self.instants()]

    def report(self):
        """The text that trace-cmd report -i HOST -i GUEST... would print"""
        return ''.join(report_line(self.path(item.track), item.time, item.name, **item.details)
                       for item in self.instants())
