#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset export --perfetto, compared with the real trace-cmd report of the same files."""
import collections
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main, needs
from history_files import HistoryFiles
from peak_memory import peak_memory
import perfetto_trace
from scenario import Scenario
import trace_dat
from vm_history import History

# 2.5 GHz
TSC2NSEC = 1717986918, 32, 0
# Root can read everything
WITHOUT_CAPABILITIES = ('setpriv', '--bounding-set=-dac_override,-dac_read_search') if not os.geteuid() else ()
# The report shows only 8 bits of the first two, and names the last one differently
NOT_COMPARED = 'data', 'icr_low', 'text'
LINE = re.compile(r'\s*(?P<file>\S+\.dat):\s+(?P<task>.*-\d+)\s+\[(?P<cpu>\d+)\]' + trace_dat.FLAGS +
                  r'\s*(?P<time>[\d.]+): (?P<event>\w+):\s*(?P<text>.*)')


def export(*arguments, **kwargs):
    return subprocess.run([TOOL, 'export', *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors='replace', check=False, timeout=300, **kwargs)


def report(*paths):
    """(file, task, CPU, time, event, fields) of each line of the merged report"""
    out = subprocess.run(['trace-cmd', 'report', '-R', *(word for path in paths for word in ('-i', path))],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         errors='replace').stdout
    return [tuple(map(str.strip, match.groups())) for match in map(LINE.match, out.splitlines()) if match]


def same_value(value, text):
    """Whether a field of the trace equals the text that libtraceevent prints"""
    array = re.fullmatch(r'ARRAY\[(.*)\]', text)
    if isinstance(value, list):
        value = ' '.join(number.to_bytes(8, 'little').hex(' ') for number in value)
    if array:
        return value.split() == array[1].split(', ')
    if isinstance(value, str):
        return value.strip() == text
    # The format decides the base. An address may be a symbol, which newer libraries print together with the address.
    with_symbol = re.fullmatch(r'[a-z_]\w* \((0x[0-9a-f]+)\)', text)
    text = with_symbol[1] if with_symbol else text
    return bool(re.fullmatch(r'[a-z_]\w*', text)) and not re.fullmatch(r'[0-9a-f]+', text) or \
        value in [number for base in (10, 16) for number in number_of(text, base)]


def number_of(text, base):
    try:
        number = int(text, 16 if text.startswith('0x') else base)
    except ValueError:
        return []
    return [number, number - (1 << 64)]


def differences(fields, text):
    """The fields of an event that are missing in the report or have another value there"""
    found, at = [], 0
    for name, value in fields.items():
        if name in NOT_COMPARED:
            continue
        begin = text.find(f'{name}=', at)
        if begin < 0:
            return [*found, name]
        at = begin + len(name) + 1
        end = re.search(r' \w+=', text[at:])
        if not same_value(value, text[at:at + end.start()] if end else text[at:]):
            found.append((name, value, text))
    return found


def guest_modes(lines, host):
    """The spans from an entry to the next exit for each vCPU, from the host's lines"""
    vcpus, begun, spans = {}, {}, collections.defaultdict(list)
    for file, task, _, time, event, text in lines:
        tid = task.rsplit('-', 1)[1]
        if file != host:
            continue
        if event == 'kvm_entry':
            vcpus[tid] = int(re.search(r'vcpu_id=(\d+)', text)[1])
            begun.setdefault(vcpus[tid], int(time))
        elif event == 'kvm_exit' and vcpus.get(tid) in begun:
            spans[vcpus[tid]].append((begun.pop(vcpus[tid]), int(time)))
    return dict(spans)


class Base(Case):
    def setUp(self):
        super().setUp()
        self.out = self.path('out.pftrace')

    def write(self, time_shift='exact', tsc2nsec=None, version=7, compression='none', **parameters):
        scenario = Scenario(**parameters)
        truth = scenario.write(self.directory, time_shift=time_shift, tsc2nsec=tsc2nsec, version=version,
                               compression=compression)
        return truth, [self.path('host.dat'), *(self.path(guest['file']) for guest in truth['guests'])]

    def said(self, done, status, *parts):
        """Check the exit status, that stderr has these parts, and that all its lines are ours"""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, '')
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith('tsc-offset: '), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        return done

    def same(self, found, wanted):
        """For long lists: show only the first difference"""
        for pair in zip(found, wanted):
            self.assertEqual(*pair)
        self.assertEqual(len(found), len(wanted))

    def exported(self, *arguments, status=DONE):
        done = self.said(export('--perfetto', self.out, *arguments), status)
        trace = perfetto_trace.Trace(self.out)
        told = re.search(r'out\.pftrace: (\d+) events, (\d+) times in guest mode', done.stderr)
        self.assertEqual(int(told[1]), len(trace.events))
        self.assertEqual(int(told[2]), sum('exit_reason' in found.details for found in trace.slices('guest mode')))
        trace.said = done.stderr
        return trace

    def agrees(self, paths, status=DONE, options=()):
        """The trace has each event of the report with its fields, a slice for
        each pair of entry and exit, and nothing else"""
        trace = self.exported(*options, *paths, status=status)
        self.compare(trace, report(*paths), [os.path.basename(path) for path in paths])
        return trace

    def compare(self, trace, lines, files):
        events = [(files[event.machine], event.tid, event.cpu, str(event.time), event.event) for event in trace.events]
        self.same([event[3] for event in events], [line[3] for line in lines])
        wanted = [(file, int(task.rsplit('-', 1)[1]), int(cpu), time, event)
                  for file, task, cpu, time, event, _ in lines]
        self.same(sorted(events), sorted(wanted))
        # Events with equal times can be in any order
        texts = collections.defaultdict(list)
        for key, line in zip(wanted, lines):
            texts[key].append(line[5])
        for key, event in zip(events, trace.events):
            found = [differences(event.fields, text) for text in texts[key]]
            self.assertIn([], found, event)
        spans = collections.defaultdict(list)
        for found in trace.slices('guest mode'):
            if 'exit_reason' in found.details:
                spans[found.details['vcpu']].append((found.begin, found.end))
        self.assertEqual(spans, guest_modes(lines, files[0]))


@needs('trace-cmd')
class TestRecordings(Base):
    """Recordings of the emulated host"""
    def data(self, name):
        return [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]

    def test_still(self):
        trace = self.agrees(self.data('agent-still'))
        self.assertEqual(trace_dat.probes(trace.texts()), (40, 0))

    def test_wrong_times(self):
        """Events out of guest mode are a doubt in export and explain: with trace-cmd's own sync points they are,
        after the jump"""
        host, guest = self.data('agent-moved')
        stamped = self.path('guest.dat')
        self.says(self.run_tool('stamp', '-o', stamped, host, guest), DONE)
        for arguments in ('export', '--perfetto', self.out), ('explain',):
            self.says(self.run_tool(*arguments, host, guest), INCOMPLETE,
                      '2139 of 4049 events are at times at which their vCPU was not in guest mode')
            self.assertNotIn('guest mode:', self.says(self.run_tool(*arguments, host, stamped), DONE).stderr)

    def test_moved(self):
        """A file synchronised by trace-cmd has probes out of order; one synchronised by the history does not"""
        host, guest = self.data('agent-moved')
        trace = self.agrees([host, guest], INCOMPLETE)
        self.assertEqual(trace_dat.probes(trace.texts()), (200, 120))
        stamped = self.path('guest.dat')
        subprocess.run([TOOL, 'stamp', '-o', stamped, host, guest], check=True, stdout=subprocess.DEVNULL)
        trace = self.agrees([host, stamped])
        self.assertEqual(trace_dat.probes(trace.texts()), (200, 0))
        counters = trace.counters()
        self.assertEqual(len(counters), 4)
        for vcpu, (time, before, after) in enumerate(((30758974169, -8824146511, -8773312585),
                                                      (30812819857, -8824146511, -8772504583))):
            root, = {path[0] for path in counters}
            (first, *absolute), (_, *relative) = (counters[root, f'vCPU {vcpu}', name]
                                                  for name in ('TSC offset', 'TSC offset, moved by'))
            self.assertEqual((first[1], absolute), (before, [(time, after)]))
            self.assertEqual(relative, [(time, after - before)])

    def test_control(self):
        """Each difference is detected: an event or a span of guest mode less,
        one cycle more, another number in a field"""
        host, guest = self.data('agent-still')
        lines = report(host, guest)

        def fewer_events(trace):
            trace.events.pop(0)

        def fewer_slices(trace):
            begin = next(item for item in trace.items if item.name == 'guest mode')
            end = next(item for item in trace.items if item.what == perfetto_trace.END and item.track == begin.track and
                       item.time > begin.time)
            trace.items = [item for item in trace.items if item is not begin and item is not end]

        def later(trace):
            trace.events[0] = trace.events[0]._replace(time=trace.events[0].time + 1)

        def another(trace):
            fields = trace.events[0].fields
            fields[next(name for name, value in fields.items() if isinstance(value, int))] += 1
        for change in fewer_events, fewer_slices, later, another:
            trace = self.exported(host, guest)
            self.compare(trace, lines, ['host.dat', 'guest.dat'])
            change(trace)
            with self.assertRaises(AssertionError):
                self.compare(trace, lines, ['host.dat', 'guest.dat'])

    def test_messages(self):
        """Events for which Perfetto has a message become this message, with
        all fields; the trace describes all others"""
        trace = self.exported(*self.data('agent-still'))
        native = {event.event for event in trace.events if event.native}
        self.assertLess({'sched_switch', 'sched_waking', 'sched_wakeup', 'sys_enter', 'sys_exit'}, native)
        # Events whose names have other fields on other architectures have no message
        self.assertFalse({'kvm_entry', 'kvm_exit', 'sched_stat_runtime', 'print'} & native)
        exit = next(event for event in trace.events if event.event == 'kvm_exit')
        self.assertEqual([*exit.fields], ['exit_reason', 'guest_rip', 'isa', 'info1', 'info2', 'intr_info', 'error_code',
                                          'vcpu_id'])

    def test_trace_printk(self):
        """The text of trace_printk() is in the file's list of formats, not in the record"""
        _, paths = self.write(changes=3)
        texts = [event.fields['text'] for event in self.exported(*paths).events if event.event == 'bprint']
        self.assertTrue(texts)
        for text in texts:
            self.assertRegex(text, r': counted \d+$')

    def test_machines(self):
        host, guest = self.exported(*self.data('agent-still')).machines.values()
        for machine, name in (host, 'host.dat'), (guest, 'guest.dat'):
            self.assertEqual((machine['name'], machine['sysname'], machine['machine'], machine['cpus']),
                             (name, 'Linux', 'x86_64', 2))
            self.assertRegex(machine['release'], r'^6\.1\.')

    def test_slices(self):
        """The slices of a thread's guest mode have its VM, vCPU and CPU, and the reason why they ended; the guest's
        CPU has slices of the same times"""
        trace = self.exported(*self.data('agent-still'))
        running = collections.Counter((found.begin, found.end) for found in trace.slices('running'))
        guest_mode = trace.slices('guest mode')
        self.assertEqual(running, collections.Counter((found.begin, found.end) for found in guest_mode))
        tids = {event.tid for event in trace.events if event.event == 'kvm_entry'}
        for found in guest_mode:
            self.assertEqual(found.details['machine'], 1)
            self.assertEqual(found.details['guest_cpu'], found.details['vcpu'])
            self.assertIn(trace.tracks[found.track]['thread']['tid'], tids)
        reasons = collections.Counter(found.details.get('exit_reason') for found in guest_mode)
        lines = subprocess.run(['trace-cmd', 'report', '-N', '-i', self.data('agent-still')[0]],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        wanted = collections.Counter(re.findall(r' kvm_exit: .*reason (.*?) rip ', lines))
        del reasons[None]
        self.assertFalse(reasons - wanted)
        self.assertLess(sum((wanted - reasons).values()), 5)

    def test_time_is_whole(self):
        """Slices of guest mode and unknown slices do not overlap, and end with the host's recording"""
        trace = self.exported(*self.data('agent-moved'), status=INCOMPLETE)
        times = [event.time for event in trace.events if not event.machine]
        tracks = collections.defaultdict(list)
        for found in [*trace.slices('guest mode'), *trace.slices('unknown')]:
            tracks[found.track].append(found)
        self.assertEqual(len(tracks), 2)
        for slices in tracks.values():
            slices.sort(key=lambda found: found.begin)
            self.assertEqual((slices[0].name, slices[0].begin), ('unknown', min(times)))
            self.assertLessEqual(slices[-1].end, max(times))
            for before, after in zip(slices, slices[1:]):
                self.assertLessEqual(before.end, after.begin)

    def test_not_synchronised(self):
        """A file without TIME_SHIFT: the host's history gives its events their times"""
        host, guest = self.data('agent-moved')
        plain = self.path('plain.dat')
        # TIME_SHIFT becomes an option that readers only print
        with open(guest, 'rb') as file:
            data = bytearray(file.read())
        for option, at, _ in trace_dat.options(bytes(data)):
            if option == trace_dat.TIME_SHIFT:
                data[at - 6:at - 4] = b'\x09\0'
        with open(plain, 'wb') as file:
            file.write(data)
        trace = self.exported(host, plain)
        self.assertIn("not synchronised: its times are computed from the host's history of offsets", trace.said)
        self.assertEqual(trace_dat.probes(trace.texts()), (200, 0))


class TestMadeUp(Base):
    """Generated recordings with known truth"""
    @needs('trace-cmd')
    def test_kinds_of_files(self):
        for version, compression in (7, 'none'), (7, 'zstd'), (6, 'none'):
            with self.subTest(version=version, compression=compression):
                _, paths = self.write(changes=4, version=version, compression=compression)
                self.agrees(paths)

    def test_several_guests(self):
        truth, paths = self.write(vms=3, vcpus=3, changes=3, vcpu_ids=[0, 2, 5])
        trace = self.exported(*paths)
        counts = collections.Counter(event.event for event in trace.events)
        wanted = collections.Counter()
        for part in truth['host'], *truth['guests']:
            wanted.update(part['counts'])
        self.assertEqual(counts, wanted)
        self.assertEqual([machine['name'] for machine in trace.machines.values()], ['test (host.dat)', 'g1', 'g2', 'g3'])
        tops = [track['name'] for track in trace.tracks.values() if track.get('name', '').startswith('VM ')]
        self.assertEqual([name.split()[-1] for name in tops], ['g1.dat', 'g2.dat', 'g3.dat'])
        names = [trace.path(uuid)[1:] for uuid in trace.tracks if trace.path(uuid)[0] == tops[0]]
        for path in ('vCPU 0',), ('CPU 1, vCPU 2',), ('CPU 2, vCPU 5', 'TSC offset'):
            self.assertIn(path, names)
        cpus = {(found.details['machine'], found.details['guest_cpu'], found.details['vcpu'])
                for found in trace.slices('guest mode')}
        self.assertEqual(cpus, {(machine, cpu, vcpu) for machine in (1, 2, 3) for cpu, vcpu in enumerate((0, 2, 5))})
        changes = {tuple(change['offset'] for change in vcpu['changes'])
                   for guest in truth['guests'] for vcpu in guest['vcpus']}
        told = {tuple(value for _, value in values)[-3:] for path, values in trace.counters().items()
                if path[-1] == 'TSC offset'}
        self.assertEqual(told, changes)

    def test_events_are_in_guest_mode(self):
        """A guest's events lie in the slices of its vCPU, except where the host has no events"""
        _, paths = self.write(changes=6, vcpus=2)
        trace = self.exported(*paths)
        spans = collections.defaultdict(list)
        for found in trace.slices('running'):
            cpu = int(re.match(r'CPU (\d+)', trace.path(found.track)[-1])[1])
            spans[found.machine, cpu].append((found.begin, found.end))
        inside = 0
        for event in trace.events:
            if event.machine:
                self.assertTrue(any(begin <= event.time <= end for begin, end in spans[event.machine, event.cpu]), event)
                inside += 1
        self.assertGreater(inside, 100)

    def test_more_reasons_than_any_host_has(self):
        """Each kvm_exit has a different reason without a name: each slice shows its number"""
        class Files(HistoryFiles):
            reasons = 999

            def record(self, event):
                record = bytearray(super().record(event))
                if event.name == 'kvm_exit':
                    self.reasons += 1
                    struct.pack_into('<I', record, self.formats['kvm_exit'].fields['exit_reason'][0], self.reasons)
                return bytes(record)

        files = Files(History(1, steps=12000, reuse=0))
        guests = [os.path.join(self.directory, guest) for guest in files.write(self.directory)]
        trace = self.exported(os.path.join(self.directory, 'host.dat'), *guests)
        reasons = {(event.time, event.tid): event.fields['exit_reason']
                   for event in trace.events if event.event == 'kvm_exit'}
        shown = [found for found in trace.slices('guest mode') if 'exit_reason' in found.details]
        for found in shown:
            code = found.details['exit_reason_code']
            self.assertEqual(found.details['exit_reason'], f'{code:#x}')
            self.assertEqual(code, reasons[found.end, trace.tracks[found.track]['thread']['tid']])
        self.assertGreater(len({found.details['exit_reason_code'] for found in shown}), 512)

    @needs('trace-cmd')
    def test_nanoseconds(self):
        """Conversion with the host's factors, or with the user's frequency"""
        _, paths = self.write(changes=3)
        cycles = self.exported(*paths)
        self.assertIn('--tsc-khz', cycles.said)
        by_user = self.exported('--tsc-khz', 2500000, *paths)
        self.write(changes=3, tsc2nsec=TSC2NSEC)
        by_file = self.exported(*paths)
        self.assertNotIn('frequency', by_file.said + by_user.said)
        for trace in by_user, by_file:
            self.assertEqual(len(trace.items), len(cycles.items))
            for ns, tsc in zip(trace.events, cycles.events):
                self.assertLessEqual(abs(tsc.time * 2 // 5 - ns.time), ns.time >> 30)
        self.assertEqual([event.time for event in by_file.events],
                         [event.time * TSC2NSEC[0] >> TSC2NSEC[1] for event in cycles.events])
        # The same times as in the report
        self.assertEqual([round(float(line[3]) * 1e9, -3) for line in report(*paths)],
                         [round(event.time, -3) for event in by_file.events])

    def test_not_proved(self):
        """With the guest's TIME_SHIFT no event is within the host's recording: nothing proves the times"""
        truth, paths = self.write(vcpus=1, changes=1, direction='backward', segments=6, stays=5, previous_zero=True, seed=541)
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('nothing proves its times', trace.said)

    def test_previous_unreported(self):
        """If kvm_write_tsc_offset does not report the previous offset, a jump backward is not recognised. Then wrong
        times always have a doubt, in export and in explain. Control: if it is reported, the times are right."""
        for seed in range(100, 106):
            for changes, unreported, time_shift in ((1, True, 'exact'), (3, True, 'exact'), (1, True, None), (1, False, 'exact')):
                scenario = Scenario(vcpus=1 + seed % 2, changes=changes, direction='backward', segments=8, stays=6,
                                    previous_zero=unreported, seed=seed)
                guest = scenario.write(self.directory, time_shift=time_shift)['guests'][0]['file']
                done = self.run_tool('export', '--perfetto', self.out, 'host.dat', guest)
                trace = perfetto_trace.Trace(self.out)
                found = sorted((event.cpu, event.time) for event in trace.events if event.machine)
                wanted = sorted((event.cpu, event.host_tsc) for event in scenario.events('g1'))
                explained = self.run_tool('explain', 'host.dat', guest)
                right = len({*found} & {*wanted})
                if unreported:
                    self.assertLess(right, len(wanted) / 2)
                    self.assertEqual((done.returncode, explained.returncode), (INCOMPLETE, INCOMPLETE), done.stderr)
                    self.assertRegex(done.stderr, "nothing proves its times|not in guest mode: |moved backward|"
                                                  "synchronise it with 'tsc-offset stamp'")
                else:
                    # The times in the rest of the page after the jump are not exact, which is a doubt
                    self.assertGreater(right, len(wanted) / 2)
                    self.assertTrue(right == len(wanted) or done.returncode == INCOMPLETE, done.stderr)

    def test_estimated_ratio(self):
        """A ratio that is estimated by the guest's events is not exact: its bound is reported, as stamp reports it"""
        scenario = Scenario(ratio=0.9, segments=10, stays=5, together=True, jump=(1000, 100_000), vcpus=2, seed=1323)
        truth = scenario.write(self.directory)
        trace = self.exported(self.path('host.dat'), self.path(truth['guests'][0]['file']), status=INCOMPLETE)
        found = sorted((event.cpu, event.time) for event in trace.events if event.machine)
        wanted = sorted((event.cpu, event.host_tsc) for event in scenario.events('g1'))
        off = max(abs(a[1] - b[1]) for a, b in zip(found, wanted))
        said = int(re.search(r'runs at 0\.9\d* times the host.*wrong by (\d+) cycles', trace.said)[1])
        self.assertGreater(off, 100)
        self.assertLessEqual(off, said)
        self.says(self.run_tool('explain', 'host.dat', truth['guests'][0]['file']), INCOMPLETE, 'its TSC runs at 0.9')

    def test_different_nanoseconds(self):
        _, paths = self.write(changes=3)
        subprocess.run(['cp', paths[1], self.path('g.dat')], check=True)
        self.write(changes=3, tsc2nsec=TSC2NSEC)
        self.assertIn('different factors', self.exported(paths[0], self.path('g.dat'), status=INCOMPLETE).said)

    def test_another_recording(self):
        """A guest's file that was synchronised with another recording of its host"""
        _, paths = self.write(changes=3)
        with open(paths[0], 'rb') as file:
            data = file.read()
        option = next(at for option, at, _ in trace_dat.options(data) if option == trace_dat.TRACEID)
        with open(paths[0], 'wb') as file:
            file.write(data[:option] + bytes([data[option] ^ 1]) + data[option + 1:])
        self.assertIn('another recording', self.exported('--vm', self.vm(paths[0]), *paths, status=INCOMPLETE).said)

    def vm(self, path):
        shown = subprocess.run([TOOL, 'show', '--json', path], stdout=subprocess.PIPE, check=False).stdout
        return json.loads(shown)['vms'][0]['name']

    def test_instances(self):
        """Readers do not correct the instances of a guest: their times are computed"""
        truth, paths = self.write(changes=3, host_instances={'kvm': ['kvm_write_tsc_offset']},
                                  guest_instances={'calls': ['sys_enter']})
        trace = self.exported(*paths)
        counts = collections.Counter(event.event for event in trace.events)
        self.assertEqual(counts['sys_enter'], truth['guests'][0]['counts']['sys_enter'])
        self.assertEqual(counts['kvm_write_tsc_offset'], truth['host']['counts']['kvm_write_tsc_offset'])
        spans = [(found.begin, found.end) for found in trace.slices('running')]
        calls = [event for event in trace.events if event.event == 'sys_enter']
        self.assertTrue(calls)
        for event in calls:
            self.assertTrue(any(begin <= event.time <= end for begin, end in spans), event)
        # The control: if the history is unknown, nothing corrects them
        truth, paths = self.write(changes=0, guest_instances={'calls': ['sys_enter']})
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn("the times of its instances are the guest's own and readers do not correct them", trace.said)

    def test_losses(self):
        """Losses are reported at their places; no time in guest mode is invented there"""
        for parameters in {'lose_every': 5}, {'guest_lose_every': 5}, {'lose_every': 5, 'lost_counts': False}:
            with self.subTest(**parameters):
                truth, paths = self.write(changes=3, segments=30, **parameters)
                trace = self.exported(*paths, status=INCOMPLETE)
                self.assertIn('lost', trace.said)
                lost = trace.slices('events lost')
                self.assertGreater(len(lost), 1)
                self.assertEqual(collections.Counter(trace.losses),
                                 collections.Counter((found.details['machine'], found.details['cpu']) for found in lost))
                told = sum(found.details.get('events', 0) for found in lost)
                # A page without room for the number does not have it
                silent = [found for found in lost if 'events' not in found.details]
                wanted = sum(map(sum, [truth['host']['lost'], truth['guests'][0]['lost']]))
                self.assertEqual(told == wanted, not silent)
                self.assertLessEqual(told, wanted)
                wanted = collections.Counter(truth['host']['counts'])
                wanted.update(truth['guests'][0]['counts'])
                self.assertEqual(collections.Counter(event.event for event in trace.events), wanted)
                causes = {found.details['cause'] for found in trace.slices('unknown')}
                self.assertEqual('events lost' in causes, 'lose_every' in parameters)
                # A loss lasts from one event of the CPU to the next
                times = collections.defaultdict(set)
                for event in trace.events:
                    times[event.machine, event.cpu].add(event.time)
                for found in lost:
                    self.assertFalse([time for time in times[found.details['machine'], found.details['cpu']]
                                      if found.begin < time < found.end])
        # The control: without losses there are no slices
        _, paths = self.write(changes=3, segments=30)
        trace = self.exported(*paths)
        self.assertEqual((trace.slices('events lost'), trace.losses), ([], []))

    def test_lost_changes(self):
        _, paths = self.write(changes=5, lose_changes=[(0, 0, 2)])
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('changes of its TSC offsets may be missing, in 2 places', trace.said)
        self.assertTrue([note for note in trace.notes() if 'TSC offset are missing' in note.name])

    def test_offsets_unknown(self):
        """The host's file lacks the offsets that would convert a guest's own times to host times"""
        _, paths = self.write(changes=0, time_shift=None)
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn("synchronise it with 'tsc-offset stamp'", trace.said)

    @needs('trace-cmd')
    def test_backward(self):
        """With and without a TIME_SHIFT in the file the times are the same as in a rewritten file"""
        _, (host, guest) = self.write(changes=4, direction='backward')
        wrong = sorted(event.time for event in trace_dat.report('-i', guest))
        subprocess.run([TOOL, 'stamp', '--rewrite', host, guest], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wanted = sorted(event.time for event in trace_dat.report('-i', self.path('g1.synced.dat')))
        for path in guest, self.path('g1.synced.dat'):
            trace = self.exported(host, path, status=DONE if 'synced' in path else INCOMPLETE)
            self.assertEqual('events from host TSC' in trace.said, path == guest)
            found = sorted(event.time for event in trace.events if event.machine)
            self.assertEqual(found, wanted)
            self.assertNotEqual(found, wrong)

    def test_wrong_clock(self):
        _, paths = self.write(changes=3)
        for path in paths:
            with open(path, 'rb') as file:
                data = file.read()
            with open(path, 'wb') as file:
                file.write(data.replace(b'[x86-tsc]', b'x86-tsc  ').replace(b'x86-tsc\0', b'globalz\0'))
        self.said(export('--perfetto', self.out, *paths), FAILED, 'x86-tsc')
        self.assertFalse(os.path.exists(self.out))
        self.exported('--any-clock', *paths)
        # A guest's buffer with such a clock is left out
        self.write(changes=3)
        with open(paths[1], 'wb') as file:
            file.write(data.replace(b'[x86-tsc]', b'x86-tsc  ').replace(b'x86-tsc\0', b'globalz\0'))
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('left out', trace.said)
        self.assertFalse([event for event in trace.events if event.machine])

    def test_times_that_perfetto_does_not_have(self):
        """A correction can yield any time"""
        _, paths = self.write(changes=0)
        path = self.path('far.dat')
        samples = b''.join(value.to_bytes(8, 'little', signed=True) for value in (1, -1 << 62, 1))
        payload = (5).to_bytes(8, 'little') + (0).to_bytes(4, 'little') + (1).to_bytes(4, 'little') + \
            (1).to_bytes(4, 'little') + samples + bytes(8)
        trace_dat.with_time_shift(paths[1], path, payload)
        trace = self.exported(paths[0], path, status=INCOMPLETE)
        self.assertIn('left out', trace.said)
        self.assertTrue(all(item.time < 1 << 63 for item in [*trace.items, *trace.events]))

    def test_names_are_text(self):
        _, paths = self.write(changes=3)
        for path in paths:
            with open(path, 'rb') as file:
                data = file.read()
            with open(path, 'wb') as file:
                file.write(data.replace(b'CPU 0/KVM', b'\xff\x1b[31m/KV').replace(b'g1\0', b'\xc31\0'))
        trace = self.exported(*paths)
        self.assertTrue(any('?' in machine['name'] for machine in trace.machines.values()))
        self.assertTrue(any('?' in track.get('thread', {}).get('name', '') for track in trace.tracks.values()))

    def test_memory(self):
        """Memory does not grow with the files"""
        peaks = []
        for events in 20000, 400000:
            _, paths = self.write(changes=3, events=events, bulk=True)
            # A sanitizer keeps freed memory for a while
            environment = os.environ | {'ASAN_OPTIONS': 'quarantine_size_mb=1'}
            status, peak = peak_memory(TOOL, 'export', '--perfetto', self.out, *paths, env=environment)
            self.assertEqual(status, DONE)
            peaks.append((os.path.getsize(self.out), peak))
        self.assertGreater(peaks[1][0], 10 * peaks[0][0])
        self.assertLess(peaks[1][1], peaks[0][1] + 2048, peaks)


class Damaged(Base):
    def damage(self, times):
        """With any bytes in the pages, export succeeds or fails with a reason, and never crashes"""
        _, paths = self.write(changes=3, events=4000)
        chance = random.Random(1)
        for number in range(times):
            which = number % 2
            with open(paths[which], 'rb') as file:
                data = bytearray(file.read())
            # The pages are at the end of the file
            for _ in range(chance.choice((1, 10, 100))):
                data[chance.randrange(len(data) // 2, len(data))] = chance.choice((0, 0xff, chance.randrange(256)))
            damaged = self.path('damaged.dat')
            with open(damaged, 'wb') as file:
                file.write(data)
            files = [damaged, paths[1]] if not which else [paths[0], damaged]
            done = export('--perfetto', self.out, '--any-clock', *files)
            self.assertIn(done.returncode, (DONE, FAILED, INCOMPLETE), done.stderr)
            if done.returncode == FAILED:
                self.assertTrue(done.stderr)
            else:
                perfetto_trace.Trace(self.out)


class TestMoreDamage(Damaged):
    """These run only in the slow suite"""
    def test_damaged_files(self):
        self.damage(80)


class TestDamaged(Damaged):
    def test_damaged_files(self):
        self.damage(20)

    def test_print_without_fields(self):
        """A guest can claim that its print event has no fields: then no marker becomes an atrace slice"""
        _, paths = self.write(changes=3)
        data = Path(paths[1]).read_bytes()
        format = re.search(rb'name: print\n.*?\n\n(\tfield:.*?print fmt: [^\n]*)', data, re.S)
        without = b'\nprint fmt: "%s"' % (b'x' * (len(format[1]) - len('\nprint fmt: ""')))
        Path(paths[1]).write_bytes(data[:format.start(1)] + without + data[format.end(1):])
        self.assertIn('print', {event.event for event in self.exported(*paths).events})

    def test_nothing_is_left_behind(self):
        _, paths = self.write(changes=3)
        with open(self.out, 'w') as file:
            file.write('old')
        with open(paths[1], 'rb') as file:
            data = bytearray(file.read())
        data[-8192:] = b'\xff' * 8192
        with open(self.path('damaged.dat'), 'wb') as file:
            file.write(data)
        self.said(export('--perfetto', self.out, paths[0], self.path('damaged.dat')), FAILED, 'damaged')
        with open(self.out) as file:
            self.assertEqual(file.read(), 'old')
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith('out.')], ['out.pftrace'])

    def test_interrupted(self):
        """Ctrl-C and other signals that end a process: nothing of the unfinished file is left"""
        _, paths = self.write(bulk=True, changes=3, events=400000)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            # The test may be run with this signal ignored
            process = subprocess.Popen(['env', '--default-signal', TOOL, 'export', '--perfetto', self.out, *paths],
                                       stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while not self.left():
                self.assertLess(time.monotonic(), deadline)
                self.assertIsNone(process.poll())
                time.sleep(0.001)
            process.send_signal(number)
            self.assertEqual(process.wait(), -number)
            self.assertFalse(self.left())

    def test_closed_pipe(self):
        """The reader of the messages has gone"""
        _, paths = self.write(changes=3, events=2000)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(['env', '--default-signal', TOOL, 'export', '--perfetto', self.out, *paths],
                              stderr=writer, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, -signal.SIGPIPE)
        self.assertFalse(self.left())

    def left(self):
        return [name for name in os.listdir(self.directory) if name.startswith('out.')]

    def test_fields_outside(self):
        """A field that is not inside its record is omitted and reported"""
        for name, old, new in (('common_pid', 'offset:4', 'offset:900000000'), ('next_pid', 'size:4', 'size:900000000'),
                               ('next_pid', 'offset:56', 'offset:9000'), ('prev_comm', 'size:16', 'size:9000')):
            scenario = Scenario(changes=3)
            changed = 0
            for item in scenario.guest_formats.values():
                for line in item.text.splitlines():
                    if re.search(rf'\b{name}\b', line) and old in line and line.startswith('\tfield:'):
                        item.text = item.text.replace(line, line.replace(old, new))
                        changed += 1
            self.assertTrue(changed, name)
            truth = scenario.write(self.directory, time_shift='exact')
            done = export('--perfetto', self.out, self.path('host.dat'), self.path(truth['guests'][0]['file']))
            self.assertIn(done.returncode, (DONE, INCOMPLETE), done.stderr)
            trace = perfetto_trace.Trace(self.out)
            field = name if name != 'common_pid' else None
            for event in trace.events:
                if event.machine:
                    self.assertNotIn(field, event.fields)
                    if not field:
                        self.assertEqual(event.tid, 0)

    def test_full_disk(self):
        _, paths = self.write(changes=3)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        done = subprocess.run(['env', '--ignore-signal=XFSZ', TOOL, 'export', '--perfetto', self.out, *paths],
                              stderr=subprocess.PIPE, text=True, check=False, preexec_fn=limit)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn('cannot be written', done.stderr)
        self.assertFalse([name for name in os.listdir(self.directory) if name.startswith('out.')])

    def test_permissions(self):
        """The output is not readable by more users than the inputs"""
        _, paths = self.write(changes=3)
        for modes, wanted in (((0o644, 0o644), 0o644), ((0o640, 0o644), 0o640), ((0o644, 0o600), 0o600)):
            for path, mode in zip(paths, modes):
                os.chmod(path, mode)
            done = subprocess.run(['sh', '-c', 'umask 022; exec "$@"', 'sh', TOOL, 'export', '--perfetto', self.out,
                                   *paths], stderr=subprocess.DEVNULL, check=False)
            self.assertEqual((done.returncode, os.stat(self.out).st_mode & 0o777), (DONE, wanted))

    def test_directory_that_cannot_be_read(self):
        """A directory that can be written but not read is not an error"""
        _, paths = self.write(changes=3)
        directory = self.path('write-only')
        os.mkdir(directory, 0o300)
        self.addCleanup(os.chmod, directory, 0o700)
        out = os.path.join(directory, 'out.pftrace')
        done = subprocess.run([*WITHOUT_CAPABILITIES, TOOL, 'export', '--perfetto', out, *paths],
                              capture_output=True, text=True, check=False)
        if os.geteuid() == 0 and 'setpriv' in done.stderr:
            self.skipTest(done.stderr.strip())
        self.said(done, DONE, 'written, but syncing its directory failed')
        perfetto_trace.Trace(out)

    def test_recordings_are_not_replaced(self):
        _, paths = self.write(changes=3)
        before = os.stat(paths[0])
        self.said(export('--perfetto', paths[0], *paths), FAILED, 'is a recording')
        self.assertEqual(os.stat(paths[0]).st_mtime_ns, before.st_mtime_ns)


class TestUsage(Base):
    def test_help(self):
        done = export('-h')
        self.assertEqual((done.returncode, done.stderr), (DONE, ''))
        options = set(re.findall(r'^ {2,6}(?:-\w, )?(--[a-z-]+)', done.stdout, re.M))
        self.assertEqual(options, {'--help', '--perfetto', '--vm', '--tsc-khz', '--any-clock'})
        for option in options:
            self.assertNotIn('unknown option', export(option).stderr)

    def test_wrong_usage(self):
        for arguments, part in (([], 'missing --perfetto OUT'), (['-x'], "'-x'"), (['--nonsense'], "'--nonsense'"),
                                (['--perfetto'], "'--perfetto'"), (['a', 'b'], '--perfetto'),
                                (['--perfetto', 'o', 'a'], 'GUEST.dat'),
                                (['--perfetto', 'o', '--tsc-khz', '1x', 'a', 'b'], "'1x'"),
                                (['--perfetto', 'o', '--tsc-khz', '0', 'a', 'b'], "'0'"),
                                (['--perfetto', 'o', '--vm', '1', 'a', 'b', 'c'],
                                 '--vm requires a single GUEST.dat')):
            done = self.said(export(*arguments), USAGE, part, 'export -h')
            self.assertEqual(done.stderr.count('\n'), 1)

    def test_files_that_are_none(self):
        _, paths = self.write(changes=3, vms=2)
        self.said(export('--perfetto', self.out, self.path('none'), paths[1]), FAILED, 'none')
        self.said(export('--perfetto', self.out, paths[0], '/dev/null'), FAILED, '/dev/null')
        # A guest's file as the host's has no VM
        self.said(export('--perfetto', self.out, paths[1], paths[0]), FAILED)
        self.said(export('--perfetto', self.out, '--vm', '12345', *paths[:2]), FAILED, '12345')


if __name__ == '__main__':
    main()
