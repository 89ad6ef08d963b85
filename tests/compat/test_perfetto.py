#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset export in Perfetto's own trace processor: all that the file holds is there, and nothing is wrong."""
import collections
import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DATA, TOOL, TREE, Case, main
import perfetto_trace
from scenario import Scenario
import trace_processor

PAGE = TREE / 'man/tsc-offset-export.1'
# 2.5 GHz
TSC2NSEC = 1717986918, 32, 0


def written(trace):
    """Slices and instants of a file, as trace_processor.Slice"""
    slices = [trace_processor.Slice(trace.path(slice.track), slice.begin, slice.end, slice.name, slice.category,
                                    None, None, None) for slice in trace.slices()]
    instants = [trace_processor.Slice(trace.path(item.track), item.time, item.time, item.name, item.category,
                                      *map(item.details.get, ('task', 'cpu', 'text')))
                for item in trace.items if item.what == perfetto_trace.INSTANT]
    return slices, instants


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

    def differences(self, trace):
        """Between a file and what is made of it"""
        opened = trace_processor.Opened(self.out)
        slices, instants = written(trace)
        found = [slice._replace(task=None, cpu=None, text=None) for slice in opened.slices]
        expected = slices + [slice._replace(task=None, cpu=None, text=None) for slice in instants]
        differences = list(opened.problems)
        differences += (collections.Counter(found) - collections.Counter(expected)).elements()
        differences += (collections.Counter(expected) - collections.Counter(found)).elements()
        # One after the other: equal times in the order of the file
        events = opened.events()
        differences += [pair for pair in zip(events, [slice for slice in instants if slice.text is not None])
                        if pair[0] != pair[1]]
        # Perfetto's values are floating point
        values = {path: [(time, int(float(value))) for time, value in values]
                  for path, values in trace.counters().items()}
        differences += [path for path in {*values, *opened.counters} if values.get(path) != opened.counters.get(path)]
        return differences, len(slices), len(events), sum(map(len, values.values()))

    def opens(self, name, changes=True):
        differences, slices, events, values = self.differences(perfetto_trace.Trace(self.out))
        self.assertEqual(differences[:5], [])
        self.assertGreater(min(slices, events), 0)
        self.assertEqual(bool(values), changes)
        print(f'{name}: {events} events, {slices} slices, {values} values of counters')

    def export_recording(self, name):
        self.export(*(os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')))

    def test_recordings(self):
        for name in 'agent-still', 'agent-moved':
            self.export_recording(name)
            self.opens(name, changes=name == 'agent-moved')

    def test_scenarios(self):
        for name, parameters in (
                ('two VMs', dict(vms=2, vcpus=2, changes=5)),
                ('many changes', dict(changes=40, vcpus=3)),
                ('lost events', dict(changes=3, lose_every=5, guest_lose_every=7, seed=2))):
            truth = Scenario(**parameters).write(self.directory, time_shift='exact', tsc2nsec=TSC2NSEC)
            self.export(*(os.path.join(self.directory, file)
                          for file in ('host.dat', *(guest['file'] for guest in truth['guests']))))
            self.opens(name)

    def test_control(self):
        """Without the end of one slice it is another trace"""
        self.export_recording('agent-moved')
        trace = perfetto_trace.Trace(self.out)
        with open(self.out, 'rb') as file:
            data = file.read()
        begin, end = next((at, end) for at, begin, end in perfetto_trace.packet_spans(data)
                          if self.ends_slice(data[begin:end]))
        with open(self.out, 'wb') as file:
            file.write(data[:begin] + data[end:])
        self.assertNotEqual(self.differences(trace)[0], [])
        with open(self.out, 'wb') as file:
            file.write(data[:-20])
        self.assertNotEqual(self.differences(trace)[0], [])

    def ends_slice(self, data):
        packet = perfetto_trace.message(data, perfetto_trace.PACKET)
        return packet.get('event', {}).get('type') == perfetto_trace.END

    def test_manual(self):
        """The query that the manual has"""
        with open(PAGE) as file:
            query = re.search(r'^\.Bd .*\n(select (?:.*\n)*?)\.Ed', file.read(), re.M)[1]
        self.export_recording('agent-moved')
        rows, = trace_processor.query(self.out, query)
        longest = sorted((slice.end - slice.begin for slice in perfetto_trace.Trace(self.out).slices('kvm')),
                         reverse=True)[:10]
        self.assertEqual([int(duration) for _, duration, _ in rows], longest)
        self.assertEqual({track for *_, track in rows}, {'vCPU 0', 'vCPU 1'})


if __name__ == '__main__':
    main()
