# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""A host with guests whose TSC offsets change, as the trace.dat files of a recording of them.

A scenario consists of segments of time. In a segment each host CPU runs one vCPU thread (or none), which enters and
leaves guest mode. The guest's events lie between an entry and the exit after it, in guest time: guest = (host * ratio
>> bits) + offset. Offsets change between segments. The parameters and the seed determine everything.

    scenario = Scenario(vms=2, vcpus=2, changes=3)
    truth = scenario.write(directory, version=7, compression='zstd')

writes host.dat and g1.dat, g2.dat; truth is what a reader must find. For each event, scenario.events('host') and
scenario.events('g1') have the time in the file and the host's time.
"""
import collections
import heapq
import json
import os
import random
import struct

import trace_dat_writer as dat

CYCLES_PER_MS = 2_596_100
# Times within a segment, in cycles after its start; changes are successive, before the first entry
SWITCH_IN, CHANGE, NEXT_CHANGE, FIRST_ENTRY = 100, 300, 50, 1000
# The thread id of a vCPU that is plugged in again is greater by REPLUGGED; that of a VM that moved to another process
# is greater by MOVED
REPLUGGED, MOVED = 700, 40_000
PATTERNS = 8
# Events of probes on the host: a load when the thread gets the CPU, and one when it continues after another thread
# wrote for it; a write shortly after its event
LOADED, LOADED_AGAIN, WRITTEN = 150, 900, 20
PROBES = 'write_offset', 'write_ratio', 'vcpu_load', 'vm_end'
# An event's copy in the next buffer is this much later
NEXT_COPY = 3
# A mark begins, its values are read, and its lines follow before anything else of the segment
MARK_BEGIN, MARK_READ, MARK_LINES = 10, 20, 30
# The probes' number of a VM, and the distance between two of them
VM_NUMBER, NEXT_NUMBER = 1181, 16
# KVM's number of the first VM, which exceeds 32 bits; the number of a moved VM is greater by MOVED_ID
FIRST_ID, MOVED_ID = (1 << 32) + 3, 100
MARK_IP, FORMAT_IP = 0xffffffff81000000, 0xffffffff82000000
MASK = (1 << 64) - 1

# time: as in the file; host_tsc: true time; cpu: of the machine of the file; pid: its common_pid; late: the file has
# another time, because the clock went backward in its page
Event = collections.namedtuple('Event', 'time host_tsc cpu pid name buffer late')
# A new offset, or a new ratio with an unchanged offset; recorded: the host's file has the event
Change = collections.namedtuple('Change', 'host_tsc previous offset previous_ratio ratio recorded')
# An element of a pattern: time since the segment's start, event, fields; lost: by the buffers that lose events
Item = collections.namedtuple('Item', 'time name pid fields lost', defaults=(False,))


def kvm_formats(patched, protected=False):
    """Formats of Debian's kernel, with our present patches ('id'), with earlier ones, or with earlier ones for 7.x"""
    formats = {name: dat.Format.load('kvm', name)
               for name in ('kvm_entry', 'kvm_exit', 'kvm_write_tsc_offset')}
    if patched:
        formats.update((name, dat.Format.load('kvm', name, 'kvm-patched-id' if patched == 'id' else 'kvm-patched'))
                       for name in ('kvm_write_tsc_offset', 'kvm_write_tsc_multiplier'))
    if protected:
        name = 'kvm_write_tsc_multiplier'
        formats[name] = dat.Format.load('kvm', name, 'kvm-patched-7')
    return formats


def probe_formats(protected=False):
    """Formats of lib/kvmhost/kvm_probes.c as Linux 6.1 prints them, and on a kernel with protected guests"""
    formats = {name: dat.Format.load('tsc_offset', name) for name in PROBES}
    if protected:
        for name in PROBES[:3]:
            text = formats[name].text.replace(
                '\n\nprint fmt', '\n\tfield:u8 tsc_protected;\toffset:61;\tsize:1;\tsigned:0;\n\nprint fmt')
            formats[name] = dat.Format('tsc_offset', text)
    return formats


def fixed_point(ratio, frac_bits):
    """A ratio in KVM's format; 0 without a ratio"""
    return round(ratio * (1 << frac_bits)) if ratio else 0


class VCPU:
    """A vCPU: CPU number index of its guest"""

    def __init__(self, vm, index, vcpu_id, tid, offset):
        self.vm, self.index, self.vcpu_id, self.tid = vm, index, vcpu_id, tid
        self.initial, self.initial_ratio = offset, vm.ratio
        self.changes = []

    def in_force(self, host):
        """The last change up to a host TSC; None before the first one"""
        last = None
        for change in self.changes:
            if change.host_tsc > host:
                break
            last = change
        return last

    def offset(self, host):
        change = self.in_force(host)
        return change.offset if change else self.initial

    def ratio(self, host):
        change = self.in_force(host)
        return change.ratio if change else self.initial_ratio

    def guest_tsc(self, host, at=None):
        """The guest's TSC at a host TSC, with the mapping at another host TSC if given"""
        at = host if at is None else at
        return self.vm.scaled(host, self.ratio(at)) + self.offset(at) & MASK


class VM:
    def __init__(self, name, pid, fd, trace_id, ratio, frac_bits):
        self.name, self.pid, self.fd, self.trace_id = name, pid, fd, trace_id
        self.ratio, self.frac_bits, self.protected = ratio, frac_bits, False
        self.vcpus = []
        # The probes' number, and the number of the last segment if the VM ends there
        self.number, self.last = 0, None
        # KVM's number
        self.kvm_id = 0
        # Numbers of segments that the guest does not remember
        self.forgotten = set()

    def scaled(self, host, ratio):
        return host * ratio >> self.frac_bits if ratio else host


class Run:
    """A vCPU on a host CPU in one segment"""

    def __init__(self, vcpu, cpu, start, pattern):
        self.vcpu, self.cpu, self.start, self.pattern = vcpu, cpu, start, pattern
        self.changes = []
        self.tid = vcpu.tid
        # The difference by which its process id is greater
        self.moved = 0

    def guest(self, time):
        """The guest's TSC at a time after the start; no change comes after the first entry"""
        host = self.start + time
        return self.vcpu.guest_tsc(host, self.start + FIRST_ENTRY - 1)


class Segment:
    def __init__(self, runs):
        self.on = {run.cpu: run for run in runs}
        self.of = {run.vcpu: run for run in runs}


class Scenario:
    """The parameters, all of them optional:

    vms, vcpus: guests, and vCPUs of each. vcpu_ids: KVM's numbers of them, if not 0, 1, ...
    host_cpus: fewer than vCPUs make them take turns.
    migrate: vCPU threads change the host CPU from segment to segment.
    segments: number of segments of time, stays: in guest mode in a segment, guest_events: most of them in a stay.
    events: about this many in all files together; determines the segments.
    changes: of each vCPU's offset; unchanged: repeated writes of the current offset.
    jump: (least, most) cycles of a change. direction: 'forward', 'backward' or 'both'.
    together: all vCPUs of a VM change at the same time and by the same amount.
    ratio: guest's frequency over the host's, frac_bits: 48 on Intel, 32 on AMD.
    rescale: ratios of each vCPU in sequence, each with an event if the kernel has one.
    boot: the host's recording has the first write of each vCPU, previous offset 0.
    plugged: [(VM, vCPU)], by number from 0 on, of which the same holds: they are plugged in later than the others.
    age: the guests' TSC at the start, if not random and less than half of the host's.
    resets: segments in which the VMM sets each vCPU's TSC to 0, as at a guest's boot; other changes come after
        them. With boot the vCPUs are created in the first of them.
    patched: the events and fields of the patched kernel: with 'id' those of the present patches, which number VMs, else
        those of earlier ones, with the thread that created the VM and its file descriptor. one_process: the VMs are of
        one VMM, whose first thread writes the offsets of all of them.
    protected: VMs, by number from 0 on, whose TSC KVM does not know. The kernel has our patches for 7.x: each
        of their vCPUs has one event at its creation, with an offset that differs from the guest's. With probes
        the kernel is a stock one, without events of them.
    tdx: VMs whose TSC KVM cannot change, but knows: the probes report it.
    probes: the events of our probes on a stock kernel.
    marks: {segment: edit} in which tsc-offset mark ran. edit(vcpu, values) changes the values of a line, or is None;
        if it returns a text, that replaces the line. unbegun: the line that begins a mark is missing.
    nameless: the VMs have no directory in debugfs, from which probes take their names.
    nested: vCPUs run nested guests: whenever they leave guest mode, the current values are written once more.
    lives: the VMs exist in sequence, in one process, with the same name and the same threads. Their numbers by the
        probes alternate between two.
    previous_zero: the previous offset is always reported as 0.
    foreign_writer: a thread of the VMM that runs no vCPU writes the offsets.
    host_segments, guest_segments: (first, last + 1) of the segments that were recorded.
    host_instances, guest_instances: {name: names of events} that went into an instance's buffer.
    host_split: decides instead into which of these an event of the host went, with '' for the top buffer:
        host_split(event's name, run, number of the segment) returns their names. In each of several it has a
        different time.
    host_clocks: {name: clock} of those with another clock name, with the same times.
    lose_every: in one of this many segments each CPU of the host lost a third of its events.
    lose_in: names of the host's buffers with losses, if not all.
    guest_lose_every: the same for each CPU of a guest. lost_counts: the pages have the numbers.
    lose_changes: [(VM, vCPU, change)], by number from 0 on, that were lost.
    unseen: vCPUs of each VM, by number from 0 on, without any KVM event in the host's recording.
    unrecorded: names of events that the host did not record, including probes.
    missing_exits: a filter removed one in this many kvm_exit. missing_last: [(VM, vCPU, segment)], by number from 0
        on, whose last kvm_exit in the segment it removed.
    tids: for each VM the threads of its vCPUs, if not in the order of their numbers, VM after VM.
    replugs: [(VM, vCPU, segment)] from which on another thread runs the vCPU.
    loads: [(VM, saved, loaded)]: at the begin of one segment the VM returns to its state at the end of another: its
        TSCs are set to 0 and then to their old values, and the guest remembers nothing of the time between.
    moves: the same for a VM that is loaded in another process, which creates new vCPUs.
    suspend: (segment, cycles): the host slept before the segment, and its own TSC went back by this amount: from
        there on, times of the host, including host_tsc of events, are less. The guests' TSCs continue: each vCPU's
        offset is written.
    exit_isa: isa in kvm_exit: 1 Intel, 2 AMD. release: of the host's kernel.
    host_options, guest_options: [(number, bytes)] that the files have in addition.
    corrected: the guests' files have the host's times, as after trace-cmd split of synchronised ones.
    absolute_every: one in this many events has an absolute time stamp.
    discard_every: after each of this many events a place in the page was left empty.
    idle: one in this many pauses of a vCPU exceeds the 27 bits of an event's time.
    bulk: whole segments are written as copies of each other; for large files.
    start: host TSC of the first segment. linked: the files are linked, as by trace-cmd record -A.
    seed: of all random choices.
    """

    def __init__(self, vms=1, vcpus=2, vcpu_ids=None, host_cpus=None, migrate=True, segments=None, stays=20,
                 guest_events=5, events=None, changes=1, unchanged=0, jump=(1_000_000, 1_000_000_000),
                 direction='forward', together=False, ratio=None, frac_bits=48, rescale=(), boot=False, plugged=(), age=0,
                 resets=(), patched=False, one_process=False, protected=(), tdx=(),
                 probes=False, nested=False, lives=False, nameless=False, marks=None, unbegun=False,
                 previous_zero=False, foreign_writer=False, host_segments=None, guest_segments=None,
                 host_instances=None, guest_instances=None, host_split=None, host_clocks=None,
                 lose_every=0, lose_in=None, guest_lose_every=0,
                 lost_counts=True, lose_changes=(), unseen=(), unrecorded=(), missing_exits=0, missing_last=(),
                 tids=None, replugs=(), loads=(), moves=(), suspend=None, exit_isa=2, release='6.1.0',
                 host_options=(), guest_options=(), corrected=False, absolute_every=0, discard_every=0, idle=50,
                 bulk=False, start=50_000_000_000, linked=True, seed=1):
        if bulk and (ratio or rescale or absolute_every or discard_every or suspend or probes):
            raise ValueError('copies cannot be scaled, nor have probes, absolute time stamps or discarded events')
        self.random = random.Random(seed)
        patched = patched or bool(protected) and not probes
        self.reports_protection = probes or bool(protected)
        self.probes, self.nested, self.nameless = probes, nested, nameless
        self.host_formats = {**kvm_formats(patched, protected and not probes),
                             'sched_switch': dat.Format.load('sched', 'sched_switch')}
        self.marks, self.unbegun = marks or {}, unbegun
        if self.marks:
            self.host_formats['print'] = dat.Format.load('ftrace', 'print')
        if probes:
            self.host_formats.update(probe_formats(protected or tdx))
        self.guest_formats = {name: dat.Format.load(system, name) for system, name in (
            ('ftrace', 'print'), ('ftrace', 'bprint'), ('sched', 'sched_switch'),
            ('raw_syscalls', 'sys_enter'), ('raw_syscalls', 'sys_exit'))}
        self.host_trace_id = self.random.getrandbits(63)
        self.host_cpus = host_cpus or vms * vcpus
        self.patched, self.previous_zero, self.foreign_writer = patched, previous_zero, foreign_writer
        self.one_process = one_process
        self.instances = {'host': host_instances or {}, 'guest': guest_instances or {}}
        self.host_split, self.host_clocks, self.lose_in = host_split, host_clocks or {}, lose_in
        self.lose_every = {'host': lose_every, 'guest': guest_lose_every}
        self.lost_counts, self.lose_changes = lost_counts, set(lose_changes)
        self.unseen, self.unrecorded, self.missing_exits = set(unseen), set(unrecorded), missing_exits
        self.exit_isa, self.release, self.corrected = exit_isa, release, corrected
        self.more_options = {'host': list(host_options), 'guest': list(guest_options)}
        self.absolute_every, self.discard_every = absolute_every, discard_every
        self.bulk, self.linked, self.boot, self.resets = bulk, linked, boot, resets
        self.plugged = set(plugged)
        self.guest_events, self.idle = guest_events, idle
        self.cache = {}

        self.vms = []
        for number in range(vms):
            pid = 2000 if lives else 2000 + 100 * number
            vm = VM(f'g{number + 1}', 2000 if one_process else pid, 12 if lives else 12 + number,
                    self.random.getrandbits(63), fixed_point(ratio, frac_bits), frac_bits)
            vm.protected, vm.tdx = number in protected, number in tdx
            vm.kvm_id = FIRST_ID + number
            vm.number = VM_NUMBER + NEXT_NUMBER * (number % 2 if lives else number)
            # The guest's TSC was 0 when it booted, some seconds before
            tsc = age or self.random.randrange(CYCLES_PER_MS * 1000, start // 2)
            offset = tsc - vm.scaled(start, vm.ratio)
            for index in range(vcpus):
                vm.vcpus.append(VCPU(vm, index, vcpu_ids[index] if vcpu_ids else index,
                                     tids[number][index] if tids else pid + 10 + index, offset))
            self.vms.append(vm)
        self.vcpus = [vcpu for vm in self.vms for vcpu in vm.vcpus]
        self.missing_last = {(self.vms[vm].vcpus[vcpu], number) for vm, vcpu, number in missing_last}

        self.patterns = [self._pattern(number, stays) for number in range(PATTERNS)]
        if events:
            per_segment = sum(map(len, self.patterns)) / PATTERNS * min(self.host_cpus, len(self.vcpus))
            segments = max(2, round(events / per_segment))
        self._segments(start, segments or 2 * (changes + unchanged + len(rescale) + 1), migrate, lives)
        self.host_segments = host_segments or (0, len(self.segments))
        self.guest_segments = guest_segments or (0, len(self.segments))
        self.suspend, self.moves = suspend, moves
        loads = [*loads, *moves]
        for number, saved, loaded in loads:
            self.vms[number].forgotten.update(range(saved + 1, loaded))
        for number, _, loaded in moves:
            for run in (run for segment in self.segments[loaded:] for run in segment.of.values()):
                run.moved = MOVED if run.vcpu.vm is self.vms[number] else 0
                run.tid += run.moved
        for number, index, segment in replugs:
            for later in self.segments[segment:]:
                run = later.of.get(self.vms[number].vcpus[index])
                if run:
                    run.tid = run.vcpu.tid + REPLUGGED
        self._changes(changes, unchanged, jump, direction, together, rescale, loads)

    # What happens in a segment

    def _pattern(self, number, stays):
        """What a vCPU does in a segment, on both sides; names of the guest's events begin with a dot"""
        rnd, items, task, call = self.random, [], 0, None
        time = FIRST_ENTRY

        def switch(to):
            def comm(pid):
                return f'work-{pid}'.encode() if pid else b'swapper'
            return Item(time, '.sched_switch', task, dict(
                prev_comm=comm(task), prev_pid=task, prev_prio=120, prev_state=0 if task else 1,
                next_comm=comm(to), next_pid=to, next_prio=120))

        for stay in range(stays):
            rip = 0xffffffff81100000 + rnd.randrange(1 << 20)
            items.append(Item(time, 'kvm_entry', None, dict(rip=rip)))
            for _ in range(rnd.randint(0, self.guest_events)):
                time += rnd.randint(200, 20_000)
                kind = rnd.randrange(5) if task else 0
                if call is not None and kind in (0, 1):
                    items.append(Item(time, '.sys_exit', task, dict(id=call, ret=rnd.randrange(100))))
                    call = None
                elif kind == 0:
                    to = rnd.choice([pid for pid in (0, 201, 202, 203) if pid != task])
                    items.append(switch(to))
                    task = to
                elif kind == 1:
                    call = rnd.randrange(300)
                    args = b''.join(rnd.getrandbits(40).to_bytes(8, 'little') for _ in range(6))
                    items.append(Item(time, '.sys_enter', task, dict(id=call, args=args)))
                elif kind == 2:
                    words = rnd.getrandbits(32).to_bytes(4, 'little')
                    items.append(Item(time, '.bprint', task, dict(ip=MARK_IP, fmt=FORMAT_IP, buf=words)))
                else:
                    # From a few bytes to more than fit into a small event
                    text = f'pattern {number} stay {stay} '.encode() + b'x' * rnd.choice((0, 3, 150))
                    items.append(Item(time, '.print', task, dict(ip=MARK_IP, buf=text + b'\n\0')))
            if stay == stays - 1 and task:
                time += 500
                items.append(switch(0))
            time += rnd.randint(200, 20_000)
            items.append(Item(time, 'kvm_exit', None, dict(
                exit_reason=rnd.choice((0x60, 0x72, 0x78, 0x7b, 0x7c)), guest_rip=rip + 16, isa=self.exit_isa)))
            time += rnd.randint(500, 20_000)
            if self.idle and not rnd.randrange(self.idle):
                time += rnd.randint(1 << 27, 1 << 29)
        items.insert(0, Item(SWITCH_IN, 'sched_switch', 0, dict(
            prev_comm=b'swapper', prev_prio=120, next_prio=120)))
        items.append(Item(time + 100, 'sched_switch', None, dict(
            prev_prio=120, prev_state=1, next_comm=b'swapper', next_prio=120)))
        return items

    def _segments(self, start, number, migrate, lives):
        self.segments = []
        for i in range(number):
            cpus = list(range(self.host_cpus))
            vcpus = list(self.vcpus)
            if lives:
                vm = self.vms[i * len(self.vms) // number]
                vcpus, vm.last = vm.vcpus[:], i
            if migrate:
                self.random.shuffle(cpus)
            if len(vcpus) > len(cpus):
                self.random.shuffle(vcpus)
            runs = [Run(vcpu, cpu, start + self.random.randrange(10_000), self.random.choice(self.patterns))
                    for vcpu, cpu in zip(vcpus, cpus)]
            self.segments.append(Segment(runs))
            start = max(run.start + run.pattern[-1].time for run in runs) + 1000

    def _changes(self, number, unchanged, jump, direction, together, rescale, loads):
        """Decide when each vCPU's offset is written, and what is written"""
        for v, vm in enumerate(self.vms):
            leader = None
            for vcpu in vm.vcpus:
                running = [i for i, segment in enumerate(self.segments) if vcpu in segment.of]
                if vm.protected:
                    # KVM's own values, which the guest does not have
                    run = self.segments[running[0]].of[vcpu]
                    run.changes = [] if self.probes else [Change(run.start + CHANGE, 0, 0, 0, 1 << vm.frac_bits,
                                          vcpu.index not in self.unseen)]
                    continue
                own_loads = [(saved, loaded) for of, saved, loaded in loads if of == v]
                later = [at for at in running[1:] if at > max(self.resets, default=-1) and
                         at not in [loaded for _, loaded in own_loads]]
                if number + unchanged + len(rescale) > len(later):
                    raise ValueError('more changes than segments in which a vCPU runs')
                when = self.random.sample(later, number + unchanged + len(rescale))
                sizes = []
                for _ in range(number):
                    size = self.random.randint(*jump)
                    back = direction == 'backward' or direction == 'both' and self.random.random() < 0.5
                    sizes.append(-size if back else size)
                sizes += [0] * unchanged
                scaling = when[len(sizes):]
                when = when[:len(sizes)]
                if together and leader:
                    when, sizes = leader
                leader = when, sizes
                plan = sorted([(at, size, 0) for at, size in zip(when, sizes)] +
                              [(at, 0, fixed_point(ratio, vm.frac_bits))
                               for at, ratio in zip(sorted(scaling), rescale)])
                offset, ratio = vcpu.initial, vcpu.initial_ratio
                plan = [(at, None, 0) for at in self.resets] + plan
                if self.suspend:
                    plan.insert(0, (self.suspend[0], 0, 0))
                for saved, loaded in own_loads:
                    plan += [(loaded, None, 0), (loaded, ('saved', saved), 0)]
                # Changes of one segment stay in the order in which they are written
                plan.sort(key=lambda entry: entry[0])
                if self._is_new(vcpu):
                    # Nothing ran before the first write
                    if not self.resets:
                        plan.insert(0, (running[0], offset, 0))
                    offset = vcpu.initial = 0
                for i, (at, size, scaling) in enumerate(plan):
                    if at not in running:
                        raise ValueError('vCPUs that take turns cannot change together')
                    run = self.segments[at].of[vcpu]
                    when = run.start + CHANGE + NEXT_CHANGE * len(run.changes)
                    if size is None:
                        size = -vm.scaled(when, ratio) - offset
                    elif isinstance(size, tuple):
                        saved = self.segments[size[1]].of[vcpu]
                        tsc = saved.guest(saved.pattern[-1].time + 1)
                        size = tsc - vm.scaled(when, ratio) - offset
                    seen = (self.host_segments[0] <= at < self.host_segments[1] and
                            vcpu.index not in self.unseen)
                    run.changes.append(Change(when, offset, offset + size, ratio, scaling or ratio,
                                              seen and (v, vcpu.index, i) not in self.lose_changes))
                    vcpu.changes.append(run.changes[-1])
                    offset += size
                    ratio = run.changes[-1].ratio

    def _is_new(self, vcpu):
        """Is it created in the recording?"""
        return self.boot or (self.vms.index(vcpu.vm), vcpu.index) in self.plugged

    # What the files contain

    def _back(self, segment):
        """The amount by which the host's TSC is less in a segment because the host slept"""
        return self.suspend[1] if self.suspend and segment >= self.suspend[0] else 0

    def _change_event(self, vcpu, change, number, first):
        """number: of the segment. first: it is the vCPU's first change in the segment"""
        fields = dict(vcpu_id=vcpu.vcpu_id)
        back, back_before = self._back(number), self._back(number - 1 if first else number)
        previous = change.previous + back_before
        # The vCPU was created again
        if self.previous_zero or first and any(number == loaded and self.vms[vm] is vcpu.vm
                                               for vm, _, loaded in self.moves):
            previous = 0
        if self.patched:
            fields.update(tsc_scaling_ratio_frac_bits=vcpu.vm.frac_bits)
        if self.patched == 'id':
            fields.update(vm_id=vcpu.vm.kvm_id + (MOVED_ID if self.segments[number].of[vcpu].moved else 0))
        elif self.patched:
            fields.update(vm_pid=vcpu.vm.pid, vm_fd=vcpu.vm.fd)
        if change.ratio != change.previous_ratio:
            return 'kvm_write_tsc_multiplier', dict(fields, previous_tsc_scaling_ratio=change.previous_ratio,
                                                    next_tsc_scaling_ratio=change.ratio, tsc_offset=change.offset + back,
                                                    **({'tsc_protected': True} if vcpu.vm.protected else {}))
        if self.patched:
            fields.update(tsc_scaling_ratio=change.ratio)
        return 'kvm_write_tsc_offset', dict(fields, next_tsc_offset=change.offset + back,
                                            previous_tsc_offset=previous)

    def _probe(self, name, pid, run, number, time, nested=0, **fields):
        """The values of the vCPU at a time of a segment; nested: what a nested guest adds"""
        vcpu, vm, at = run.vcpu, run.vcpu.vm, run.start + time
        # KVM writes the offset again after the host slept
        back = self._back(number - 1 if run.changes and at < run.changes[0].host_tsc else number)
        offset = 0 if vm.protected else vcpu.offset(at) + back
        more = {'tsc_protected': vm.protected or vm.tdx} if 'tsc_protected' in self.host_formats[name].fields else {}
        return Item(time, name, pid, {**dict(
            **self._vm_fields(run), vm_name=b'' if self.nameless else f'{vm.pid + run.moved}-{vm.fd}\0'.encode(), vcpu_id=vcpu.vcpu_id,
            l1_offset=offset, offset=offset + nested, l1_ratio=vcpu.ratio(at) or 1 << vm.frac_bits,
            frac_bits=vm.frac_bits), **more, **fields})

    def _vm_fields(self, run):
        vm = run.vcpu.vm
        return dict(vm=vm.number + (NEXT_NUMBER // 2 if run.moved else 0), vm_pid=vm.pid + run.moved)

    def _loads(self, run, number, pid):
        """Before the first write: the vCPU is made, or its thread gets the CPU"""
        vcpu = run.vcpu
        moved_here = any(number == loaded and self.vms[vm] is vcpu.vm for vm, _, loaded in self.moves)
        if moved_here or self._is_new(vcpu) and run.changes and run.changes[0] is vcpu.changes[0]:
            yield self._probe('vcpu_load', pid, run, number, LOADED, l1_offset=0, offset=0, l1_ratio=0)
            for i, name in enumerate(('write_ratio', 'vcpu_load'), 1):
                yield self._probe(name, pid, run, number, LOADED + 10 * i, l1_offset=0, offset=0)
        else:
            yield self._probe('vcpu_load', run.tid, run, number, LOADED)

    def _mark_items(self, run, number):
        """All lines of a mark, on the CPU of the first run"""
        runs = self.segments[number].on
        if number not in self.marks or run is not runs[min(runs)]:
            return
        back, edit = self._back(number), self.marks[number]
        begin = [] if self.unbegun else ['begin']
        at = run.start + MARK_READ
        lines = []
        for vcpu in self.vcpus:
            vm = vcpu.vm
            values = {'vm': f'{vm.pid}-{vm.fd}', 'vcpu': vcpu.vcpu_id, 'thread': vcpu.tid, 'offset': vcpu.offset(at) + back,
                      'ratio': vcpu.ratio(at) or 1 << vm.frac_bits, 'bits': vm.frac_bits, 'protected': int(vm.protected),
                      'from': at - back, 'until': at - back, **({'id': vm.kvm_id} if self.patched == 'id' else {})}
            text = edit and edit(vcpu, values)
            lines.append(text or ' '.join(f'{name}={value}' for name, value in values.items()))
        for time, line in [(MARK_BEGIN, line) for line in begin] + \
                [(MARK_LINES + i, line) for i, line in enumerate(lines)]:
            version = 2 if ' id=' in line else 1
            yield Item(time, 'print', 4000, dict(ip=MARK_IP, buf=f'tsc-offset mark {version} {line}\n\0'.encode()))

    def _writes(self, run, number, pid):
        """The event of each change and the events of probes, in the order of time"""
        for change in run.changes:
            name, fields = self._change_event(run.vcpu, change, number, change is run.changes[0])
            at = change.host_tsc - run.start
            # A stock kernel has no event for the ratio
            items = [Item(at, name, pid, fields)] if name in self.host_formats else []
            if self.probes:
                probe = 'write_ratio' if change.ratio != change.previous_ratio else 'write_offset'
                items.append(self._probe(probe, pid, run, number, at)._replace(time=at + WRITTEN))
            if self.probes and pid != run.tid:
                items.insert(0, self._probe('vcpu_load', pid, run, number, at - 1)._replace(time=at - WRITTEN))
            for item in items:
                yield item._replace(lost=not change.recorded)
        if self.probes and pid != run.tid:
            yield self._probe('vcpu_load', run.tid, run, number, LOADED_AGAIN)

    def _host_items(self, run, number):
        vcpu, written = run.vcpu, False
        hidden = vcpu.index in self.unseen
        filtered = random.Random(run.start)
        exits = [item for item in run.pattern if item.name == 'kvm_exit']
        last = exits[-1] if (vcpu, number) in self.missing_last else None
        pid = 2000 if self.one_process else vcpu.vm.pid + 1 if self.foreign_writer else run.tid
        yield from self._mark_items(run, number)
        for item in run.pattern:
            if item.name.startswith('.') or item.name.startswith('kvm') and hidden:
                continue
            if item.time > CHANGE and not written and not hidden:
                written = True
                if self.probes:
                    yield from self._loads(run, number, pid)
                yield from self._writes(run, number, pid)
            if item is last:
                continue
            if item.name == 'kvm_exit' and self.missing_exits and not filtered.randrange(self.missing_exits):
                continue
            fields = dict(item.fields)
            if item.name == 'sched_switch':
                role = 'next' if item.time == SWITCH_IN else 'prev'
                fields.update({f'{role}_comm': f'CPU {vcpu.index}/KVM'.encode(), f'{role}_pid': run.tid})
            else:
                fields['vcpu_id'] = vcpu.vcpu_id
            yield Item(item.time, item.name, run.tid if item.pid is None else item.pid, fields)
            if self.nested and item.name == 'kvm_exit':
                yield self._probe('write_offset', run.tid, run, number, item.time + 100, nested=-12345)
                yield self._probe('write_offset', run.tid, run, number, item.time + 200)
        if self.probes and self._ends(run, number):
            yield Item(item.time + 50, 'vm_end', vcpu.vm.pid + run.moved, self._vm_fields(run))

    def _ends(self, run, number):
        """Whether this is the last run of a VM that ends"""
        vm = run.vcpu.vm
        runs = [other for other in self.segments[number].on.values() if other.vcpu.vm is vm]
        last = vm.last == number or any(self.vms[of] is vm and loaded == number + 1 for of, _, loaded in self.moves)
        return last and run is max(runs, key=lambda other: other.start + other.pattern[-1].time)

    def _guest_items(self, run):
        for item in run.pattern:
            if item.name.startswith('.'):
                yield item._replace(name=item.name[1:])

    def _items(self, side, run, number):
        """The items of a CPU in a segment, including lost ones"""
        items = self._guest_items(run)
        if side == 'host':
            items = (item for item in self._host_items(run, number) if item.name not in self.unrecorded)
        if not self._loses(side, number):
            return items
        items = list(items)
        third = len(items) // 3
        for i in range(third, 2 * third):
            items[i] = items[i]._replace(lost=True)
        return items

    def _loses(self, side, number):
        every = self.lose_every[side]
        return every and number % every == every - 1

    def _delay(self, side, event, run, number, buffer):
        """The delay of an event in a buffer; None if the buffer does not have the event"""
        if side == 'host' and self.host_split:
            buffers = self.host_split(event, run, number)
            return NEXT_COPY * buffers.index(buffer) if buffer in buffers else None
        instance = next((name for name, events in self.instances[side].items() if event in events), '')
        return 0 if instance == buffer else None

    def _fill(self, writer, side, run, number, buffer, base, events):
        """Write a segment's events, with base subtracted from their times"""
        formats = self.host_formats if side == 'host' else self.guest_formats
        cpu = run.cpu if side == 'host' else run.vcpu.index
        back = self._back(number)
        # A clock does not go back within a page
        if back and side == 'host' and number == self.suspend[0]:
            writer.close_page()
        for item in self._items(side, run, number):
            delay = self._delay(side, item.name, run, number, buffer)
            if delay is None:
                continue
            if item.lost and (side == 'guest' or not self.lose_in or buffer in self.lose_in):
                writer.lose(1 if self.lost_counts else None)
                self.lost[cpu] += 1
                continue
            of_host = side == 'host' or self.corrected
            time = run.start + item.time + delay - back if of_host else run.guest(item.time)
            self.written += 1
            # A guest's events are items of its patterns, which live as long as the scenario
            key = (item.name, item.pid, id(item.fields)) if side == 'guest' else None
            record = self.cache.get(key) or formats[item.name].record(item.pid, **item.fields)
            if key:
                self.cache[key] = record
            read = writer.add(time - base, record, self.absolute_every and self.written % self.absolute_every == 0)
            if self.discard_every and self.written % self.discard_every == 0:
                writer.discard()
            self.counts[item.name] += 1
            if events is not None:
                events.append(Event(read + base, run.start + item.time - back, cpu, item.pid, item.name, buffer,
                                    read != time - base))

    def _pages(self, machine, cpu, buffer, page_size, long_size, events=None):
        """Generate the pages of a CPU's buffer; the machine is 'host' or a VM"""
        side = 'host' if machine == 'host' else 'guest'
        writer = dat.PageWriter(page_size, long_size)
        for number in range(*(self.host_segments if side == 'host' else self.guest_segments)):
            segment = self.segments[number]
            run = segment.on.get(cpu) if side == 'host' else segment.of.get(machine.vcpus[cpu])
            if not run or side == 'guest' and number in machine.forgotten:
                continue
            if not self.bulk:
                self._fill(writer, side, run, number, buffer, 0, events)
                yield b''.join(writer.take())
                continue
            base = run.start if side == 'host' else run.guest(0)
            # Patterns live as long as the scenario
            key = side, id(run.pattern), run.vcpu, run.tid, buffer, page_size, long_size
            if events is not None or self._loses(side, number) or (side == 'host' and run.changes):
                self._fill(writer, side, run, number, buffer, base, events)
                pages = writer.pages()
                yield dat.rebase(b''.join(pages), page_size, map(dat.page_time, pages), base)
                continue
            if key not in self.cache:
                counts, self.counts = self.counts, collections.Counter()
                self._fill(writer, side, run, number, buffer, base, None)
                pages = writer.pages()
                self.cache[key] = b''.join(pages), list(map(dat.page_time, pages)), self.counts
                self.counts = counts
            pages, times, counts = self.cache[key]
            self.counts.update(counts)
            yield dat.rebase(pages, page_size, times, base)
        yield b''.join(writer.pages())

    def _recording(self, machine):
        """Begin a recording: reset the counts"""
        self.counts, self.lost, self.written = collections.Counter(), collections.Counter(), 0
        names = ['', *self.instances['host' if machine == 'host' else 'guest']]
        cpus = range(self.host_cpus) if machine == 'host' else range(len(machine.vcpus))
        return names, cpus

    def events(self, name, page_size=4096, long_size=8):
        """All events of the file name ('host', 'g1', ...) in the order of their times in the file"""
        machine = 'host' if name == 'host' else next(vm for vm in self.vms if vm.name == name)
        names, cpus = self._recording(machine)
        streams = []
        for buffer in names:
            for cpu in cpus:
                streams.append([])
                for _ in self._pages(machine, cpu, buffer, page_size, long_size, streams[-1]):
                    pass
        # Like readers: always the CPU whose next event is the earliest, even if its times go backward
        return list(heapq.merge(*streams, key=lambda event: event.time))

    def recorded_span(self):
        """(first, last) host TSC of the host's events"""
        def of_segment(number):
            return [run.start + item.time - self._back(number) for run in self.segments[number].on.values()
                    for item in self._items('host', run, number)
                    if any(self._delay('host', item.name, run, number, buffer) is not None and
                           not (item.lost and (not self.lose_in or buffer in self.lose_in))
                           for buffer in ('', *self.instances['host']))]
        numbers = range(*self.host_segments)
        # The times of segments do not overlap
        first = next(filter(None, map(of_segment, numbers)))
        last = next(filter(None, map(of_segment, reversed(numbers))))
        return min(first), max(last)

    def points(self, vm):
        """The sync points that convert a guest's file to host time: for each vCPU [(guest time, host minus guest)].

        They are right only if no offset goes backward and the TSC is not scaled.
        """
        cpus = []
        for vcpu in vm.vcpus:
            begin, end = self.span()
            points = [(begin + vcpu.offset(0), -vcpu.offset(0))]
            for change in vcpu.changes:
                if change.offset > change.previous:
                    at = change.host_tsc + change.offset
                    points += [(at - 1, -change.previous), (at, -change.offset)]
            points.append((end + vcpu.offset(end), -vcpu.offset(end)))
            cpus.append(points)
        # Readers require the same number for all vCPUs: add points on the last line
        most = max(map(len, cpus))
        for points in cpus:
            while len(points) < most:
                points.append((points[-1][0] + CYCLES_PER_MS, points[-1][1]))
        return cpus

    def polled(self, vm):
        """The two samples that trace-cmd's own protocol takes, at the begin and the end"""
        return [[(vcpu.guest_tsc(host), -vcpu.offset(host)) for host in self.span()] for vcpu in vm.vcpus]

    def span(self):
        """Host TSCs before the first and after the last event"""
        first, last = self.segments[0].on.values(), self.segments[-1].on.values()
        return min(run.start for run in first), max(run.start + run.pattern[-1].time + 1 for run in last)

    def write(self, directory, time_shift=None, tsc2nsec=None, only=None, **options):
        """Write the files; return the truth, which truth.json has as well.

        only: the VMs whose files are written, if not all.
        time_shift: 'exact' for the option of points(), 'stock' for that of polled(), in the guests' files.
        tsc2nsec: (mult, shift, offset). options: arguments of trace_dat_writer.write().
        """
        def recorded(machine, path, formats, more, cmdlines):
            names, cpus = self._recording(machine)
            sizes = options.get('page_size', 4096), options.get('long_size', 8)
            clocks = self.host_clocks if machine == 'host' else {}
            buffers = [dat.Buffer(name, {cpu: self._pages(machine, cpu, name, *sizes) for cpu in cpus},
                                  clocks.get(name, 'x86-tsc'), sizes[0]) for name in names]
            common = [(dat.TRACECLOCK, dat.clock_text('x86-tsc')),
                      (dat.UNAME, f'Linux test {self.release} x86_64\0'.encode()), (dat.VERSION, b'3.1.6\0')]
            common += self.more_options['host' if machine == 'host' else 'guest']
            lost = collections.Counter()
            if any(self.lose_every.values()) or self.lose_changes:
                # The statistics precede the pages: make them twice
                for name in names:
                    for cpu in cpus:
                        collections.deque(self._pages(machine, cpu, name, *sizes), 0)
                lost = self.lost
                self._recording(machine)
            common += [(dat.CPUSTAT, dat.stats_option(cpu, lost[cpu])) for cpu in cpus]
            if tsc2nsec:
                common.append((dat.TSC2NSEC, struct.pack('<IIQ', *tsc2nsec)))
            # trace-cmd writes the formats of recorded events
            formats = [item for name, item in formats.items() if name not in self.unrecorded]
            dat.write(os.path.join(directory, path), buffers, formats, options=common + more,
                      cmdlines=cmdlines, nr_cpus=len(cpus), printk=f'{FORMAT_IP:#x} : "counted %u\\n"\n',
                      kallsyms=f'{MARK_IP:x} T tracing_mark_write\n', **options)
            return {'file': path, 'counts': dict(self.counts),
                    'lost': [lost[cpu] for cpu in cpus]}

        def trace_id(number):
            return [(dat.TRACEID, number.to_bytes(8, 'little'))]

        tasks = ''.join(f'{vcpu.tid} CPU {vcpu.index}/KVM\n' for vcpu in self.vcpus) + \
            ''.join(f'{vm.pid} qemu-{vm.name}\n' for vm in self.vms)
        guests = [(dat.GUEST, dat.guest_option(vm.name, vm.trace_id, [vcpu.tid for vcpu in vm.vcpus]))
                  for vm in self.vms] if self.linked else []
        truth = {'host': {**recorded('host', 'host.dat', self.host_formats,
                                     trace_id(self.host_trace_id) + guests, tasks),
                          'trace_id': self.host_trace_id}, 'guests': []}
        for vm in self.vms if only is None else only:
            more = trace_id(vm.trace_id)
            if time_shift:
                samples, flags = (self.points(vm), 1) if time_shift == 'exact' else (self.polled(vm), 0)
                more.append((dat.TIME_SHIFT, dat.time_shift_option(self.host_trace_id, flags, samples)))
            tasks = ''.join(f'{pid} work-{pid}\n' for pid in (201, 202, 203))
            truth['guests'].append({
                **recorded(vm, f'{vm.name}.dat', self.guest_formats, more, tasks),
                'name': vm.name, 'trace_id': vm.trace_id, 'pid': vm.pid, 'fd': vm.fd, 'protected': vm.protected,
                'kvm_id': vm.kvm_id if self.patched == 'id' else None,
                'reports_protection': self.reports_protection,
                'ratio': vm.ratio,
                'frac_bits': vm.frac_bits, 'vcpus': [{
                    'vcpu_id': vcpu.vcpu_id, 'tid': vcpu.tid, 'initial': vcpu.initial,
                    'changes': [change._asdict() for change in vcpu.changes]} for vcpu in vm.vcpus]})
        with open(os.path.join(directory, 'truth.json'), 'w') as file:
            json.dump(truth, file, indent=1)
        return truth
