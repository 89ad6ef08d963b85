# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""The correct results of the PerfettoSQL module and of explain for a recording, computed slowly from its events.

The definitions are those of tsc-offset-perfetto(7). This code is independent of the SQL and C code.

    answers = Answers(events, spans, losses)
    answers.states, .steals, .exits, .wakeups, .times
"""
import bisect
import collections

HOST = 0
HALTS = 'HLT', 'MWAIT', 'MWAIT_INSTRUCTION', 'MWAIT_COND'
WAKES = 'sched_waking', 'sched_wakeup'
NO_SCHED, BEFORE, MISSING = 'no sched events', 'no sched event of the thread before', 'sched events missing'

State = collections.namedtuple('State', 'vm vcpu ts dur state thread_state cause')
Steal = collections.namedtuple('Steal', 'vm vcpu ts dur kind preemptor preemptor_task task')
Exit = collections.namedtuple('Exit', 'vm vcpu ts dur reason task handling halted stolen unknown entered')
Wakeup = collections.namedtuple('Wakeup', 'machine task ts dur cpu guest_queue ipi host_wakeup entry unknown cause')
Time = collections.namedtuple('Time', 'vm vcpu task guest exit halted stolen unknown')
# Part of a vCPU's time; cpu: the CPU whose queue its thread waits in
Part = collections.namedtuple('Part', 'begin end state thread_state cause cpu')


class Cover:
    """A value at each time of a period"""

    def __init__(self, begin, end):
        self.times, self.values = [begin], [None]
        self.end = end

    def add(self, begin, end, value):
        """Add a value, in the order of time; missing values are None"""
        begin, end = max(begin, self.times[0]), min(end, self.end)
        if begin >= end:
            return
        if self.times[-1] == begin:
            self.times.pop()
            self.values.pop()
        if not self.values or self.values[-1] != value:
            self.times.append(begin)
            self.values.append(value)
        if end < self.end and value is not None:
            self.times.append(end)
            self.values.append(None)

    def at(self, time):
        return self.values[max(bisect.bisect_right(self.times, time) - 1, 0)]

    def before(self, time):
        return self.values[max(bisect.bisect_left(self.times, time) - 1, 0)]

    def cuts(self, begin, end):
        return self.times[bisect.bisect_right(self.times, begin):bisect.bisect_left(self.times, end)]


def cut(begin, end, *covers):
    """The parts of a time in which no cover changes"""
    times = sorted({begin, end, *(time for cover in covers for time in cover.cuts(begin, end))})
    return zip(times, times[1:])


class Answers:
    def __init__(self, events, spans, losses, end_of=None):
        self.events = sorted(events, key=lambda event: event.time)
        self.losses = losses
        times = [event.time for event in self.events if event.machine == HOST]
        self.begin, self.end = times[0], times[-1]
        self.names = {}
        self.sched = any(event.name == 'sched_switch' and event.machine == HOST for event in self.events)
        self.last = {}
        for event in self.events:
            self.last[event.machine] = event.time
        self.running = {}
        for machine in self.last:
            self.find_running(machine)
        self.spans = collections.defaultdict(list)
        for span in spans:
            self.spans[span.vm, span.vcpu].append(span)
        self.of_pid = collections.defaultdict(list)
        for event in self.events:
            if event.machine == HOST:
                self.note_thread(event)
        self.find_guest_cpus()
        self.parts = {key: list(self.find_parts(key)) for key in self.spans}
        self.tasks = {key: self.find_tasks(key) for key in self.spans}
        self.guest_runs = self.find_guest_runs()
        self.states = [State(*key, part.begin, part.end - part.begin, part.state, part.thread_state, part.cause)
                       for key, parts in self.parts.items() for part in self.joined(parts)]
        self.steals = [steal for key in self.spans for steal in self.find_steals(key)]
        self.exits = [exit for key in self.spans for exit in self.find_exits(key)]
        self.times = [time for key in self.spans for time in self.find_times(key)]
        self.wakeups = [wakeup for machine in sorted(self.last) if machine != HOST
                        for wakeup in self.find_wakeups(machine)]

    def machine_end(self, machine):
        return self.end if machine == HOST else self.last[machine]

    def find_running(self, machine):
        """Cover of (tid, name) for each CPU"""
        by_cpu = collections.defaultdict(list)
        for event in self.events:
            if event.machine == machine and event.name == 'sched_switch':
                by_cpu[event.cpu].append(event)
        for cpu, switches in by_cpu.items():
            cover = Cover(self.begin, self.end)
            for event, following in zip(switches, [*switches[1:], None]):
                begin = event.time
                end = following.time if following else self.machine_end(machine)
                lost = [max(loss.begin, begin) for loss in self.losses if (loss.machine, loss.cpu) == (machine, cpu) and
                        loss.end > begin and loss.begin < end]
                if lost:
                    end = min(lost)
                elif following and following.fields['prev_pid'] != event.fields['next_pid']:
                    continue
                cover.add(begin, end, (event.fields['next_pid'], event.fields['next_comm']))
            self.running[machine, cpu] = cover

    def note_thread(self, event):
        fields = event.fields
        if event.name == 'sched_switch':
            waits = fields['prev_state'] in (0, 0x100)
            self.of_pid[fields['prev_pid']].append((event.time, 'waits' if waits else 'sleeps', event.cpu))
            self.of_pid[fields['next_pid']].append((event.time, 'runs', event.cpu))
        elif event.name in WAKES:
            self.of_pid[fields['pid']].append((event.time, 'wake', fields['target_cpu']))
        elif event.name == 'sched_migrate_task':
            self.of_pid[fields['pid']].append((event.time, 'move', fields['dest_cpu']))

    def find_guest_cpus(self):
        """Cover of (machine, CPU) for each vCPU"""
        self.guest_cpus = {key: Cover(self.begin, self.end) for key in self.spans}
        # Owner of each CPU, and the CPU of each vCPU
        owner, own = {}, {}
        slices = sorted(((key, span) for key, spans in self.spans.items() for span in spans),
                        key=lambda item: item[1].begin)
        for key, span in slices:
            where = (span.machine, span.guest_cpu) if span.guest_cpu is not None else None
            if where:
                owner.setdefault(where, key)
            own.setdefault(key, where)
        times = [self.begin, *(span.begin for _, span in slices), self.end]
        for (key, span), time, end in zip([(None, None), *slices], times, times[1:]):
            if key:
                own[key] = (span.machine, span.guest_cpu) if span.guest_cpu is not None else None
                if own[key]:
                    owner[own[key]] = key
            for vcpu, where in own.items():
                if where and owner[where] == vcpu:
                    self.guest_cpus[vcpu].add(time, end, where)

    def stretches(self, key):
        """(begin, end, slice before, slice after) of host mode"""
        spans = self.spans[key]
        at = self.begin
        for before, after in zip([None, *spans], [*spans, None]):
            begin = before.end if before else at
            end = after.begin if after else self.end
            yield begin, end, before, after

    def find_parts(self, key):
        for begin, end, before, after in self.stretches(key):
            if before and before.end > before.begin:
                if before.name == 'guest mode':
                    yield Part(before.begin, before.end, 'guest', None, None, None)
                else:
                    yield Part(before.begin, before.end, 'unknown', None, before.cause, None)
            if end > begin:
                yield from self.host_parts(begin, end, before, after)

    def host_parts(self, begin, end, before, after):
        halt = bool(before and before.exit_reason and before.exit_reason.upper().removeprefix('EXIT_') in HALTS)
        tid = (before or after).tid
        entered = bool(after and after.name == 'guest mode')
        if not self.sched:
            yield Part(begin, end, 'unknown', None, NO_SCHED, None)
            return
        state, since, queue = ('runs' if before and before.exit_reason else None), begin, []
        done = []

        def finish(time, contradiction):
            if time == since:
                return
            if contradiction:
                done.append(Part(since, time, 'unknown', None, MISSING, None))
            elif state is None:
                done.append(Part(since, time, 'unknown', None, BEFORE, None))
            elif state == 'runs':
                done.append(Part(since, time, 'exit', 'running', None, None))
            elif state == 'sleeps':
                done.append(Part(since, time, 'halted' if halt else 'exit', 'sleeping', None, None))
            else:
                for (at, cpu), until in zip(queue, [*(at for at, _ in queue[1:]), time]):
                    if until > at:
                        done.append(Part(at, until, 'stolen', 'waiting', None, cpu))

        for time, what, cpu in self.of_pid[tid]:
            if not begin <= time < end:
                continue
            if what == 'wake' and state in (None, 'sleeps'):
                finish(time, False)
                state, since, queue = 'waits', time, [(time, cpu)]
            elif what in ('wake', 'move'):
                if state == 'waits':
                    queue.append((time, cpu))
            else:
                wrong = state == 'runs' if what == 'runs' else state in ('sleeps', 'waits')
                if what == 'runs' and state == 'waits' and queue[-1][1] != cpu:
                    queue[-1] = queue[-1][0], None
                finish(time, wrong)
                state, since, queue = what, time, [(time, cpu)]
        finish(end, entered and after.tid == tid and state != 'runs' and not (state is None))
        yield from done

    @staticmethod
    def joined(parts):
        found = []
        for part in parts:
            part = part._replace(cpu=None)
            if found and found[-1].end == part.begin and found[-1].state == part.state == 'stolen':
                found[-1] = found[-1]._replace(end=part.end)
            else:
                found.append(part)
        return found

    def find_tasks(self, key):
        """Cover of the guest's current task on the vCPU"""
        cpus = self.guest_cpus[key]
        cover = Cover(self.begin, self.end)
        for begin, end in cut(self.begin, self.end, cpus):
            running = self.running.get(cpus.at(begin))
            for first, last in cut(begin, end, *([running] if running else [])):
                task = running.at(first) if running else None
                cover.add(first, last, task)
        return cover

    def find_guest_runs(self):
        """Cover of the guest's task of each thread of a vCPU in guest mode"""
        found = {}
        pieces = collections.defaultdict(list)
        for key, spans in self.spans.items():
            for span in spans:
                if span.name == 'guest mode':
                    for begin, end in cut(span.begin, span.end, self.tasks[key]):
                        task = self.tasks[key].at(begin)
                        pieces[span.tid].append((begin, end, task and (span.machine, task)))
        for tid, runs in pieces.items():
            found[tid] = Cover(self.begin, self.end)
            for begin, end, task in sorted(runs, key=lambda run: run[0]):
                found[tid].add(begin, end, task)
        return found

    def find_steals(self, key):
        tasks = self.tasks[key]
        for part in self.parts[key]:
            if part.state not in ('exit', 'halted', 'stolen'):
                continue
            running = self.running.get((HOST, part.cpu)) if part.state == 'stolen' else None
            for begin, end in cut(part.begin, part.end, tasks, *([running] if running else [])):
                preemptor = running.at(begin) if running else None
                runs = self.guest_runs.get(preemptor[0]) if preemptor else None
                for first, last in cut(begin, end, *([runs] if runs else [])):
                    guest_task = runs.at(first) if runs else None
                    yield Steal(*key, first, last - first, 'preempted' if part.state == 'stolen' else part.state,
                                preemptor and preemptor[1], guest_task and guest_task[1][1],
                                name(tasks.at(first)))

    def find_exits(self, key):
        for begin, end, before, after in self.stretches(key):
            entered = bool(after and after.name == 'guest mode')
            known = before and before.exit_reason
            if begin == end and not (known and entered):
                continue
            sums = collections.Counter()
            for part in self.parts[key]:
                if begin <= part.begin < end:
                    sums[part.state] += part.end - part.begin
            task = self.tasks[key].before(begin) if before else self.tasks[key].at(begin)
            yield Exit(*key, begin, end - begin, before and before.exit_reason, name(task), sums['exit'], sums['halted'],
                       sums['stolen'], sums['unknown'], int(entered))

    def find_times(self, key):
        sums = collections.defaultdict(collections.Counter)
        for part in self.parts[key]:
            for begin, end in cut(part.begin, part.end, self.tasks[key]):
                sums[name(self.tasks[key].at(begin))][part.state] += end - begin
        for task, counter in sums.items():
            yield Time(*key, task, *(counter[state] for state in ('guest', 'exit', 'halted', 'stolen', 'unknown')))

    def find_wakeups(self, machine):
        # By pid: its state, and since when it waits after a wake-up
        state, woken, names = {}, {}, {}
        found = []
        for event in self.events:
            if event.machine != machine:
                continue
            fields = event.fields
            if event.name in WAKES:
                if state.get(fields['pid']) in (None, 'sleeps') and fields['pid'] not in woken:
                    woken[fields['pid']] = event.time, fields['comm']
            elif event.name == 'task_newtask':
                state[fields['pid']] = 'waits'
            elif event.name == 'sched_switch':
                pid, prev = fields['next_pid'], fields['prev_pid']
                woken.pop(prev, None)
                state[prev] = 'waits' if fields['prev_state'] in (0, 0x100) else 'sleeps'
                if pid in woken:
                    found.append((*woken.pop(pid), event.time, event.cpu))
                state[pid] = 'runs'
        del names
        found += [(*since, None, None) for since in woken.values()]
        for begin, task, end, cpu in found:
            until = self.end_of_all() if end is None else end
            lost = any(loss.machine == machine and loss.end > begin and loss.begin < until for loss in self.losses)
            if lost or end is None:
                yield Wakeup(machine, task, begin, None, cpu, None, None, None, None, None,
                             'events lost' if lost and end is not None else 'not yet running')
                continue
            sums = collections.Counter()
            for key, parts in self.parts.items():
                cpus = self.guest_cpus[key]
                for part in parts:
                    if part.end <= begin or part.begin >= end:
                        continue
                    for first, last in cut(max(begin, part.begin), min(end, part.end), cpus):
                        if cpus.at(first) == (machine, cpu):
                            sums[part.state] += last - first
            known = sum(sums[state] for state in ('guest', 'halted', 'stolen', 'exit'))
            yield Wakeup(machine, task, begin, end - begin, cpu, sums['guest'], sums['halted'], sums['stolen'],
                         sums['exit'], end - begin - known, None)

    def end_of_all(self):
        return max(self.last.values())


def name(task):
    return task and task[1]
