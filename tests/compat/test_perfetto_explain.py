#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""From recordings through export to the PerfettoSQL module's tables: compared with the history and with explain"""
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
            # export and a history have different names for the VMs
            names = {str(vcpu.thread.tid): vcpu.vm for vcpu in history.vcpus}
            names = {vm: names[tid] for vm, tid in threads}
            answers = Answers(made.events, made.spans(), lost)
            for table, found in zip(QUERIES, tables):
                expected = getattr(answers, table)
                if table != 'wakeups':
                    found = [[names[row[0]], *row[1:]] for row in found]
                if table == 'states':
                    # export knows better why the vCPU's mode is unknown
                    found, expected = [row[:6] for row in found], [state[:6] for state in expected]
                self.assertEqual(differences(found, expected), ([], []), f'{seed}: {table}')

    def test_recordings(self):
        for name in 'agent-moved', 'agent-still':
            files = [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]
            options = '--tsc-khz', self.KHZ
            states, times, exits, wakeups = self.query(self.export(*files, options=options), """
                select tid, state, sum(s.dur) from vm_state s join vm_vcpu using (vcpu_id) join thread using (utid)
                group by 1, 2""", """
                select vt.tid, t.tid, guest_dur, exit_dur, stolen_dur, halted_dur, unknown_dur
                from vm_time join vm_vcpu v using (vcpu_id) join thread vt on vt.utid = v.utid
                left join thread t on t.utid = vm_time.utid""", """
                select tid, reason, count(*), sum(dur) from vm_exit join thread using (utid) group by 1, 2""", """
                select tid, count(*), sum(dur), sum(guest_queue_dur), sum(unknown_dur)
                from vm_wakeup join thread using (utid) where dur is not null group by tid""")
            found = self.explain(*files, options=options)
            threads = {vcpu['vcpu_id']: vcpu['thread'] for vcpu in found['vcpus']}
            wanted = [(vcpu['thread'], state, vcpu[state if state != 'guest' else 'guest_mode'])
                      for vcpu in found['vcpus'] for state in ('guest', 'exit', 'stolen', 'halted', 'unknown')]
            self.assertEqual(differences(states, [row for row in wanted if row[2]]), ([], []))
            self.assertEqual(differences(times, self.summed(
                found['vm_time'], threads, lambda row: row['task']['pid'], 'guest_mode', 'exit', 'stolen', 'halted',
                'unknown')), ([], []))
            self.assertEqual(differences(exits, self.summed(
                found['vm_exit'], threads, lambda row: row['reason'], 'count', 'total')), ([], []))
            by_task = collections.defaultdict(lambda: [0] * 4)
            for row in found['vm_wakeup']:
                for i, key in enumerate(('count', 'total', 'guest_queue', 'unknown')):
                    by_task[row['task']['pid']][i] += row[key]
            self.assertEqual(differences(wakeups, [(pid, *sums) for pid, sums in by_task.items()]), ([], []))
            self.assertTrue(states and times and exits and wakeups)
            print(f'{name}, as explain: {len(times)} tasks, {len(exits)} reasons of exits, {len(wakeups)} tasks awakened')

    def test_stamped(self):
        """Only an idle CPU halts. By the times of trace-cmd's own protocol, others also seem to halt after a jump of
        the TSC"""
        host, guest = (os.path.join(DATA, 'agent-moved', file) for file in ('host.dat', 'guest.dat'))
        stamped = self.path('stamped.dat')
        subprocess.run([TOOL, 'stamp', '-o', stamped, host, guest], stderr=subprocess.DEVNULL, check=True)
        query = "select count(*) from vm_exit where reason = 'hlt' and task != 'swapper'"
        counts = [int(self.query(self.export(host, file, options=('--tsc-khz', self.KHZ)), query)[0][0][0])
                  for file in (stamped, guest)]
        self.assertEqual(counts[0], 0)
        self.assertGreater(counts[1], 0)

    @staticmethod
    def summed(rows, threads, key, *members):
        sums = collections.defaultdict(lambda: [0] * len(members))
        for row in rows:
            for i, member in enumerate(members):
                sums[threads[row['vcpu_id']], key(row)][i] += row[member]
        return [(*key, *values) for key, values in sums.items()]


if __name__ == '__main__':
    main()
