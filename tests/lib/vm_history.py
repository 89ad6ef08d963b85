# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Generated histories of a host with VMs: which thread ran where at each ns, and the events that ftrace would have
recorded.

    history = History(seed, vms=2, vcpus=2, host_cpus=3, steps=2000)
    history.events      all events of all machines, in the order of time
    history.truth       state of each vCPU, as Truth, without gaps
    history.lose(...)   a list of events with some missing, and the places
"""
import collections
import random

HOST = 0
# States of threads
RUNS, WAITS, SLEEPS, DEAD = 'runs', 'waits', 'sleeps', 'dead'
# prev_state of sched_switch since Linux 4.14
R, S, D, X, PREEMPTED = 0, 1, 2, 16, 0x100
HALT, OTHERS = 'HLT', ('EXTERNAL_INTERRUPT', 'MSR_WRITE', 'EPT_MISCONFIG', 'IO_INSTRUCTION')
CODES = {HALT: 12, 'EXTERNAL_INTERRUPT': 1, 'MSR_WRITE': 32, 'EPT_MISCONFIG': 49, 'IO_INSTRUCTION': 30}
IDLE = 'swapper'

Event = collections.namedtuple('Event', 'time machine cpu pid name fields')
# The truth from a time until the next one: state of the vCPU, preemptor, the preemptor's guest task, own task
Truth = collections.namedtuple('Truth', 'time state preemptor preemptor_task task')
Loss = collections.namedtuple('Loss', 'machine cpu begin end')
# vm, vcpu: the VM's name and the vcpu_id; the vCPU's state from begin to end
Span = collections.namedtuple('Span', 'vm vcpu tid pid begin end name machine guest_cpu exit_reason cause')


class Task:
    """A thread of the host, or a task of a guest. cpu: where it runs or waits, or ran last"""

    def __init__(self, tid, name, cpu=0, state=SLEEPS):
        self.tid, self.name, self.cpu, self.state = tid, name, cpu, state


class Machine:
    def __init__(self, number, nr_cpus, nr_tasks, first_tid):
        self.number = number
        self.idle = [Task(0, IDLE, cpu, RUNS) for cpu in range(nr_cpus)]
        self.current = list(self.idle)
        self.tasks = [Task(first_tid + i, f'm{number}t{i}', i % nr_cpus) for i in range(nr_tasks)]

    def waiting(self, cpu):
        return [task for task in self.tasks if task.state == WAITS and task.cpu == cpu]

    def sleeping(self):
        return [task for task in self.tasks if task.state == SLEEPS]


class VCPU:
    def __init__(self, vm, number, thread, guest, guest_cpu, pid):
        self.vm, self.number, self.thread, self.guest, self.guest_cpu, self.pid = vm, number, thread, guest, guest_cpu, pid
        self.in_guest, self.reason, self.gone = False, None, False

    @property
    def key(self):
        return self.vm, self.number


class History:
    def __init__(self, seed, vms=2, vcpus=2, host_cpus=3, host_tasks=3, guest_tasks=4, steps=2000, without_file=(),
                 replug=0.0, move=False, wakeups=('sched_waking', 'sched_wakeup'), migrations=True, reuse=0.02, scale=1):
        self.random = random.Random(seed)
        self.wakeups, self.migrations, self.replug, self.reuse, self.scale = wakeups, migrations, replug, reuse, scale
        self.time, self.events, self.truth = 1_000_000, [], collections.defaultdict(list)
        self.host = Machine(HOST, host_cpus, host_tasks, 50)
        self.guests, self.vcpus = [], []
        for vm in range(vms):
            guest = Machine(vm + 1, vcpus, guest_tasks, 300)
            guest.has_file = vm not in without_file
            self.guests.append(guest)
            for vcpu in range(vcpus):
                self.plug(f'vm{vm}', vcpu, guest, vcpu, 1000 + 100 * vm + vcpu, 999 + 100 * vm)
        for step in range(steps):
            self.step()
            if move and step == steps // 2:
                self.move()
        self.end = self.time

    def plug(self, vm, number, guest, guest_cpu, tid, pid):
        thread = Task(tid, f'{vm}/{number}', self.random.randrange(len(self.host.current)))
        self.host.tasks.append(thread)
        thread.vcpu = VCPU(vm, number, thread, guest, guest_cpu, pid)
        self.vcpus.append(thread.vcpu)

    def move(self):
        """The first VM continues in another process, with the same guest"""
        for vcpu in [vcpu for vcpu in self.vcpus if vcpu.vm == 'vm0']:
            if vcpu.in_guest:
                self.leave(vcpu.thread.cpu, vcpu, OTHERS[0])
            vcpu.gone = True
            self.plug('vm0moved', vcpu.number, vcpu.guest, vcpu.guest_cpu, vcpu.thread.tid + 5000, vcpu.pid + 5000)

    def record(self, machine, cpu, tid, name, **fields):
        self.time += self.random.randint(1, 700 * self.scale)
        self.events.append(Event(self.time, machine, cpu, tid, name, fields))

    def note(self):
        """Record the state of each vCPU from now on"""
        for vcpu in self.vcpus:
            thread, preemptor, preemptor_task = vcpu.thread, None, None
            if vcpu.in_guest:
                state = 'guest'
            elif thread.state == WAITS:
                state = 'stolen'
                other = self.host.current[thread.cpu]
                preemptor = other.name
                running = getattr(other, 'vcpu', None)
                if running and running.in_guest and running.guest.has_file:
                    preemptor_task = running.guest.current[running.guest_cpu].name
            elif thread.state == SLEEPS and vcpu.reason == HALT:
                state = 'halted'
            else:
                state = 'exit'
            task = vcpu.guest.current[vcpu.guest_cpu].name if vcpu.guest.has_file else None
            found = Truth(self.time, state, preemptor, preemptor_task, task)
            log = self.truth[vcpu.key]
            if not log or log[-1][1:] != found[1:]:
                log.append(found)

    def switch(self, machine, cpu, state, chosen=None):
        """The CPU continues with another task, or with none"""
        previous = machine.current[cpu]
        waiting = machine.waiting(cpu)
        following = chosen or (self.random.choice(waiting) if waiting else machine.idle[cpu])
        self.record(machine.number, cpu, previous.tid, 'sched_switch', prev_comm=previous.name, prev_pid=previous.tid,
                    prev_prio=120, prev_state=state, next_comm=following.name, next_pid=following.tid, next_prio=120)
        if previous.tid:
            previous.state = {R: WAITS, PREEMPTED: WAITS, X: DEAD}.get(state, SLEEPS)
        following.state, following.cpu = RUNS, cpu
        machine.current[cpu] = following
        self.note()

    def wake(self, machine, cpu, task):
        """The task on a CPU wakes a task"""
        waker = machine.current[cpu].tid
        fields = dict(comm=task.name, pid=task.tid, prio=120, success=1)
        if 'sched_waking' in self.wakeups:
            self.record(machine.number, cpu, waker, 'sched_waking', target_cpu=task.cpu, **fields)
            task.state = WAITS
            self.note()
        if self.migrations and self.random.random() < 0.4:
            self.migrate(machine, cpu, task, note='sched_waking' in self.wakeups)
        if 'sched_wakeup' in self.wakeups:
            self.record(machine.number, cpu, waker, 'sched_wakeup', target_cpu=task.cpu, **fields)
        task.state = WAITS
        self.note()

    def migrate(self, machine, cpu, task, note=True):
        destination = self.random.randrange(len(machine.current))
        self.record(machine.number, cpu, machine.current[cpu].tid, 'sched_migrate_task', comm=task.name, pid=task.tid,
                    prio=120, orig_cpu=task.cpu, dest_cpu=destination)
        task.cpu = destination
        if note:
            self.note()

    def step(self):
        cpu = self.random.randrange(len(self.host.current))
        thread = self.host.current[cpu]
        vcpu = getattr(thread, 'vcpu', None)
        if self.random.random() < 0.1:
            self.record(HOST, cpu, thread.tid, 'other', value=1)
        if vcpu and vcpu.in_guest:
            self.guest_step(cpu, vcpu)
        elif vcpu:
            self.host_step(cpu, vcpu)
        elif thread.tid:
            self.any_step(cpu, idle=False)
        else:
            self.any_step(cpu, idle=True)

    def wake_some(self, cpu):
        sleeping = [task for task in self.host.sleeping() if not getattr(task, 'vcpu', None) or not task.vcpu.gone]
        if sleeping:
            self.wake(self.host, cpu, self.random.choice(sleeping))

    def any_step(self, cpu, idle):
        choice = self.random.random()
        waiting = self.host.waiting(cpu)
        if choice < 0.4 or (idle and not waiting):
            self.wake_some(cpu)
        elif choice < 0.5 and waiting:
            self.migrate(self.host, cpu, self.random.choice(waiting)) if self.migrations else None
        elif idle:
            self.switch(self.host, cpu, R)
        elif choice < 0.75 and waiting:
            self.switch(self.host, cpu, self.random.choice((R, PREEMPTED)))
        elif choice < 0.9:
            self.switch(self.host, cpu, self.random.choice((S, D)))

    def host_step(self, cpu, vcpu):
        choice = self.random.random()
        if vcpu.gone:
            self.switch(self.host, cpu, X)
        elif vcpu.reason and choice < self.replug:
            self.switch(self.host, cpu, X)
            self.vcpus.remove(vcpu)
            self.plug(vcpu.vm, vcpu.number, vcpu.guest, vcpu.guest_cpu, max(t.tid for t in self.host.tasks) + 1, vcpu.pid)
            self.vcpus[-1].reason = vcpu.reason
        elif choice < 0.5:
            vcpu.in_guest = True
            self.record(HOST, cpu, vcpu.thread.tid, 'kvm_entry', vcpu_id=vcpu.number)
            self.note()
        elif choice < 0.65:
            self.wake_some(cpu)
        elif choice < 0.8 and self.host.waiting(cpu):
            self.switch(self.host, cpu, self.random.choice((R, PREEMPTED)))
        elif choice < 0.9 or vcpu.reason == HALT:
            self.switch(self.host, cpu, self.random.choice((S, D)))

    def leave(self, cpu, vcpu, reason):
        self.record(HOST, cpu, vcpu.thread.tid, 'kvm_exit', reason=reason, vcpu_id=vcpu.number)
        vcpu.in_guest, vcpu.reason = False, reason
        self.note()

    def guest_step(self, cpu, vcpu):
        guest, guest_cpu = vcpu.guest, vcpu.guest_cpu
        choice = self.random.random()
        task = guest.current[guest_cpu]
        waiting = guest.waiting(guest_cpu)
        if choice < 0.25:
            self.leave(cpu, vcpu, HALT if not task.tid else self.random.choice(OTHERS))
        elif choice < 0.35 and self.host.waiting(cpu):
            self.leave(cpu, vcpu, 'EXTERNAL_INTERRUPT')
            self.switch(self.host, cpu, self.random.choice((R, PREEMPTED)))
        elif choice < 0.5 and guest.sleeping():
            self.wake(guest, guest_cpu, self.random.choice(guest.sleeping()))
        elif choice < 0.7 and waiting:
            self.switch(guest, guest_cpu, self.random.choice((R, PREEMPTED)))
        elif choice < 0.8 and task.tid and self.random.random() < self.reuse:
            self.renew(guest, guest_cpu, task)
        elif choice < 0.9 and task.tid:
            self.switch(guest, guest_cpu, self.random.choice((S, S, D)))
        elif self.random.random() < 0.5:
            self.record(guest.number, guest_cpu, task.tid, 'other', value=2)

    def renew(self, guest, guest_cpu, task):
        """A task ends, and another one reuses its number"""
        self.switch(guest, guest_cpu, X)
        if guest.current[guest_cpu].tid == 0:
            return
        waker = guest.current[guest_cpu]
        self.record(guest.number, guest_cpu, waker.tid, 'sched_process_free', comm=task.name, pid=task.tid, prio=120)
        guest.tasks.remove(task)
        fresh = Task(task.tid, task.name + "'", guest_cpu, SLEEPS)
        guest.tasks.append(fresh)
        self.record(guest.number, guest_cpu, waker.tid, 'task_newtask', pid=fresh.tid, comm=fresh.name,
                    clone_flags=0x10000, oom_score_adj=0)
        fresh.state = WAITS
        self.record(guest.number, guest_cpu, waker.tid, 'sched_wakeup_new', comm=fresh.name, pid=fresh.tid, prio=120,
                    success=1, target_cpu=guest_cpu)
        self.note()

    def lose(self, seed, times, machines=None):
        """Consecutive events of a CPU are missing, this often"""
        chosen = random.Random(seed)
        by_cpu = collections.defaultdict(list)
        for event in self.events:
            if machines is None or event.machine in machines:
                by_cpu[event.machine, event.cpu].append(event)
        missing, losses = set(), []
        for _ in range(times):
            (machine, cpu), events = chosen.choice(sorted(by_cpu.items()))
            if len(events) < 3:
                continue
            first = chosen.randrange(1, len(events) - 1)
            last = min(first + chosen.randrange(30), len(events) - 2)
            loss = Loss(machine, cpu, events[first - 1].time, events[last + 1].time)
            if any(other[:2] == loss[:2] and other.begin < loss.end and loss.begin < other.end for other in losses):
                continue
            missing.update(map(id, events[first:last + 1]))
            losses.append(loss)
        return [event for event in self.events if id(event) not in missing], sorted(losses)

    def every_vcpu_thread(self):
        return [task for task in self.host.tasks if hasattr(task, 'vcpu')]


def spans(history, events, losses):
    """What export writes for each vCPU: Spans in the order of time. Between two of them it is in host mode."""
    losses = sorted((loss.begin, loss.end, loss.cpu) for loss in losses if loss.machine == HOST)
    times = [event.time for event in events if event.machine == HOST]
    first, last = min(times), max(times)
    threads = {task.tid: task.vcpu for task in history.every_vcpu_thread()}
    by_vcpu = collections.defaultdict(list)
    for event in events:
        if event.name in ('kvm_entry', 'kvm_exit'):
            by_vcpu[threads[event.pid].key].append(event)

    def first_loss(since, until, cpu=None):
        return next((max(begin, since) for begin, end, where in losses
                     if cpu in (None, where) and end > since and begin < until), None)

    found = []
    for key, own in by_vcpu.items():
        def add(thread, begin, end, name, reason=None, cause=None):
            if begin < end or (name == 'guest mode' and begin == end):
                guest = thread.guest
                found.append(Span(*key, thread.thread.tid, thread.pid, begin, end, name,
                                  guest.number if guest.has_file else None,
                                  thread.guest_cpu if guest.has_file else None, reason, cause))

        vcpu, mode, since, where = threads[own[0].pid], None, first, None
        for event in own:
            following = threads[event.pid]
            reason = event.fields.get('reason')
            if event.name == 'kvm_entry':
                if mode is None and first_loss(first, event.time) is not None:
                    add(following, first, event.time, 'unknown', cause='events lost')
                elif mode == 'host' and (sure := first_loss(since, event.time)) is not None:
                    add(vcpu, sure, event.time, 'unknown', cause='events lost')
                elif mode == 'guest':
                    sure = first_loss(since, event.time)
                    sure = since if sure is None else sure
                    add(vcpu, since, sure, 'guest mode')
                    add(vcpu, sure, event.time, 'unknown', cause='events lost')
                mode, where = 'guest', event.cpu
            else:
                if mode is None:
                    add(following, first, event.time, 'unknown', reason, 'before the first event')
                elif mode == 'host':
                    sure = first_loss(since, event.time)
                    sure = since if sure is None else sure
                    add(vcpu, sure, event.time, 'unknown', reason, 'events lost')
                elif where == event.cpu and first_loss(since, event.time, where) is None:
                    add(vcpu, since, event.time, 'guest mode', reason)
                elif (sure := first_loss(since, event.time)) is None:
                    add(vcpu, since, event.time, 'guest mode', reason)
                else:
                    add(vcpu, since, sure, 'guest mode')
                    add(vcpu, sure, event.time, 'unknown', reason, 'events lost')
                mode = 'host'
            vcpu, since = following, event.time
        sure = first_loss(since, last)
        if mode == 'guest':
            add(vcpu, since, last if sure is None else sure, 'guest mode')
        if sure is not None:
            add(vcpu, sure, last, 'unknown', cause='events lost')
    return sorted(found, key=lambda span: (span.vm, span.vcpu, span.begin, span.end))
