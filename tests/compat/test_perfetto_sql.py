#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Perfetto's own trace processor runs the PerfettoSQL module: each table equals the history, to the nanosecond."""
import bisect
import collections
import json
import os
import re
import subprocess
import sys
import textwrap

sys.dont_write_bytecode = True
sys.path.append(sys.path[0] + '/../lib')
from case import TREE, main
from perfetto_sql import PACKAGE, PARTS, QUERIES, SUMS, Asks, differences
from perfetto_writer import write_history
import trace_processor
from vm_answers import Answers
from vm_history import HOST, History, spans

PAGE = TREE / 'man/tsc-offset-perfetto.7'


class TestModule(Asks):
    def ask(self, history, events, losses, *more):
        path = self.path('made.pftrace')
        slices = spans(history, events, losses)
        write_history(path, history, events, losses, slices)
        rows = self.query(path, SUMS, PARTS, *QUERIES.values(), *more)
        files = {HOST, *(guest.number for guest in history.guests if guest.has_file)}
        return rows, Answers([event for event in events if event.machine in files], slices, losses)

    def agrees(self, name, seed, losses=0, machines=None, **parameters):
        history = History(seed, **parameters)
        events, lost = history.lose(seed, losses, machines) if losses else (history.events, [])
        (sums, parts, *tables), answers = self.ask(history, events, lost)
        self.assertEqual({value for row in sums for value in row}, {'0'}, name)
        self.assertEqual(parts, [['0', '0', '0']], name)
        sizes = {}
        for (table, found) in zip(QUERIES, tables):
            expected = getattr(answers, table)
            self.assertEqual(differences(found, expected), ([], []), f'{name}: {table}')
            sizes[table] = len(expected)
        self.true(history, answers, name)
        print(f'{name}: {len(events)} events, {sizes}')
        return answers

    def true(self, history, answers, name):
        """All rows of a vCPU are correct"""
        wrong = []
        # A vCPU that moves to another thread has the state of the former thread until it runs again
        between = [(key, begin, end) for key in answers.spans for begin, end, before, after in answers.stretches(key)
                   if before and (before.tid != after.tid if after else self.replaced(history, before))]

        def replaced(key, time):
            return any(other == key and begin <= time < end for other, begin, end in between)

        for key, parts in answers.parts.items():
            log = history.truth[key]
            times = [truth.time for truth in log]
            for part in parts:
                if replaced(key, part.begin):
                    continue
                first = max(bisect.bisect_right(times, part.begin) - 1, 0)
                for truth in log[first:bisect.bisect_left(times, part.end)]:
                    if part.state not in ('unknown', truth.state):
                        wrong.append((key, part, truth))
        for steal in answers.steals:
            if replaced((steal.vm, steal.vcpu), steal.ts):
                continue
            log = history.truth[steal.vm, steal.vcpu]
            times = [truth.time for truth in log]
            truth = log[max(bisect.bisect_right(times, steal.ts) - 1, 0)]
            if steal.kind == 'preempted' and steal.preemptor and steal.preemptor != truth.preemptor or \
                    steal.preemptor_task not in (None, truth.preemptor_task) or steal.task not in (None, truth.task):
                wrong.append((steal, truth))
        self.assertEqual(wrong[:3], [], name)

    @staticmethod
    def replaced(history, span):
        """Has another thread taken over the vCPU, without having been in guest mode yet?"""
        last = [task for task in history.every_vcpu_thread()
                if (task.vcpu.vm, task.vcpu.number) == (span.vm, span.vcpu)][-1]
        return last.tid != span.tid

    def test_all_is_known(self):
        for seed in 1, 2:
            answers = self.agrees('all recorded', seed, steps=2500)
            # The state before the first events is unknown
            unknown = sum(state.dur for state in answers.states if state.state == 'unknown')
            self.assertLess(unknown, sum(state.dur for state in answers.states) / 20)
            for table in 'steals', 'exits', 'wakeups', 'times':
                self.assertTrue(getattr(answers, table))
            self.assertTrue(any(steal.preemptor_task for steal in answers.steals))
            self.assertTrue(any(steal.preemptor == 'swapper' for steal in answers.steals))
            for part in 'guest_queue', 'host_wakeup', 'entry':
                self.assertTrue(any(getattr(wakeup, part) for wakeup in answers.wakeups), part)

    def test_threads_change(self):
        self.agrees('replugged and moved', 3, replug=0.05, move=True)

    def test_lost(self):
        answers = self.agrees('lost events', 4, losses=12, steps=3000)
        self.assertIn('events lost', {state.cause for state in answers.states})
        self.agrees("the guests' lost events", 5, losses=12, machines={1, 2})

    def test_fewer_events(self):
        self.agrees('no sched_waking', 6, wakeups=['sched_wakeup'])
        self.agrees('no sched_wakeup', 7, wakeups=['sched_waking'])
        answers = self.agrees('moves not recorded', 8, migrations=False, wakeups=['sched_waking'])
        self.assertTrue(answers.steals)
        self.agrees('a guest without a file', 9, vms=3, without_file=[1])

    def test_no_sched_events(self):
        history = History(10)
        events = [event for event in history.events if event.machine != HOST or not event.name.startswith('sched')]
        (sums, _, *tables), answers = self.ask(history, events, [])
        self.assertEqual({value for row in sums for value in row}, {'0'})
        for table, found in zip(QUERIES, tables):
            self.assertEqual(differences(found, getattr(answers, table)), ([], []), table)
        self.assertEqual({state.cause for state in answers.states if state.state == 'unknown'}, {'no sched events'})

    def test_manual(self):
        """The queries of the manual. One of them shows that the states sum up to the time of the recording."""
        queries = re.findall(r'^\.Bd .*\n(include perfetto module (?:.*\n)*?)\.Ed', PAGE.read_text(), re.M)
        self.assertGreater(len(queries), 4)
        history = History(1)
        rows, _ = self.ask(history, history.events, [], *queries)
        found = rows[-len(queries):]
        self.assertEqual([bool(rows) for rows in found], [True] * (len(queries) - 1) + [False])

    def test_without_ftrace_events(self):
        """With the defaults of Perfetto's Python API, the module ends with an error instead of empty tables"""
        history = History(1, steps=100)
        path = self.path('made.pftrace')
        write_history(path, history, [], [], spans(history, history.events, []))
        with self.assertRaisesRegex(ValueError, '_vm_needs_ingest_ftrace_in_raw'):
            self.query(path)

    def test_control(self):
        """One missing event without a reported loss is detected"""
        history = History(1)
        slices = spans(history, history.events, [])
        whole = Answers(history.events, slices, [])
        threads = {task.tid for task in history.every_vcpu_thread()}
        missing = next(event for event in history.events[200:]
                       if event.name == 'sched_switch' and event.fields['prev_pid'] in threads)
        (sums, _, *tables), _ = self.ask(history, [event for event in history.events if event is not missing], [])
        # The states still cover all the time
        self.assertEqual({value for row in sums for value in row}, {'0'})
        self.assertNotEqual(differences(tables[0], whole.states), ([], []))
        moved = [state._replace(dur=state.dur + (not i)) for i, state in enumerate(whole.states)]
        self.assertNotEqual(differences(tables[0], moved), ([], []))


class TestFleet(Asks):
    """examples/perfetto-fleet, on several traces. Debian has no Python library of Perfetto. A replacement prints the
    requests that it gets, and this test runs them in the trace processor."""
    EXAMPLES = TREE / 'examples/perfetto-fleet'
    LIBRARY = {
        '__init__': '', 'trace_processor/__init__': 'TraceProcessorConfig = dict', 'batch_trace_processor/__init__': '',
        'bigtrace/__init__': '',
        'batch_trace_processor/api': '''
            import json
            BatchTraceProcessorConfig = dict
            class Said:
                to_string = staticmethod(lambda: 'END')
            class BatchTraceProcessor:
                def __init__(self, traces, config):
                    self.traces, self.config = traces, config
                def __enter__(self):
                    return self
                def __exit__(self, *_):
                    pass
                def query_and_flatten(self, sql):
                    print(json.dumps(dict(traces=self.traces, sql=sql, **self.config['tp_config'])))
                    return Said''',
        'bigtrace/api': '''
            from perfetto.batch_trace_processor.api import BatchTraceProcessor
            class Bigtrace:
                def query(self, traces, sql_query):
                    return BatchTraceProcessor(traces, dict(tp_config={})).query_and_flatten(sql_query)'''}

    def asked(self, script, *traces):
        for name, text in self.LIBRARY.items():
            path = self.directory / 'library/perfetto' / f'{name}.py'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        done = subprocess.run([sys.executable, '-B', self.EXAMPLES / script, *traces], capture_output=True, text=True, check=True,
                              env={**os.environ, 'PYTHONPATH': str(self.directory / 'library'), 'TSC_OFFSET_SQL': str(PACKAGE)})
        said, end = done.stdout.splitlines()
        self.assertEqual(end, 'END')
        return json.loads(said)

    @staticmethod
    def right(answers):
        times, taken = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
        for state in answers.states:
            times[state.vm, state.vcpu][state.state] += state.dur
        for steal in answers.steals:
            if steal.kind == 'preempted':
                taken[steal.vm, steal.vcpu][steal.preemptor] += steal.dur
        return {(vm, str(vcpu)): [str(sum(states.values())), *(str(states[state]) for state in (
            'guest', 'exit', 'stolen', 'halted', 'unknown')), taken[vm, vcpu]] for (vm, vcpu), states in times.items()}

    def test_examples(self):
        traces, wanted = [], []
        for seed in 1, 2:
            history = History(seed, reuse=0)
            path = str(self.path(f'{seed}.pftrace'))
            slices = spans(history, history.events, [])
            write_history(path, history, history.events, [], slices)
            traces.append(path)
            wanted.append(self.right(Answers(history.events, slices, [])))
        batch, bigtrace = self.asked('batch.py', *traces), self.asked('bigtrace.py', *traces)
        self.assertEqual((batch['traces'], bigtrace['traces']), (traces, traces))
        self.assertEqual((batch['add_sql_packages'], batch['ingest_ftrace_in_raw']), ([str(PACKAGE)], True))
        found = []
        for path, right in zip(traces, wanted):
            rows, = trace_processor.query(path, batch['sql'], packages=batch['add_sql_packages'])
            # A worker of BigTrace gets only the query, without packages
            self.assertEqual(trace_processor.query(path, bigtrace['sql']), [rows])
            self.assertEqual({tuple(row[:2]) for row in rows}, set(right))
            for vm, vcpu, *times, preemptor, dur in rows:
                *expected, taken = right[vm, vcpu]
                self.assertEqual(times, expected)
                self.assertEqual((str(taken[preemptor]), int(dur)), (dur, max(taken.values())))
            found.append(rows)
        # Control: the rows of the other trace differ
        self.assertNotEqual(*found)


if __name__ == '__main__':
    main()
