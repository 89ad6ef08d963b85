#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""tsc-offset export --perfetto, against what the real trace-cmd report prints of the same files."""
import collections
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, INCOMPLETE, TOOL, USAGE, Case, main, needs
from peak_memory import peak_memory
import perfetto_trace
from scenario import Scenario
import trace_dat

# 2.5 GHz
TSC2NSEC = 1717986918, 32, 0
# Root may read everything
WITHOUT_CAPABILITIES = ('setpriv', '--bounding-set=-dac_override,-dac_read_search') if not os.geteuid() else ()
# Formats by which a record says how much of it is printed: -R prints all fields
BY_FIELDS = {'kvm_emulate_insn'}
LINE = re.compile(r'\s*(?P<file>\S+\.dat):\s+(?P<task>.*-\d+)\s+\[(?P<cpu>\d+)\]' + trace_dat.FLAGS +
                  r'\s*(?P<time>[\d.]+): (?P<event>\w+):\s*(?P<text>.*)')


def export(*arguments, **kwargs):
    return subprocess.run([TOOL, 'export', *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors='replace', check=False, timeout=300, **kwargs)


def report(*paths):
    """(file, task, CPU, time, event, text) of each line of the merged report, by the formats that the files have"""
    def lines(how):
        out = subprocess.run(['trace-cmd', 'report', how, *(word for path in paths for word in ('-i', path))],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             errors='replace').stdout
        return [tuple(map(str.strip, match.groups())) for match in map(LINE.match, out.splitlines()) if match]
    return [fields if line[4] in BY_FIELDS else line for line, fields in zip(lines('-N'), lines('-R'))]


def guest_modes(lines, host):
    """For each vCPU the spans from an entry to the next exit, as the host's lines tell"""
    vcpus, begun, spans = {}, {}, collections.defaultdict(list)
    for file, task, _, time, event, text in lines:
        tid = task.rsplit('-', 1)[1]
        if file != host:
            continue
        if event == 'kvm_entry':
            vcpus[tid] = int(re.search(r'vcpu (\d+)', text)[1])
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
        """This exit status; each line of stderr is ours, and these are in it"""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, '')
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith('tsc-offset: '), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        return done

    def same(self, found, wanted):
        """Long lists, of which only the first difference matters"""
        for pair in zip(found, wanted):
            self.assertEqual(*pair)
        self.assertEqual(len(found), len(wanted))

    def exported(self, *arguments, status=DONE):
        done = self.said(export('--perfetto', self.out, *arguments), status)
        trace = perfetto_trace.Trace(self.out)
        told = re.search(r'out\.pftrace: (\d+) events, (\d+) times in guest mode', done.stderr)
        self.assertEqual(int(told[1]), len(trace.instants()))
        self.assertEqual(int(told[2]), sum(found.name == 'guest mode' for found in trace.slices('kvm')))
        trace.said = done.stderr
        return trace

    def agrees(self, paths, status=DONE, options=()):
        """Each event of the report is an instant, each pair of entry and exit a slice, and no others are there"""
        trace = self.exported(*options, *paths, status=status)
        self.compare(trace, report(*paths), os.path.basename(paths[0]))
        return trace

    def compare(self, trace, lines, host):
        events = [(event.file, item.details['task'], f'{event.cpu:03}', str(event.time), event.event, event.text)
                  for event, item in zip(trace.events(), trace.instants())]
        self.same([event[3] for event in events], [line[3] for line in lines])
        self.same(sorted(events), sorted(lines))
        spans = collections.defaultdict(list)
        for found in trace.slices('kvm'):
            if found.name == 'guest mode':
                path = trace.path(found.track)
                spans[int(path[-1].split()[-1])].append((found.begin, found.end))
        self.assertEqual(spans, guest_modes(lines, host))


@needs('trace-cmd')
class TestRecordings(Base):
    """Of the emulated host"""
    def data(self, name):
        return [os.path.join(DATA, name, file) for file in ('host.dat', 'guest.dat')]

    def test_still(self):
        trace = self.agrees(self.data('agent-still'))
        self.assertEqual(trace_dat.probes(trace.events()), (40, 0))

    def test_moved(self):
        """As trace-cmd merged it, with probes out of order, and by the history of the offsets"""
        host, guest = self.data('agent-moved')
        trace = self.agrees([host, guest])
        self.assertEqual(trace_dat.probes(trace.events()), (200, 120))
        stamped = self.path('guest.dat')
        subprocess.run([TOOL, 'stamp', '-o', stamped, host, guest], check=True, stdout=subprocess.DEVNULL)
        trace = self.agrees([host, stamped])
        self.assertEqual(trace_dat.probes(trace.events()), (200, 0))
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
        """One event or one time in guest mode less, one cycle more: each is seen"""
        host, guest = self.data('agent-still')
        lines = report(host, guest)

        def fewer_instants(items):
            gone = next(item for item in items if item.what == perfetto_trace.INSTANT)
            return [item for item in items if item is not gone]

        def fewer_slices(items):
            begin = next(item for item in items if item.name == 'guest mode')
            end = next(item for item in items if item.what == perfetto_trace.END and item.track == begin.track)
            return [item for item in items if item is not begin and item is not end]

        def later(items):
            return [items[0]._replace(time=items[0].time + 1), *items[1:]]
        for change in fewer_instants, fewer_slices, later:
            trace = self.exported(host, guest)
            self.compare(trace, lines, 'host.dat')
            trace.items = change(trace.items)
            with self.assertRaises(AssertionError):
                self.compare(trace, lines, 'host.dat')

    def test_what_ran(self):
        """Each switch to a thread is a slice, of the guest and of its CPU"""
        host, guest = self.data('agent-still')
        trace = self.exported(host, guest)
        switches = collections.Counter()
        for line in report(host, guest):
            found = re.search(r'next_comm=(.*) next_pid=(\d+) ', line[5])
            if line[4] == 'sched_switch' and found[2] != '0':
                switches[int(line[2]), f'{found[1]}-{found[2]}'] += 1
        self.assertGreater(len(switches), 5)
        self.assertEqual(switches, collections.Counter((int(trace.path(found.track)[1].split()[-1]), found.name)
                                                       for found in trace.slices('sched')))

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
        self.assertEqual(trace_dat.probes(trace.events()), (200, 0))


class TestMadeUp(Base):
    """Recordings of which all is known"""
    @needs('trace-cmd')
    def test_kinds_of_files(self):
        for version, compression in (7, 'none'), (7, 'zstd'), (6, 'none'):
            with self.subTest(version=version, compression=compression):
                _, paths = self.write(changes=4, version=version, compression=compression)
                self.agrees(paths)

    def test_several_guests(self):
        truth, paths = self.write(vms=3, vcpus=3, changes=3, vcpu_ids=[0, 2, 5])
        trace = self.exported(*paths)
        counts = collections.Counter(event.event for event in trace.events())
        wanted = collections.Counter()
        for part in truth['host'], *truth['guests']:
            wanted.update(part['counts'])
        self.assertEqual(counts, wanted)
        tops = [track['name'] for track in trace.tracks.values() if 'parent' not in track]
        self.assertEqual([name.split()[-1] for name in tops if not name.startswith('host')],
                         ['g1.dat', 'g2.dat', 'g3.dat'])
        names = [trace.path(uuid)[1:] for uuid in trace.tracks if trace.path(uuid)[0] == tops[1]]
        for path in ('vCPU 0',), ('CPU 1, vCPU 2',), ('CPU 2, vCPU 5', 'TSC offset'):
            self.assertIn(path, names)
        changes = {tuple(change['offset'] for change in vcpu['changes'])
                   for guest in truth['guests'] for vcpu in guest['vcpus']}
        told = {tuple(value for _, value in values)[-3:] for path, values in trace.counters().items()
                if path[-1] == 'TSC offset'}
        self.assertEqual(told, changes)

    def test_events_are_in_guest_mode(self):
        """What a guest did lies in the slices of its vCPU, but for what the host did not see"""
        _, paths = self.write(changes=6, vcpus=2)
        trace = self.exported(*paths)
        spans = collections.defaultdict(list)
        for found in trace.slices('kvm'):
            spans[found.track].append((found.begin, found.end))
        inside = 0
        for item in trace.instants():
            parent = trace.tracks[item.track].get('parent')
            if parent in spans:
                self.assertTrue(any(begin <= item.time <= end for begin, end in spans[parent]), item)
                inside += 1
        self.assertGreater(inside, 100)

    @needs('trace-cmd')
    def test_nanoseconds(self):
        """By the host's numbers, or the user's"""
        _, paths = self.write(changes=3)
        cycles = self.exported(*paths)
        self.assertIn('--tsc-khz', cycles.said)
        self.assertIn('cycle', [*cycles.tracks.values()][0]['name'])
        by_user = self.exported('--tsc-khz', 2500000, *paths)
        self.write(changes=3, tsc2nsec=TSC2NSEC)
        by_file = self.exported(*paths)
        self.assertNotIn('cycle', [*by_file.tracks.values()][0]['name'] + by_file.said)
        self.assertIn('2500.000 MHz', [*by_file.tracks.values()][0]['description'])
        for trace in by_user, by_file:
            self.assertEqual(len(trace.items), len(cycles.items))
            for ns, tsc in zip(trace.instants(), cycles.instants()):
                self.assertEqual(tsc.time, tsc.details['host_tsc'])
                self.assertLessEqual(abs(ns.details['host_tsc'] * 2 // 5 - ns.time), ns.time >> 30)
        for item in by_file.instants():
            self.assertEqual(item.time, item.details['host_tsc'] * TSC2NSEC[0] >> TSC2NSEC[1])
        # The same as the reader's
        self.assertEqual([round(float(line[3]) * 1e9, -3) for line in report(*paths)],
                         [round(item.time, -3) for item in by_file.instants()])

    def test_different_nanoseconds(self):
        _, paths = self.write(changes=3)
        subprocess.run(['cp', paths[1], self.path('g.dat')], check=True)
        self.write(changes=3, tsc2nsec=TSC2NSEC)
        self.assertIn('different numbers', self.exported(paths[0], self.path('g.dat'), status=INCOMPLETE).said)

    def test_another_recording(self):
        """A guest's file that was synchronised for another one of its host's"""
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
        """Of buffers by name; readers do not correct those of a guest"""
        truth, paths = self.write(changes=3, host_instances={'kvm': ['kvm_write_tsc_offset']},
                                  guest_instances={'calls': ['sys_enter']})
        trace = self.exported(*paths)
        counts = collections.Counter(item.name for item in trace.instants())
        self.assertEqual(counts['sys_enter'], truth['guests'][0]['counts']['sys_enter'])
        self.assertEqual(counts['kvm_write_tsc_offset'], truth['host']['counts']['kvm_write_tsc_offset'])
        tracks = {trace.path(item.track)[-1] for item in trace.instants() if item.name == 'sys_enter'}
        self.assertEqual(tracks, {'events, instance calls'})
        for item in trace.instants():
            if item.name == 'sys_enter':
                self.assertEqual(item.details['host_tsc'], item.details['guest_tsc'])

    def test_losses(self):
        """Are told where they are; no time in guest mode is made up there"""
        for parameters in {'lose_every': 5}, {'guest_lose_every': 5}, {'lose_every': 5, 'lost_counts': False}:
            with self.subTest(**parameters):
                truth, paths = self.write(changes=3, segments=30, **parameters)
                trace = self.exported(*paths, status=INCOMPLETE)
                self.assertIn('lost', trace.said)
                lost = [note for note in trace.notes() if note.name == 'events lost']
                self.assertGreater(len(lost), 1)
                told = sum(note.details.get('events', 0) for note in lost)
                # A page without room for it does not say how many
                silent = [note for note in lost if 'events' not in note.details]
                wanted = sum(map(sum, [truth['host']['lost'], truth['guests'][0]['lost']]))
                self.assertEqual(told == wanted, not silent)
                self.assertLessEqual(told, wanted)
                wanted = collections.Counter(truth['host']['counts'])
                wanted.update(truth['guests'][0]['counts'])
                self.assertEqual(collections.Counter(item.name for item in trace.instants()), wanted)
        # The control
        _, paths = self.write(changes=3, segments=30)
        self.assertEqual(self.exported(*paths).notes(), [])

    def test_lost_changes(self):
        _, paths = self.write(changes=5, lose_changes=[(0, 0, 2)])
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('changes of its TSC offsets may be missing, in 2 places', trace.said)
        self.assertTrue([note for note in trace.notes() if 'TSC offset are missing' in note.name])

    def test_offsets_unknown(self):
        """The host's file does not have what would put a guest's own times on the host's"""
        _, paths = self.write(changes=0, time_shift=None)
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('synchronise it with tsc-offset stamp', trace.said)

    @needs('trace-cmd')
    def test_backward(self):
        """Whatever TIME_SHIFT the file has: the same times as in a rewritten file"""
        _, (host, guest) = self.write(changes=4, direction='backward')
        wrong = sorted(event.time for event in trace_dat.report('-i', guest))
        subprocess.run([TOOL, 'stamp', '--rewrite', host, guest], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wanted = sorted(event.time for event in trace_dat.report('-i', self.path('g1.synced.dat')))
        for path in guest, self.path('g1.synced.dat'):
            trace = self.exported(host, path, status=DONE if 'synced' in path else INCOMPLETE)
            self.assertEqual('events from host TSC' in trace.said, path == guest)
            found = sorted(event.time for event in trace.events() if event.file == os.path.basename(path))
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
        # One of a guest is left out
        self.write(changes=3)
        with open(paths[1], 'wb') as file:
            file.write(data.replace(b'[x86-tsc]', b'x86-tsc  ').replace(b'x86-tsc\0', b'globalz\0'))
        trace = self.exported(*paths, status=INCOMPLETE)
        self.assertIn('left out', trace.said)
        self.assertFalse([item for item in trace.instants() if 'guest_tsc' in item.details])

    def test_times_that_perfetto_does_not_have(self):
        """A correction may make anything of a time"""
        _, paths = self.write(changes=0)
        path = self.path('far.dat')
        samples = b''.join(value.to_bytes(8, 'little', signed=True) for value in (1, -1 << 62, 1))
        payload = (5).to_bytes(8, 'little') + (0).to_bytes(4, 'little') + (1).to_bytes(4, 'little') + \
            (1).to_bytes(4, 'little') + samples + bytes(8)
        trace_dat.with_time_shift(paths[1], path, payload)
        trace = self.exported(paths[0], path, status=INCOMPLETE)
        self.assertIn('left out', trace.said)
        self.assertTrue(all(item.time < 1 << 63 for item in trace.items))

    def test_names_are_text(self):
        _, paths = self.write(changes=3)
        for path in paths:
            with open(path, 'rb') as file:
                data = file.read()
            with open(path, 'wb') as file:
                file.write(data.replace(b'CPU 0/KVM', b'\xff\x1b[31m/KV').replace(b'g1\0', b'\xc31\0'))
        trace = self.exported(*paths)
        self.assertTrue(any('?' in track['name'] for track in trace.tracks.values()))

    def test_memory(self):
        """Does not grow with the files"""
        peaks = []
        for events in 20000, 400000:
            _, paths = self.write(changes=3, events=events, bulk=True)
            # A sanitizer keeps what was freed for a while
            environment = os.environ | {'ASAN_OPTIONS': 'quarantine_size_mb=1'}
            status, peak = peak_memory(TOOL, 'export', '--perfetto', self.out, *paths, env=environment)
            self.assertEqual(status, DONE)
            peaks.append((os.path.getsize(self.out), peak))
        self.assertGreater(peaks[1][0], 10 * peaks[0][0])
        self.assertLess(peaks[1][1], peaks[0][1] + 2048, peaks)


class Damaged(Base):
    def damage(self, times):
        """Anything in the pages: done or not, with a reason, and never by a signal"""
        _, paths = self.write(changes=3, events=4000)
        chance = random.Random(1)
        for number in range(times):
            which = number % 2
            with open(paths[which], 'rb') as file:
                data = bytearray(file.read())
            # Pages are at the end
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
    """In the suite slow"""
    def test_damaged_files(self):
        self.damage(80)


class TestDamaged(Damaged):
    def test_damaged_files(self):
        self.damage(20)

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
        """Ctrl-C, and other ends that ask: nothing of the unfinished file is left"""
        _, paths = self.write(bulk=True, changes=3, events=400000)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            # Whoever runs this may ignore it
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
        """What it says has no reader any more"""
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

    def test_common_fields(self):
        """libtraceevent finds thread and number of every record by one format: as far as a record does not have them
        there it has neither thread nor text"""
        for name, old, new in (('common_pid', 'offset:4', 'offset:900000000'), ('common_pid', 'size:4', 'size:900000000'),
                               ('common_type', 'offset:0', 'offset:900000000'), ('common_type', 'offset:0', 'offset:2')):
            scenario = Scenario(changes=3)
            first = min(scenario.guest_formats.values(), key=lambda item: item.id)
            line = next(line for line in first.text.splitlines() if f' {name};' in line)
            self.assertIn(old, line)
            first.text = first.text.replace(line, line.replace(old, new))
            truth = scenario.write(self.directory, time_shift='exact')
            trace = self.exported(self.path('host.dat'), self.path(truth['guests'][0]['file']))
            texts = [item.details['text'] for item in trace.instants() if 'guest_tsc' in item.details]
            self.assertTrue(texts)
            self.assertEqual(set(texts), {''}, (name, new))

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
        """What only some may read they alone may read then"""
        _, paths = self.write(changes=3)
        for modes, wanted in (((0o644, 0o644), 0o644), ((0o640, 0o644), 0o640), ((0o644, 0o600), 0o600)):
            for path, mode in zip(paths, modes):
                os.chmod(path, mode)
            done = subprocess.run(['sh', '-c', 'umask 022; exec "$@"', 'sh', TOOL, 'export', '--perfetto', self.out,
                                   *paths], stderr=subprocess.DEVNULL, check=False)
            self.assertEqual((done.returncode, os.stat(self.out).st_mode & 0o777), (DONE, wanted))

    def test_directory_that_cannot_be_read(self):
        """What is there under its name is no failure"""
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
        options = set(re.findall(r'--[a-z-]+', done.stdout))
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
        # A guest in the place of the host has no VM
        self.said(export('--perfetto', self.out, paths[1], paths[0]), FAILED)
        self.said(export('--perfetto', self.out, '--vm', '12345', *paths[:2]), FAILED, '12345')


if __name__ == '__main__':
    main()
