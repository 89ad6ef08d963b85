#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""explain on generated recordings: each nanosecond of each vCPU, exit, wake-up and task is compared with the truth
and with results that are computed slowly from the events"""
import collections
import json
import re
import shutil
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main
from history_files import HistoryFiles
import perfetto_trace
import trace_dat
import trace_dat_writer as dat
from vm_answers import Answers
from vm_history import History

STATES = 'guest', 'exit', 'stolen', 'halted', 'unknown'


def of_task(row):
    """Name of a row's task, None if unknown"""
    return row['task']['comm']


class ExplainCase(Case):
    def same(self, got, wanted):
        """Compare two tables by their keys"""
        different = {key: (got.get(key), wanted.get(key)) for key in {*got, *wanted} if got.get(key) != wanted.get(key)}
        self.assertEqual(different, {}, 'explain, and what is right')

    def explain(self, *arguments, status=DONE):
        done = self.run_tool('explain', '--json', *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)

    def made(self, seed, losses=0, files=None, **parameters):
        """(history, its files, results of the slow computation, names of the guests' files)"""
        history = History(seed, **parameters)
        events, lost = history.lose(seed, losses) if losses else (history.events, [])
        made = HistoryFiles(history, events, lost, **(files or {}))
        guests = made.write(self.directory)
        answers = Answers(made.events, made.spans(), lost)
        return history, made, answers, guests


class TestRight(ExplainCase):
    def compare(self, answers, found):
        self.compare_states(answers, found)
        self.compare_times(answers, found)
        self.compare_exits(answers, found)
        self.compare_steals(answers, found)
        self.compare_wakeups(answers, found)

    def compare_states(self, answers, found):
        wanted = collections.defaultdict(collections.Counter)
        for state in answers.states:
            wanted[state.vm, state.vcpu][state.state] += state.dur
        got = {(vcpu['guest'], vcpu['vcpu_id']): {
            state: vcpu['guest_mode' if state == 'guest' else state] for state in STATES} for vcpu in found['vcpus']}
        self.same(got, {key: {state: sums[state] for state in STATES} for key, sums in wanted.items()})
        for vcpu in found['vcpus']:
            self.assertEqual(vcpu['wall'], answers.end - answers.begin)
            self.assertEqual(sum(vcpu['guest_mode' if state == 'guest' else state] for state in STATES), vcpu['wall'])

    def compare_times(self, answers, found):
        wanted = {(time.vm, time.vcpu, time.task): (time.guest, time.exit, time.stolen, time.halted, time.unknown)
                  for time in answers.times}
        got = collections.defaultdict(lambda: [0] * 5)
        for row in found['vm_time']:
            sums = got[row['guest'], row['vcpu_id'], of_task(row)]
            for i, state in enumerate(('guest_mode', *STATES[1:])):
                sums[i] += row[state]
        self.same({key: tuple(sums) for key, sums in got.items()}, wanted)

    def compare_exits(self, answers, found):
        wanted, got = collections.defaultdict(lambda: [0] * 6), collections.defaultdict(lambda: [0] * 6)
        for exit in answers.exits:
            sums = wanted[exit.vm, exit.vcpu, exit.reason, exit.task, bool(exit.entered)]
            for i, value in enumerate((1, exit.dur, exit.handling, exit.stolen, exit.halted, exit.unknown)):
                sums[i] += value
        for row in found['vm_exit']:
            sums = got[row['guest'], row['vcpu_id'], row['reason'], of_task(row), row['end_unknown'] is None]
            for i, key in enumerate(('count', 'total', 'exit', 'stolen', 'halted', 'unknown')):
                sums[i] += row[key]
        self.same(got, wanted)

    def compare_steals(self, answers, found):
        wanted, got = collections.Counter(), collections.Counter()
        for steal in answers.steals:
            wanted[steal.vm, steal.vcpu, steal.kind, steal.preemptor, steal.preemptor_task, steal.task] += steal.dur
        for row in found['vm_steal']:
            preempted = row['kind'] == 'preempted'
            task = row.get('preemptor_task')
            got[row['guest'], row['vcpu_id'], row['kind'], row['preemptor']['comm'] if preempted else None,
                task['comm'] if task else None, of_task(row)] += row['total']
        self.same(got, wanted)

    def compare_wakeups(self, answers, found):
        wanted, got = collections.defaultdict(lambda: [0] * 7), collections.defaultdict(lambda: [0] * 7)
        open_, lost = collections.Counter(), collections.Counter()
        for wakeup in answers.wakeups:
            if wakeup.dur is None:
                (lost if wakeup.cause == 'events lost' else open_)[wakeup.machine] += 1
                continue
            sums = wanted[f'vm{wakeup.machine - 1}', wakeup.cpu, wakeup.task]
            for i, value in enumerate((1, wakeup.dur, wakeup.guest_queue, wakeup.ipi, wakeup.host_wakeup, wakeup.entry,
                                       wakeup.unknown)):
                sums[i] += value
        for row in found['vm_wakeup']:
            sums = got[row['guest'], row['vcpu_id'], of_task(row)]
            for i, key in enumerate(('count', 'total', 'guest_queue', 'ipi', 'host_wakeup', 'entry', 'unknown')):
                sums[i] += row[key]
        self.same(got, wanted)
        for left_out in found['wakeups_left_out']:
            machine = int(left_out['file'][1])
            self.assertEqual((left_out['open_at_the_end'], left_out['events_lost']), (open_[machine], lost[machine]))

    def test_histories(self):
        """Two VMs that share three CPUs with other threads"""
        for seed in range(1, 7):
            with self.subTest(seed=seed):
                _, _, answers, guests = self.made(seed, reuse=0)
                self.compare(answers, self.explain('host.dat', *guests))

    def test_one_cpu(self):
        """All vCPUs of three VMs take turns"""
        _, _, answers, guests = self.made(11, vms=3, vcpus=2, host_cpus=1, reuse=0)
        self.compare(answers, self.explain('host.dat', *guests))

    def test_cycles(self):
        """Without a frequency the unit is a cycle"""
        _, _, answers, guests = self.made(12, reuse=0, files={'tsc2nsec': False})
        found = self.explain('host.dat', *guests)
        self.assertEqual(found['unit'], 'cycles')
        self.compare(answers, found)

    def test_losses(self):
        for seed in range(21, 25):
            with self.subTest(seed=seed):
                _, _, answers, guests = self.made(seed, losses=12, reuse=0)
                found = self.explain('host.dat', *guests, status=INCOMPLETE)
                self.compare(answers, found)

    def test_two_buffers(self):
        """sched events that an instance has as well count once; nothing is doubtful"""
        for copied in ('sched_switch',), ('sched_switch', 'sched_waking', 'sched_wakeup', 'sched_migrate_task', 'kvm_exit'):
            _, _, answers, guests = self.made(41, reuse=0, files={'copied': copied})
            self.compare(answers, self.explain('host.dat', *guests))

    def test_truth(self):
        """The results agree with the truth, which no event shows directly"""
        history, made, answers, guests = self.made(31, reuse=0)
        sums = collections.defaultdict(collections.Counter)
        begin = {key: min(event.time for event in made.events if event.name == 'kvm_entry' and
                          event.pid == vcpu.thread.tid) for vcpu in history.vcpus for key in [vcpu.key]}
        for key, log in history.truth.items():
            for now, following in zip(log, [*log[1:], None]):
                end = min(following.time if following else answers.end, answers.end)
                sums[key][now.state] += max(end - max(now.time, begin[key]), 0)
        found = self.explain('host.dat', *guests)
        for vcpu in found['vcpus']:
            truth = sums[vcpu['guest'], vcpu['vcpu_id']]
            # Except for the time before the first entry, when the thread may be unknown
            before = begin[vcpu['guest'], vcpu['vcpu_id']] - answers.begin
            for state in ('guest_mode', 'halted', 'stolen', 'exit'):
                wanted = truth['guest' if state == 'guest_mode' else state]
                self.assertTrue(wanted <= vcpu[state] <= wanted + before, (state, wanted, vcpu))
            self.assertLessEqual(vcpu['unknown'], before)


class TestControl(ExplainCase):
    """Wrong results are detected"""

    def test_another_history(self):
        _, _, answers, _ = self.made(1, reuse=0)
        _, _, _, guests = self.made(2, reuse=0)
        found = self.explain('host.dat', *guests)
        for compare in ('states', 'times', 'exits', 'steals', 'wakeups'):
            with self.assertRaises(AssertionError):
                getattr(TestRight, 'compare_' + compare)(self, answers, found)

    def test_missing_event(self):
        """A missing sched_switch on the host causes a doubt"""
        history = History(3, reuse=0)
        switches = [event for event in history.events if event.name == 'sched_switch' and event.machine == 0]
        events = [event for event in history.events if event is not switches[len(switches) // 2]]
        guests = HistoryFiles(history, events).write(self.directory)
        done = self.run_tool('explain', 'host.dat', *guests)
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn('sched events are missing', done.stderr)

    def filtered(self, keep, *words, **parameters):
        """Filtering events makes times wrong, and a doubt reports it. Without the filter there is no doubt."""
        history = History(1, reuse=0, **parameters)
        guests = HistoryFiles(history).write(self.directory)
        before = self.explain('host.dat', *guests)
        guests = HistoryFiles(history, [event for event in history.events if keep(event)]).write(self.directory)
        done = self.run_tool('explain', '--json', 'host.dat', *guests)
        found = json.loads(done.stdout)
        self.assertNotEqual((found['vcpus'], found['vm_time']), (before['vcpus'], before['vm_time']))
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn(*words, done.stderr)

    def test_filter_of_guest(self):
        """Only one task of the guest was recorded: the others are unknown"""
        self.filtered(lambda event: event.machine != 1 or event.name != 'sched_switch' or
                      301 in (event.fields['prev_pid'], event.fields['next_pid']), 'sched events of its guests are missing')

    def test_filter_of_cpus(self):
        """The host recorded sched on one CPU, but kvm on all, and threads stay on their CPUs"""
        self.filtered(lambda event: event.machine or not event.name.startswith('sched') or event.cpu == 0,
                      'without a sched_switch: was a filter used?', host_cpus=4, migrations=False)

    def test_filter_of_thread(self):
        """A thread's sched_switch events are missing, although those of its CPU fit each other"""
        history = History(1, reuse=0, host_cpus=1, vms=1, vcpus=1, host_tasks=1)
        thread = history.vcpus[0].thread.tid
        out = {'prev_pid': thread, 'prev_comm': b'vm', 'prev_prio': 120, 'prev_state': 0, 'next_pid': 0,
               'next_comm': b'swapper', 'next_prio': 120}
        first = next(event for event in history.events if event.name == 'sched_switch' and not event.machine)
        events = [event for event in history.events if event.machine or not event.name.startswith('sched')]
        events.append(first._replace(pid=thread, fields=out))
        guests = HistoryFiles(history, events).write(self.directory)
        done = self.run_tool('explain', 'host.dat', *guests)
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn('sched events are missing', done.stderr)

    def test_no_waking(self):
        """The end of a halt is unknown: the time of the thread's wait counts as halted"""
        self.filtered(lambda event: event.machine or event.name not in ('sched_waking', 'sched_wakeup'),
                      'slept without a sched_waking after it')


class TestUnknown(ExplainCase):
    """Unknown times have a row with the cause"""

    def causes(self, found):
        causes = collections.Counter()
        for row in found['unknown']:
            causes[row['cause']] += row['total']
        return causes

    def tasks(self, found):
        return {row['task']['unknown'] for row in found['vm_time'] if row['task']['unknown']}

    def test_kvm_only(self):
        """Without sched events of the host exits are explained, but their times are not divided"""
        sched = 'sched_switch', 'sched_waking', 'sched_wakeup', 'sched_migrate_task'
        history = History(1, reuse=0)
        events = [event for event in history.events if event.machine or event.name not in sched]
        made = HistoryFiles(history, events)
        guests = made.write(self.directory)
        answers = Answers(made.events, made.spans(), [])
        found = self.explain('host.dat', *guests)
        TestRight.compare_exits(self, answers, found)
        TestRight.compare_states(self, answers, found)
        self.assertIn('no sched events', self.causes(found))
        self.assertFalse(any(row['stolen'] or row['halted'] or row['exit'] for row in found['vm_exit']))
        self.assertTrue(any(row['total'] for row in found['vm_exit']))
        self.assertIn('no sched_switch', self.run_tool('explain', 'host.dat', *guests).stderr)
        # In one pipe, each message is a line of its own
        both = self.run_tool('explain', 'host.dat', *guests, stderr=subprocess.STDOUT).stdout
        self.assertRegex(both, r'(?m)^tsc-offset: .*no sched_switch')

    def test_no_sched_in_guest(self):
        history = History(1, reuse=0)
        events = [event for event in history.events if not event.machine or event.name == 'other']
        guests = HistoryFiles(history, events).write(self.directory)
        found = self.explain('host.dat', *guests)
        self.assertEqual(self.tasks(found), {'no sched events'})
        self.assertEqual(found['vm_wakeup'], [])

    def test_no_file(self):
        """Without a guest's file explain shows all VMs of the host's file, without tasks"""
        _, _, answers, _ = self.made(1, reuse=0)
        found = self.explain('host.dat')
        self.assertEqual(self.tasks(found), {'no file of the guest'})
        self.assertEqual(len(found['vcpus']), 4)
        TestRight.compare_states(self, answers, found)

    def test_same_file(self):
        """A guest's file that is given twice, under any name, is refused before anything is read"""
        self.made(1, reuse=0)
        (self.directory / 'link.dat').symlink_to('g1.dat')
        for second in 'g1.dat', './g1.dat', 'link.dat':
            for verb in ['explain'], ['export', '--perfetto', 'out.pftrace']:
                done = self.run_tool(*verb, 'host.dat', 'g1.dat', 'g2.dat', second)
                self.one_line(done, FAILED, f'g1.dat and {second} are the same file; give each GUEST.dat once')
        self.assertFalse((self.directory / 'out.pftrace').exists())

    def test_two_files(self):
        """If two files belong to one guest, its vCPUs get the last one, with a note"""
        self.made(1, reuse=0)
        shutil.copy(self.path('g1.dat'), self.path('again.dat'))
        done = self.run_tool('explain', 'host.dat', 'g1.dat', 'again.dat')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn('the same vCPUs as those of g1.dat', done.stderr)
        done = self.run_tool('export', '--perfetto', 'out.pftrace', 'host.dat', 'g1.dat', 'again.dat')
        self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
        self.assertIn('the same vCPUs as those of g1.dat', done.stderr)

    def test_open_end(self):
        _, _, answers, guests = self.made(1, reuse=0)
        found = self.explain('host.dat', *guests)
        ends = {row['end_unknown'] for row in found['vm_exit']}
        self.assertIn('open at the end', ends)
        self.assertIn('before the first sched_switch', self.tasks(found))
        self.assertIn("after the guest's recording", self.tasks(found))
        self.assertIn('before the first kvm event', self.causes(found))

    def test_lost(self):
        *_, guests = self.made(21, losses=12, reuse=0)
        found = self.explain('host.dat', *guests, status=INCOMPLETE)
        self.assertIn('events lost', self.causes(found))
        self.assertIn('events lost', self.tasks(found))
        self.assertTrue(any('events were lost' in finding['text'] for finding in found['findings']))

    def test_counts(self):
        """Sums of counts that exceed 64 bits do not wrap"""
        most = (1 << 64) - 1
        for counts in [(0, most, 1)], [(0, 1 << 63, 0), (1, 1 << 63, 0)]:
            stats = {1: [dat.stats_option(cpu, overrun, 0, dropped) for cpu, overrun, dropped in counts]}
            *_, guests = self.made(1, reuse=0, files={'stats': stats})
            found = self.explain('host.dat', *guests, status=INCOMPLETE)
            self.assertTrue(any(f'{most} events of these files were lost' in finding['text'] for finding in found['findings']))
            done = self.run_tool('export', '--perfetto', 'out.pftrace', 'host.dat', *guests)
            self.assertEqual(done.returncode, INCOMPLETE, done.stderr)
            self.assertIn('events were lost', done.stderr)
        stats = {1: [dat.stats_option(0)]}
        *_, guests = self.made(1, reuse=0, files={'stats': stats})
        self.explain('host.dat', *guests)

    def test_not_synchronised(self):
        """Without offsets in the host's file the guest's events have no host times, so they are not used"""
        history = History(1, reuse=0)
        made = HistoryFiles(history)
        made.events = [event for event in made.events if event.name != 'kvm_write_tsc_offset']
        guests = made.write(self.directory)
        found = self.explain('host.dat', *guests, status=INCOMPLETE)
        self.assertEqual(self.tasks(found), {'guest not synchronised'})
        self.assertEqual(found['vm_wakeup'], [])
        self.assertTrue(any("synchronise it with 'tsc-offset stamp'" in finding['text'] for finding in found['findings']))

    def test_stamped(self):
        """A synchronised file has the same results as one that gets its times from the host's history"""
        *_, guests = self.made(1, reuse=0)
        placed = self.explain('host.dat', *guests)
        for guest in guests:
            self.assertEqual(self.run_tool('stamp', '--in-place', 'host.dat', guest).returncode, DONE)
        stamped = self.explain('host.dat', *guests)
        for found in placed, stamped:
            del found['findings']
        self.assertEqual(stamped, placed)


class TestOptions(ExplainCase):
    def setUp(self):
        super().setUp()
        _, self.files, self.answers, self.guests = self.made(1, reuse=0)
        self.all = self.explain('host.dat', *self.guests)

    def test_task(self):
        pid = next(row['task']['pid'] for row in self.all['vm_time'] if row['task']['comm'] == 'm1t1')
        by_name = self.explain('--task', 'm1t1', 'host.dat', *self.guests)
        for table in 'vm_exit', 'vm_steal', 'vm_wakeup', 'vm_time':
            wanted = [row for row in self.all[table] if of_task(row) == 'm1t1']
            self.assertTrue(wanted, table)
            self.assertCountEqual(by_name[table], wanted)
        # Both guests have a task with this pid
        by_pid = self.explain('--task', pid, 'host.dat', *self.guests)
        self.assertCountEqual(by_pid['vm_time'], [row for row in self.all['vm_time'] if row['task']['pid'] == pid])
        self.assertEqual(by_name['vcpus'], self.all['vcpus'])

    def test_vcpu(self):
        found = self.explain('--vcpu', 1, 'host.dat', *self.guests)
        self.assertEqual(found['vcpus'], [vcpu for vcpu in self.all['vcpus'] if vcpu['vcpu_id'] == 1])
        for table in 'vm_exit', 'vm_steal', 'vm_wakeup', 'vm_time', 'unknown':
            self.assertCountEqual(found[table], [row for row in self.all[table] if row['vcpu_id'] == 1])

    def test_no_match(self):
        """If nothing matches, the error lists what exists"""
        for json in [], ['--json']:
            done = self.run_tool('explain', *json, '--vcpu', 77, 'host.dat', *self.guests)
            self.assertEqual((done.returncode, done.stdout), (FAILED, ''), done.stderr)
            self.assertIn('no vCPU 77 is in these recordings; there are: 0, 1\n', done.stderr)
            done = self.run_tool('explain', *json, '--task', 'nobody', 'host.dat', *self.guests)
            self.assertEqual((done.returncode, done.stdout), (FAILED, ''), done.stderr)
            listed = re.search(r'no task "nobody" is in these recordings; there are: (.*)\n', done.stderr)[1]
            times = collections.Counter()
            for row in self.all['vm_time']:
                if row['task']['pid'] is not None:
                    times[f"{row['task']['comm']} ({row['task']['pid']})"] += row['total']
            longest = sorted(times, key=times.get, reverse=True)[:10]
            more = len(times) - len(longest)
            self.assertEqual(listed.split(', '), longest if not more else [*longest[:-1], f'{longest[-1]} and {more} more'])
        # A task of another vCPU, and no tasks at all
        done = self.run_tool('explain', '--vcpu', 1, '--task', 'm3t0', 'host.dat', *self.guests)
        self.assertIn('no task "m3t0"', done.stderr)
        done = self.run_tool('explain', '--task', 'm1t1', 'host.dat')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('no task "m1t1" is in these recordings; there are: none', done.stderr)
        done = self.run_tool('explain', '--vcpu', 0, 'host.dat')
        self.assertEqual(done.returncode, DONE, done.stderr)

    def test_names(self):
        """export and explain use the same names for VMs"""
        self.run_tool('export', '--perfetto', 'out.pftrace', 'host.dat', *self.guests)
        slices = perfetto_trace.Trace(self.path('out.pftrace')).slices('guest mode')
        self.assertEqual({(slice.details['vm'], slice.details['vcpu']) for slice in slices},
                         {(vcpu['guest'], vcpu['vcpu_id']) for vcpu in self.all['vcpus']})
        self.assertEqual({vcpu['guest'] for vcpu in self.all['vcpus']}, {'vm0', 'vm1'})

    def test_worst(self):
        """--worst lists the longest ones, and trace-cmd report prints their host times"""
        found = self.explain('--worst', 5, 'host.dat', *self.guests)
        longest = sorted((exit.dur for exit in self.answers.exits), reverse=True)[:5]
        self.assertEqual([row['length'] for row in found['worst_exits']], longest)
        longest = sorted((wakeup.dur for wakeup in self.answers.wakeups if wakeup.dur is not None), reverse=True)[:5]
        self.assertEqual([row['length'] for row in found['worst_wakeups']], longest)
        self.assertEqual(len(found['worst_steals']), 5)
        report = self.report('host.dat')
        for row in found['worst_exits']:
            if row['reason'] is None:
                continue
            self.assertIn(('kvm_exit', row['from_tsc']), report)
            if row['end_unknown'] is None:
                self.assertIn(('kvm_entry', row['to_tsc']), report)
        for row in found['worst_steals']:
            self.assertTrue({event for event, time in report if time == row['from_tsc']} &
                            {'sched_switch', 'sched_waking', 'sched_wakeup', 'sched_migrate_task', 'kvm_entry', 'kvm_exit'})
        self.assertNotIn('worst_exits', self.all)

    def report(self, path):
        done = subprocess.run(['trace-cmd', 'report', '--raw-ts', '-i', path], cwd=self.directory, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=True)
        lines = (re.match(r'.*-\d+ +\[\d+\]' + trace_dat.FLAGS + r'\s*(\d+): (\w+):', line) for line in done.stdout.splitlines())
        return {(line[2], int(line[1])) for line in lines if line}

    def test_frequency(self):
        """Times are converted first and then subtracted"""
        found = self.explain('--tsc-khz', 1_000_000, 'host.dat', *self.guests)
        self.assertEqual(found['period']['wall'], found['period']['to_tsc'] - found['period']['from_tsc'])
        slower = self.explain('--tsc-khz', 500_000, 'host.dat', *self.guests)
        self.assertEqual(slower['period']['wall'], 2 * found['period']['wall'])
        self.assertEqual(found['unit'], 'ns')

    def test_times_too_great(self):
        """With a frequency that is too low, times do not fit into 64 bits: they are refused, not clamped"""
        class Late(HistoryFiles):
            def tsc(self, ns):
                return super().tsc(ns) + (1 << 62)

        guests = Late(History(1, reuse=0)).write(self.directory)
        self.explain('host.dat', *guests)
        done = self.run_tool('explain', '--json', '--tsc-khz', 1000, 'host.dat', *guests)
        self.assertEqual((done.returncode, done.stdout), (FAILED, ''), done.stderr)
        self.assertIn('more nanoseconds than 64 bits hold', done.stderr)

    def test_table(self):
        done = self.run_tool('explain', '--worst', 2, 'host.dat', *self.guests)
        self.assertEqual(done.returncode, DONE, done.stderr)
        for title in 'vm_exit', 'vm_steal', 'vm_wakeup', 'vm_time', 'What is not known', 'The longest exits':
            self.assertIn(title, done.stdout)
        lines = done.stdout.splitlines()
        first = lines.index(next(line for line in lines if line.startswith('vCPUs')))
        for line, vcpu in zip(lines[first + 2:], self.all['vcpus']):
            name, number, *times = line.split()
            times = [int(time.replace(',', '')) for time in times]
            self.assertEqual((name, int(number)), (vcpu['guest'], vcpu['vcpu_id']))
            self.assertEqual(sum(times[:-1]), times[-1])
            self.assertEqual(times[-1], vcpu['wall'])
        totals = [int(line.split()[-6].replace(',', '')) for line in
                  lines[lines.index(next(line for line in lines if '(vm_exit)' in line)) + 2:][:10]]
        self.assertEqual(totals, sorted(totals, reverse=True))
        # All rows, and the one for omitted rows
        exits = [line for line in lines if re.search(r'^ +\d+ more ', line)]
        self.assertTrue(exits)

    def test_mistakes(self):
        (self.directory / 'empty').mkdir()
        self.one_line(self.run_tool('explain', cwd=self.directory / 'empty'), USAGE, 'missing HOST.dat')
        for arguments, words in ((['--worst', '0', 'host.dat'], '--worst requires'),
                                 (['--vcpu', 'x', 'host.dat'], '--vcpu requires'), (['--tsc-khz', '1', 'host.dat'], '--tsc-khz')):
            done = self.run_tool('explain', *arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ''), done.stderr)
            self.assertIn(words, done.stderr)
        done = self.run_tool('explain', '--vm', 'vm0', 'host.dat')
        self.assertEqual((done.returncode, done.stdout), (USAGE, ''), done.stderr)
        self.assertIn('--vm requires GUEST.dat', done.stderr)
        done = self.run_tool('explain', 'none.dat')
        self.assertEqual(done.returncode, FAILED)
        done = self.run_tool('explain', *self.guests, 'host.dat')
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('HOST.dat comes first', done.stderr)

    def test_output(self):
        """A failed write is reported"""
        for arguments in [], ['--json']:
            with open('/dev/full', 'w') as full:
                done = subprocess.run([TOOL, 'explain', *arguments, 'host.dat', *self.guests],
                                      cwd=self.directory, stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, FAILED)
            self.assertIn('standard output', done.stderr)


class TestSchema(ExplainCase):
    TASK = {'unknown': (str, type(None)), 'pid': (int, type(None)), 'comm': (str, type(None))}
    ROW = {'guest': str, 'vcpu_id': int, 'others': bool, 'task': dict, 'count': int, 'total': int, 'longest': int}
    STATES = dict.fromkeys(('exit', 'stolen', 'halted', 'unknown'), int)
    REASON = {'reason': (str, type(None)), 'reason_code': (int, type(None)), 'isa': (str, type(None)),
              'end_unknown': (str, type(None))}
    TABLES = {
        'vcpus': {'guest': str, 'vcpu_id': int, 'file': (str, type(None)), 'guest_cpu': (int, type(None)),
                  'thread': (int, type(None)), 'guest_mode': int, 'wall': int, **STATES},
        'vm_exit': {**ROW, **REASON, 'guest_mode': int, **STATES},
        'vm_wakeup': {**ROW, **dict.fromkeys(('guest_queue', 'ipi', 'host_wakeup', 'entry', 'unknown'), int)},
        'vm_time': {**ROW, 'guest_mode': int, **STATES},
        'unknown': {'guest': str, 'vcpu_id': int, 'cause': str, 'count': int, 'total': int, 'longest': int},
        'wakeups_left_out': {'file': str, **dict.fromkeys(('events_lost', 'open_at_the_end', 'too_many', 'vcpu_unknown'), int)},
        'findings': {'kind': str, 'doubt': bool, 'text': str},
    }

    def conforms(self, row, members):
        self.assertEqual(set(row), set(members))
        for key, kind in members.items():
            self.assertIsInstance(row[key], kind, key)

    def test_schema(self):
        *_, guests = self.made(21, losses=3, reuse=0)
        found = self.explain('--worst', 3, 'host.dat', *guests, status=INCOMPLETE)
        self.assertEqual(found['schema'], 1)
        self.assertEqual(set(found), {'schema', 'host', 'tsc_hz', 'unit', 'period', 'vm_steal', 'worst_exits',
                                      'worst_steals', 'worst_wakeups', *self.TABLES})
        for table, members in self.TABLES.items():
            for row in found[table]:
                self.conforms(row, members)
        steal = {**self.ROW, **self.STATES, 'kind': str}
        for row in found['vm_steal']:
            if row['kind'] == 'preempted':
                self.conforms(row, {**steal, 'preemptor': dict, 'preemptor_guest': (str, type(None)),
                                    'preemptor_task': (dict, type(None))})
            else:
                self.conforms(row, steal)
        for row in found['vm_time']:
            self.conforms(row['task'], self.TASK)
            self.assertEqual(row['task']['pid'] is None, row['task']['unknown'] is not None)
            self.assertEqual(row['total'], sum(row[state] for state in ('guest_mode', *self.STATES)))


if __name__ == '__main__':
    main('trace-cmd')
