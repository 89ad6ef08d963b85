#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The marks on KernelShark's plots are where the TSC jumps, as trace-cmd or the generator of the file reports it.

Each pair of files is checked as a whole, with many bins and with few. The surroundings of changes are checked with bins
of one unit of time, the smallest in KernelShark.
"""
import collections
import os
import re
import struct
import subprocess
import sys

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, TOOL, Case, built, each, main
from readers import duration, hide_installed, must_fail, run, signed
from scenario import Scenario

PROGRAM = built('tests/files/kshark_marks')
PLUGIN = built('plugin/kernelshark/plugin-kvm_tsc_jumps.so')

FORWARD, BACKWARD = ('#f07800', 'right'), ('#c800a0', 'left')
WHOLE, COARSE, AROUND = 1000, 7, 50
MODEL = re.compile(r'model (\d+) (-?\d+) (\d+)')
# Between the CPU and the time there is nothing, a space, or the interrupt flags of newer versions
LINE = re.compile(r'-(?P<tid>\d+)\s+\[(?P<cpu>\d+)\]\s*(?:\S+\s+)?(?P<time>\d+): (?P<event>\w+):\s*(?P<text>.*)')

# A jump in the host's file: its host CPU, the thread of its vCPU, and its guest and guest CPU
Jump = collections.namedtuple('Jump', 'time cpu thread vcpu_id cycles khz guest guest_cpu')
# A mark of a plot in a bin: color and side of the flag, row to which a double-click goes, and text
Mark = collections.namedtuple('Mark', 'kind stream value bin looks time text')

OFFSETS = re.compile(r'vcpu=(\d+) prev=(\d+) next=(\d+)')


def kshark(windows, files, *options):
    """[(model, marks)] for each window"""
    output, _ = run([PROGRAM, PLUGIN, *options, *windows, '--', *files])
    views = []
    for line in output.splitlines():
        model = MODEL.fullmatch(line)
        if model:
            views.append((tuple(map(int, model.groups())), []))
            continue
        kind, stream, value, where, color, side, time, text = line.split(' ', 7)
        views[-1][1].append(Mark(kind, int(stream), int(value), int(where), (color, side), int(time), text))
    return views


def expected_text(first, more):
    brackets = f' ({duration(first.cycles, first.khz)})' if first.khz else ''
    return (f'vcpu {first.vcpu_id}: {first.cycles:+} cycles{brackets} at '
            f'{first.time // 10 ** 9}.{first.time % 10 ** 9:09}' + (f', and {more} more' if more else ''))


def expected_marks(model, jumps, hosts, guests):
    """hosts: streams of the host's file; guests: the stream of each guest that the host's file knows"""
    bins, start, size = model
    end = start + bins * size
    plots = collections.defaultdict(list)
    for jump in jumps:
        if not start <= jump.time <= end:
            continue
        where = min((jump.time - start) // size, bins - 1)
        for stream in hosts:
            plots['cpu', stream, jump.cpu, where].append(jump)
            plots['guest', stream, jump.cpu, where].append(jump)
            plots['task', stream, jump.thread, where].append(jump)
        if jump.guest in guests:
            plots['cpu', guests[jump.guest], jump.guest_cpu, where].append(jump)
            plots['guest', guests[jump.guest], jump.guest_cpu, where].append(jump)
    marks = []
    for (kind, stream, value, where), there in plots.items():
        first = min(there, key=lambda jump: jump.time)
        looks = BACKWARD if any(jump.cycles < 0 for jump in there) else FORWARD
        marks.append(Mark(kind, stream, value, where, looks, first.time, expected_text(first, len(there) - 1)))
    return sorted(marks)


def check_views(views, jumps, hosts, guests):
    seen = 0
    for model, marks in views:
        expected = expected_marks(model, jumps, hosts, guests)
        assert sorted(marks) == expected, f'{model}: {sorted(marks)} instead of {expected}'
        seen += len(marks)
    assert seen, 'nothing was looked at'
    return seen


def check(name, files, jumps, hosts, guests, *options):
    # Windows with the jump in the middle, in the first bin and in the last bin
    windows = [f'{WHOLE}:0:0', f'{COARSE}:0:0']
    for jump in jumps[:20]:
        windows += [f'{2 * AROUND}:{jump.time - AROUND}:{jump.time + AROUND}',
                    f'{2 * AROUND}:{jump.time}:{jump.time + 2 * AROUND}',
                    f'{2 * AROUND}:{jump.time - 2 * AROUND}:{jump.time}']
    views = kshark(windows, files, *options)
    assert len(views) == len(windows) + bool(options)
    assert all(model[2] == 1 for model, _ in views[-len(windows):][2:])
    # The first view has only some of the files
    if '--append' in options:
        views = views[1:]
    seen = check_views(views, jumps, hosts, guests)
    print(f'{name}: {len(jumps)} jumps, {seen} marks in {len(views)} views')

    # The controls: marks one bin further, where there is a bin; one mark elsewhere, or wrong, or too few
    moved = [view for view in kshark(windows, files, '--moved')
             if any(mark.bin < view[0][0] - 1 for mark in expected_marks(view[0], jumps, hosts, guests))]
    assert len(moved) > len(jumps[:20])
    for view in moved:
        must_fail(check_views, [view], jumps, hosts, guests)
    must_fail(check_views, views, [jumps[0]._replace(time=jumps[0].time + 1), *jumps[1:]], hosts, guests)
    must_fail(check_views, views, [jumps[0]._replace(cpu=jumps[0].cpu + 1), *jumps[1:]], hosts, guests)
    must_fail(check_views, views, [jumps[0]._replace(thread=jumps[0].thread + 1), *jumps[1:]], hosts, guests)
    must_fail(check_views, views, [jumps[0]._replace(cycles=-jumps[0].cycles), *jumps[1:]], hosts, guests)
    if guests:
        must_fail(check_views, views, [jump._replace(guest_cpu=jump.guest_cpu + 1) for jump in jumps], hosts,
                  guests)
    must_fail(check_views, views, jumps[1:], hosts, guests)


def recorded(name, directory):
    """A recording of the lab, stamped; trace-cmd reports the jumps"""
    host, guest = (os.path.join(directory, f'{name}-{machine}.dat') for machine in ('host', 'guest'))
    for machine, path in ('host', host), ('guest', guest):
        os.symlink(os.path.join(DATA, name, f'{machine}.dat'), path)
    subprocess.run([TOOL, 'stamp', '--link', host, guest], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    text, _ = run(['trace-cmd', 'report', '-i', host])
    jumps = []
    for line in text.splitlines():
        match = LINE.search(line)
        values = match and match['event'] == 'kvm_write_tsc_offset' and OFFSETS.search(match['text'])
        if values:
            vcpu, previous, following = map(int, values.groups())
            jumps.append(Jump(int(match['time']), int(match['cpu']), int(match['tid']), vcpu,
                              signed(following - previous), None, 'guest', vcpu))
    return jumps, host.replace('.dat', '.linked.dat'), guest.replace('.dat', '.synced.dat')


def made_up(scenario, tsc2nsec=None):
    """The jumps of a scenario, in the order of time"""
    places = {event.host_tsc: event for event in scenario.events('host')
              if event.name in ('kvm_write_tsc_offset', 'kvm_write_tsc_multiplier')}
    jumps = []
    for vm in scenario.vms:
        for vcpu in vm.vcpus:
            for change in vcpu.changes:
                cycles = signed(vcpu.guest_tsc(change.host_tsc) - vcpu.guest_tsc(change.host_tsc,
                                                                                 change.host_tsc - 1))
                # A mark needs a jump, and the creation of a vCPU is none
                if not cycles or scenario.boot and change is vcpu.changes[0]:
                    continue
                event = places[change.host_tsc]
                time, khz = event.time, None
                if tsc2nsec:
                    mult, shift, _ = tsc2nsec
                    time, khz = time * mult >> shift, round(10 ** 6 * 2 ** shift / mult)
                jumps.append(Jump(time, event.cpu, vcpu.tid, vcpu.vcpu_id, cycles, khz, vm.name, vcpu.index))
    return sorted(jumps)


def made(directory, name, parameters, options, hosts=(0,), linked=True, order=1):
    scenario = Scenario(**parameters)
    directory = os.path.join(directory, name)
    os.mkdir(directory)
    scenario.write(directory, **options)
    names = [vm.name for vm in scenario.vms]
    files = [os.path.join(directory, f'{machine}.dat') for machine in ['host', *names][::order]]
    guests = {guest: i + len(hosts) for i, guest in enumerate(names)} if linked else {}
    if order < 0:
        hosts, guests = [len(names)], {guest: i for i, guest in enumerate(names[::-1])}
    return files, made_up(scenario, options.get('tsc2nsec')), hosts, guests


MADE = {
    'two guests, both directions': (dict(vms=2, changes=4, direction='both'), {}),
    'the guest was opened first': (dict(changes=3), {}, dict(order=-1)),
    'the guest was opened later': (dict(changes=3), {}, {}, True),
    'the host was opened later': (dict(changes=3), {}, dict(order=-1), True),
    'many in a bin': (dict(vms=2, vcpus=3, changes=12, direction='both'), {}),
    'unlinked': (dict(changes=2, linked=False), {}, dict(linked=False)),
    'from boot, in nanoseconds': (dict(boot=True, changes=3, unchanged=2, direction='both'),
                                  dict(tsc2nsec=(1654229, 22, 0), compression='zstd')),
    'from boot': (dict(boot=True, changes=3), {}),
    'foreign writer': (dict(foreign_writer=True, changes=2), {}),
    'rescaled': (dict(patched=True, ratio=1, rescale=[1.25, 1.3], changes=2), {}),
    'in an instance': (dict(host_instances={'tsc_offset': ['kvm_write_tsc_offset']}), {}, dict(hosts=(0, 1))),
    'in an instance, compressed': (dict(vms=2, changes=20, host_instances={'tsc_offset': ['kvm_write_tsc_offset']}),
                                   dict(compression='zstd'), dict(hosts=(0, 1))),
    'pages of another size': (dict(vms=2, changes=20, absolute_every=5, discard_every=7), dict(page_size=65536)),
    'version 6': (dict(direction='backward', changes=2), dict(version=6)),
}


@each(MADE)
class TestMade(Case):
    def one(self, parameters, options, more=(), later=False):
        files, jumps, hosts, guests = made(self.directory, 'made', parameters, options, **dict(more))
        check('made', files, jumps, hosts, guests, *['--append'] * later)


class TestRecorded(Case):
    def setUp(self):
        super().setUp()
        self.jumps, *self.files = recorded('agent-moved', self.directory)

    def test_both(self):
        check('agent-moved', self.files, self.jumps, [0], {'guest': 1})

    def test_loaded_twice(self):
        check('agent-moved, loaded twice', self.files, self.jumps, [0], {'guest': 1}, '--reload')

    def test_plugin_loaded_twice(self):
        check('agent-moved, the plugin loaded twice', self.files, self.jumps, [0], {'guest': 1}, '--update')

    def test_host_alone(self):
        check('agent-moved, the host alone', self.files[:1], self.jumps, [0], {})


class TestDamaged(Case):
    def test_record(self):
        """One invalid record among many has no mark"""
        parameters = dict(patched=True, ratio=1, changes=6)
        scenario = Scenario(**parameters)
        files, jumps, hosts, guests = made(self.directory, 'made', parameters, {})
        fields = scenario.host_formats['kvm_write_tsc_offset'].fields
        change = scenario.vcpus[0].changes[2]
        with open(files[0], 'r+b') as file:
            record = struct.pack('<qq', signed(change.previous), signed(change.offset))
            data = file.read()
            self.assertEqual(data.count(record), 1)
            file.seek(data.index(record) - fields['previous_tsc_offset'][0] + fields['tsc_scaling_ratio_frac_bits'][0])
            file.write(b'\xff')
        left = [jump for jump in jumps if jump.time != change.host_tsc]
        self.assertEqual(len(left), len(jumps) - 1)
        check('a damaged record', files, left, hosts, guests)

    def test_refused(self):
        """KernelShark names the file whose changes the plugin cannot read, and shows no marks"""
        files, *_ = made(self.directory, 'made', dict(host_cpus=4, vcpus=4), dict(version=6))
        with open(files[0], 'r+b') as file:
            data = file.read()
            # Extend the data of each CPU to the end of the file
            table = data.index(b'flyrecord\0') + len(b'flyrecord\0')
            for place in range(table, table + 4 * 16, 16):
                offset, = struct.unpack_from('<Q', data, place)
                file.seek(place + 8)
                file.write(struct.pack('<Q', len(data) - offset))
        output, errors = run([PROGRAM, PLUGIN, '--update', f'{WHOLE}:{10 ** 10}:{6 * 10 ** 10}', '--', *files])
        self.assertNotIn('cycles', output)
        self.assertIn(f'failed to initialize on stream {files[0]}', errors)


    def test_replaced(self):
        """A file is replaced by another one under the same name: the plugin shows no marks on the rows of the first"""
        host, guest = made(self.directory, 'made', dict(changes=20), {})[0]
        other = made(self.directory, 'other', dict(changes=20, seed=2), {})[0][0]
        window = f'{WHOLE}:0:0'
        output, _ = run([PROGRAM, PLUGIN, window, '--', guest, host])
        self.assertIn('cycles', output)
        output, _ = run([PROGRAM, PLUGIN, '--replace', other, window, '--', guest, host])
        self.assertNotIn('cycles', output)


class TestSlept(Case):
    def test_jumps(self):
        """The host's TSC went back, and KernelShark's rows are not in the order of time: each mark has its own jump"""
        scenario = Scenario(changes=6, suspend=(3, 40_000_000_000))
        scenario.write(self.directory)
        text, _ = run(['trace-cmd', 'report', '-i', self.path('host.dat')])
        wanted = set()
        for line in text.splitlines():
            match = LINE.search(line)
            if match and match['event'] == 'kvm_write_tsc_offset':
                vcpu, previous, following = map(int, OFFSETS.search(match['text']).groups())
                wanted.add((vcpu, int(match['time']), signed(following - previous)))
        output, _ = run([PROGRAM, PLUGIN, f'{WHOLE}:{10 ** 10}:{6 * 10 ** 10}', '--', self.path('host.dat')])
        seen = {(int(vcpu), int(seconds + fraction), int(cycles)) for vcpu, cycles, seconds, fraction
                in re.findall(r'vcpu (\d+): (\S+) cycles at (\d+)\.(\d{9})', output)}
        self.assertGreater(len(seen), 5)
        self.assertEqual(seen - wanted, set())


if __name__ == '__main__':
    hide_installed()
    main('trace-cmd')
