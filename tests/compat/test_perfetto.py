#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Perfetto's own trace processor reads all contents of an export, without errors."""
import collections
import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DATA, TOOL, TREE, Case, main
import exported
import perfetto_trace
from scenario import Scenario
import trace_processor

PAGE = TREE / 'man/tsc-offset-export.1'
# 2.5 GHz
TSC2NSEC = 1717986918, 32, 0


def reduced(event):
    """An event as Perfetto's table has it: of an array only the last element, and all numbers signed"""
    fields = {name: value[-1] if isinstance(value, list) else value for name, value in event.fields.items()}
    return event._replace(fields={name: value - (value >> 63 << 64) if isinstance(value, int) and value > 0 else value
                                  for name, value in fields.items()})


class TestOpens(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            print(f'trace processor {trace_processor.version()}')
        except trace_processor.NotHere as error:
            raise unittest.SkipTest(str(error)) from error

    def setUp(self):
        super().setUp()
        self.out = self.path('out.pftrace')

    def export(self, *arguments):
        done = subprocess.run([TOOL, 'export', '--perfetto', self.out, *arguments], stderr=subprocess.PIPE, text=True,
                              check=False)
        self.assertIn(done.returncode, (0, 3), done.stderr)

    def differences(self, trace, but=()):
        """Differences between a file and Perfetto's tables of it"""
        opened = trace_processor.Opened(self.out)
        if trace.losses:
            but = 'ftrace_cpu_has_data_loss', 'mismatched_sched_switch_tids', *but
        differences = [problem for problem in opened.problems if problem.name not in but]
        differences += {number: machine['release'] for number, machine in trace.machines.items()}.items() ^ \
            opened.machines.items()
        # Events of a CPU that have the same time are in the order of the file
        wanted = [reduced(trace_processor.Event(*event[:-1])) for event in trace.events]
        differences += [pair for pair in zip(*(sorted(events, key=lambda event: (event.time, event.machine, event.cpu))
                                               for events in (opened.events, wanted))) if pair[0] != pair[1]]
        found, expected = (collections.Counter((*slice[:-1], tuple(sorted(slice.details.items()))) for slice in slices)
                           for slices in (opened.slices, [trace_processor.Slice(slice.machine, *slice[2:])
                                                          for slice in trace.slices()]))
        # Instant events are slices too
        expected.update((note.machine, note.time, note.time, note.name, ()) for note in trace.notes())
        differences += (found - expected).elements()
        differences += (expected - found).elements()
        # Perfetto's values are floating point
        values = {path: [(time, int(float(value))) for time, value in values]
                  for path, values in trace.counters().items()}
        differences += [path for path in {*values, *opened.counters} if values.get(path) != opened.counters.get(path)]
        differences += [(len(opened.events), len(wanted))] * (len(opened.events) != len(wanted))
        return differences, len(expected), len(opened.events), sum(map(len, values.values()))

    def opens(self, name, *paths, changes=True, but=()):
        trace = perfetto_trace.Trace(self.out)
        differences, slices, events, values = self.differences(trace, but)
        self.assertEqual(differences[:5], [])
        self.assertGreater(min(slices, events), 0)
        self.assertEqual(bool(values), changes)
        self.assertEqual(exported.differences(self.out, *paths), [])
        print(f'{name}: {events} events, {slices} slices, {values} values of counters')

    def export_recording(self, name):
        paths = [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]
        self.export(*paths)
        return paths

    def test_recordings(self):
        for name in 'agent-still', 'agent-moved':
            self.opens(name, *self.export_recording(name), changes=name == 'agent-moved')

    def test_scenarios(self):
        for name, parameters in (
                ('two VMs', dict(vms=2, vcpus=2, changes=5)),
                ('many changes', dict(changes=40, vcpus=3)),
                ('lost events', dict(changes=3, lose_every=5, guest_lose_every=7, seed=2))):
            truth = Scenario(**parameters).write(self.directory, time_shift='exact', tsc2nsec=TSC2NSEC)
            paths = [self.path(file) for file in ('host.dat', *(guest['file'] for guest in truth['guests']))]
            self.export(*paths)
            # The threads of these generated files are in several system calls at the same time
            self.opens(name, *paths, but=['misplaced_end_event'])

    def test_losses(self):
        """Perfetto counts the CPUs that lost events. Without losses, it counts none."""
        for parameters in dict(lose_every=5), dict(guest_lose_every=5), {}:
            truth = Scenario(changes=3, segments=30, **parameters).write(self.directory, time_shift='exact')
            self.export(self.path('host.dat'), self.path(truth['guests'][0]['file']))
            rows, = trace_processor.query(self.out, "select idx from stats where name = 'ftrace_cpu_has_data_loss' and "
                                          "value > 0")
            lost = [truth['host']['lost'], truth['guests'][0]['lost']]
            self.assertEqual({int(cpu) for cpu, in rows}, {cpu for cpus in lost for cpu, nr in enumerate(cpus) if nr})
            self.assertEqual(bool(rows), bool(parameters))

    def test_control(self):
        """Without the end of one slice, or without one bundle of events, the trace differs"""
        self.export_recording('agent-moved')
        trace = perfetto_trace.Trace(self.out)
        with open(self.out, 'rb') as file:
            data = file.read()
        for is_it in self.ends_slice, self.has_events:
            begin, end = next((at, end) for at, begin, end in perfetto_trace.packet_spans(data)
                              if is_it(perfetto_trace.message(data[begin:end], perfetto_trace.PACKET)))
            with open(self.out, 'wb') as file:
                file.write(data[:begin] + data[end:])
            self.assertNotEqual(self.differences(trace)[0], [])
        with open(self.out, 'wb') as file:
            file.write(data[:-20])
        self.assertNotEqual(self.differences(trace)[0], [])

    def ends_slice(self, packet):
        return packet.get('event', {}).get('type') == perfetto_trace.END

    def has_events(self, packet):
        return 'events' in packet.get('bundle', {})

    def shows(self, text):
        """The query in a text has the result that follows it there"""
        query, table = re.search(r'```sql\n(.*?)```\n\n(.*?)\n\n', text, re.S).groups()
        host, guest = (os.path.join(DATA, 'agent-moved', file) for file in ('host.dat', 'guest.dat'))
        synced = self.path('guest.synced.dat')
        self.says(self.run_tool('stamp', '-o', synced, host, guest), 0)
        self.says(self.run_tool('export', '--perfetto', self.out, '--tsc-khz', 2596100, host, synced), 0)
        rows, = trace_processor.query(self.out, query)
        self.assertEqual(['| ' + ' | '.join(row) + ' |' for row in rows], table.splitlines()[2:])
        return len(rows)

    def test_how_it_works(self):
        text = (TREE / 'doc/how-it-works.md').read_text()
        self.assertGreater(self.shows(text), 4)
        # Control
        with self.assertRaises(AssertionError):
            self.shows(text.replace('| sys_exit |', '| sys_enter |'))

    def test_manual(self):
        """The query of the manual"""
        with open(PAGE) as file:
            query = re.search(r'^\.Bd .*\n(select (?:.*\n)*?)\.Ed', file.read(), re.M)[1]
        self.export_recording('agent-moved')
        rows, = trace_processor.query(self.out, query)
        longest = sorted((slice.end - slice.begin for slice in perfetto_trace.Trace(self.out).slices('guest mode')),
                         reverse=True)[:10]
        self.assertEqual([int(duration) for _, duration, *_ in rows], longest)


if __name__ == '__main__':
    main()
