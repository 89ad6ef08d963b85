# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The trace.dat files of a recording of a generated history (vm_history.py).

    files = HistoryFiles(history, events, losses)
    files.write(directory)      host.dat, g1.dat, ...
    files.events                the events as in the files: the host's include those of the TSC offsets
    files.tsc(ns)               the host TSC of a time in the history
"""
import collections
import random

import trace_dat_writer as dat
from vm_history import CODES, HOST, Event, spans

# 2.6 GHz, in the kernel's factors
MULT, SHIFT = 6453039, 24
VMX = 1
OFFSET = -123_456_789_012
# Before the first event of a history
CREATED = 500_000


class HistoryFiles:
    def __init__(self, history, events=None, losses=(), tsc2nsec=True, unrecorded=(), copied=(), stats=None):
        """copied: names of the host's events that are in an instance as well; stats: the texts CPUSTAT of each
        machine"""
        self.history, self.losses, self.tsc2nsec, self.stats = history, losses, tsc2nsec, stats or {}
        self.copied = set(copied)
        self.random = random.Random(1)
        self.formats = {name: dat.Format.load(system, name) for system, name in (
            ('kvm', 'kvm_entry'), ('kvm', 'kvm_exit'), ('kvm', 'kvm_write_tsc_offset'), ('sched', 'sched_switch'),
            ('sched', 'sched_waking'), ('sched', 'sched_wakeup'), ('sched', 'sched_migrate_task'), ('ftrace', 'print'))}
        self.unrecorded = set(unrecorded)
        events = history.events if events is None else events
        self.offsets, created = {}, []
        for i, vcpu in enumerate(history.vcpus):
            self.offsets[vcpu.guest.number, vcpu.guest_cpu] = OFFSET - 1_000_000_000 * i
            created.append(Event(CREATED + i, HOST, 0, vcpu.thread.tid, 'kvm_write_tsc_offset', {
                'vcpu_id': vcpu.number, 'next_tsc_offset': OFFSET - 1_000_000_000 * i, 'previous_tsc_offset': 0}))
        self.events = sorted(created + [event for event in events if event.name not in self.unrecorded],
                             key=lambda event: event.time)
        self.times = {}

    def spans(self):
        """The known modes of each vCPU, like vm_history.py: unknown before the first kvm_entry or kvm_exit"""
        begin = min(event.time for event in self.events if event.machine == HOST)
        first = next(event.time for event in self.events if event.name in ('kvm_entry', 'kvm_exit'))
        found = spans(self.history, [event for event in self.events if event.time >= first],
                      [loss for loss in self.losses if loss.end > first])
        known = []
        for key in sorted({span[:2] for span in found}):
            mine = [span for span in found if span[:2] == key]
            before = mine[0]._replace(begin=begin, end=first, name='unknown', exit_reason=None,
                                      cause='before the first kvm event')
            known += [before, *mine] if first > begin else mine
        return known

    def tsc(self, ns):
        """A TSC value that is converted into this time; always the same one"""
        if not self.tsc2nsec:
            return ns
        if ns not in self.times:
            first = -(-(ns << SHIFT) // MULT)
            last = -(-(ns + 1 << SHIFT) // MULT) - 1
            self.times[ns] = self.random.randint(first, last)
        return self.times[ns]

    def record(self, event):
        fields = dict(event.fields)
        name = event.name
        if name == 'kvm_exit':
            fields.update(exit_reason=CODES[fields.pop('reason')], isa=VMX)
        elif name not in self.formats:
            name, fields = 'print', {'ip': 0xffffffff81000000, 'buf': b'something\n\0'}
        fields.pop('success', None)
        for key, value in fields.items():
            if isinstance(value, str):
                fields[key] = value.encode()
        return self.formats[name].record(event.pid, **fields)

    def pages(self, machine, cpu):
        writer = dat.PageWriter()
        lost = sorted(loss.end for loss in self.losses if (loss.machine, loss.cpu) == (machine, cpu))
        for event in self.events:
            if (event.machine, event.cpu) != (machine, cpu):
                continue
            time = self.tsc(event.time)
            if machine != HOST:
                time = time + self.offsets[machine, cpu] & (1 << 64) - 1
            if lost and lost[0] <= event.time:
                lost.pop(0)
                writer.lose(1)
            writer.add(time, self.record(event))
        return [b''.join(writer.pages())]

    def copies(self, cpu):
        """The instance's pages: each event is a little later than in the top buffer, and before the next one"""
        writer = dat.PageWriter()
        mine = [event for event in self.events if (event.machine, event.cpu) == (HOST, cpu)]
        for event, following in zip(mine, mine[1:]):
            if event.name in self.copied:
                time = self.tsc(event.time)
                writer.add(time + max(min(30, self.tsc(following.time) - time - 1), 0), self.record(event))
        return [b''.join(writer.pages())]

    def write(self, directory, **options):
        guests = [guest for guest in self.history.guests if guest.has_file]
        tids = collections.defaultdict(list)
        for vcpu in self.history.vcpus:
            tids[vcpu.guest.number].append(vcpu.thread.tid)
        links = [(dat.GUEST, dat.guest_option(f'vm{guest.number - 1}', 1000 + guest.number, tids[guest.number]))
                 for guest in guests]
        for machine, name in [(HOST, 'host'), *((guest.number, f'g{guest.number}') for guest in guests)]:
            mine = self.history.host if machine == HOST else self.history.guests[machine - 1]
            cpus = range(len(mine.current))
            more = [(dat.TRACECLOCK, dat.clock_text('x86-tsc')), (dat.UNAME, b'Linux test 6.1.0 x86_64\0'),
                    (dat.VERSION, b'3.1.6\0'), (dat.TRACEID, (1000 + machine).to_bytes(8, 'little'))]
            if self.tsc2nsec:
                more.append((dat.TSC2NSEC, MULT.to_bytes(4, 'little') + SHIFT.to_bytes(4, 'little') + bytes(8)))
            if machine == HOST:
                more += links
            names = {event.name if event.name in self.formats else 'print'
                     for event in self.events if event.machine == machine} | {'print'}
            more += [(dat.CPUSTAT, text) for text in self.stats.get(machine, ())]
            buffers = [dat.Buffer('', {cpu: self.pages(machine, cpu) for cpu in cpus})]
            if self.copied and machine == HOST:
                buffers.append(dat.Buffer('again', {cpu: self.copies(cpu) for cpu in cpus}))
            dat.write(f'{directory}/{name}.dat', buffers,
                      [self.formats[event] for event in sorted(names)], options=more, nr_cpus=len(cpus), **options)
        return [f'g{guest.number}.dat' for guest in guests]
