#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The tables of the PerfettoSQL module for exported recordings, compared with the history and with explain"""
import collections
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import DATA, TOOL, main
from history_files import HistoryFiles
from perfetto_sql import PARTS, QUERIES, SUMS, Asks, differences
import sql_and_explain
from vm_answers import Answers
from vm_history import History


class TestExport(Asks):
    KHZ = '2596100'

    def export(self, *files, options=()):
        out = self.path('out.pftrace')
        done = subprocess.run([TOOL, 'export', *options, '--perfetto', out, *files], stderr=subprocess.PIPE,
                              text=True, check=False)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        return out

    def explain(self, *files, options=()):
        done = subprocess.run([TOOL, 'explain', '--json', *options, *files], capture_output=True, text=True,
                              check=False)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        return json.loads(done.stdout)

    def test_histories(self):
        """Recordings of generated histories, with losses and without"""
        for seed, losses in (1, 0), (21, 12):
            history = History(seed, reuse=0)
            events, lost = history.lose(seed, losses) if losses else (history.events, [])
            made = HistoryFiles(history, events, lost)
            guests = made.write(self.directory)
            out = self.export(*(self.path(name) for name in ('host.dat', *guests)))
            threads, sums, parts, *tables = self.query(
                out, 'select vm, tid from vm_vcpu join thread using (utid)', SUMS, PARTS, *QUERIES.values())
            self.assertEqual({value for row in sums for value in row}, {'0'})
            self.assertEqual(parts, [['0', '0', '0']])
            # VMs have the names of explain, which are those of the guests in the host's file
            self.assertEqual({(vm, int(tid)) for vm, tid in threads},
                             {(vcpu.vm, vcpu.thread.tid) for vcpu in history.vcpus})
            answers = Answers(made.events, made.spans(), lost)
            for table, found in zip(QUERIES, tables):
                expected = getattr(answers, table)
                if table == 'states':
                    # The reason is left out: export has a more exact one why a vCPU's mode is unknown
                    found, expected = [row[:6] for row in found], [state[:6] for state in expected]
                self.assertEqual(differences(found, expected), ([], []), f'{seed}: {table}')

    def test_two_buffers(self):
        """An event that is also in an instance is one event for Perfetto. Equal events of one buffer are several."""
        copied = 'sched_switch', 'sched_waking', 'sched_wakeup', 'sched_migrate_task', 'kvm_exit'
        history = History(41, reuse=0)
        problems = "select name from stats where value > 0 and severity in ('error', 'data_loss')"
        counts = 'select name, count(*) from ftrace_event group by name'
        found = []
        for words in ('instance', dict(copied=copied)), ('control', {}):
            made = HistoryFiles(history, **words[1])
            guests = made.write(self.directory)
            out = self.export(*(self.path(name) for name in ('host.dat', *guests)))
            found.append(self.query(out, problems, counts, QUERIES['states'], QUERIES['steals']))
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0][0], [])
        wanted = collections.Counter(event.name for event in made.events)
        self.assertEqual({name: int(nr) for name, nr in found[0][1] if name in copied},
                         {name: wanted[name] for name in copied})
        # Two of them follow each other on one CPU
        cpus = collections.defaultdict(list)
        for event in made.events:
            cpus[event.machine, event.cpu].append((event.name, event.pid))
        self.assertTrue(any(one == other and one[0] == 'other' for events in cpus.values()
                            for one, other in zip(events, events[1:])))

    def test_recordings(self):
        for name in 'agent-moved', 'agent-still':
            files = [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]
            options = '--tsc-khz', self.KHZ
            found = self.explain(*files, options=options)
            rows, different = sql_and_explain.compare(self.export(*files, options=options), found)
            self.assertEqual(different, dict.fromkeys(sql_and_explain.QUERIES, ([], [])))
            # Their hosts recorded no sched events: tests/lab/explain.py has a recording with stolen time
            self.assertEqual([table for table in rows if not rows[table]], ['vm_steal'])
            print(f'{name}, as explain:', {table: len(rows[table]) for table in rows})
            # Control: one nanosecond more is detected
            found['vm_time'][0]['exit'] += 1
            _, different = sql_and_explain.compare(self.export(*files, options=options), found)
            self.assertEqual([table for table in different if different[table] != ([], [])], ['vm_time'])

    def test_stamped(self):
        """Only an idle CPU halts. With the times of trace-cmd's own protocol, other CPUs also seem to halt after a
        jump of the TSC."""
        host, guest = (os.path.join(DATA, 'agent-moved', file) for file in ('host.dat', 'guest.dat'))
        stamped = self.path('stamped.dat')
        subprocess.run([TOOL, 'stamp', '-o', stamped, host, guest], stderr=subprocess.DEVNULL, check=True)
        query = "select count(*) from vm_exit where reason = 'hlt' and task != 'swapper'"
        counts = [int(self.query(self.export(host, file, options=('--tsc-khz', self.KHZ)), query)[0][0][0])
                  for file in (stamped, guest)]
        self.assertEqual(counts[0], 0)
        self.assertGreater(counts[1], 0)


if __name__ == '__main__':
    main()
